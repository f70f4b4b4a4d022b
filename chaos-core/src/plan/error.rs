//! Why an experiment is not planned.

use crate::{place::ObjectId, remark::Remark, soundness, span::Span, trouble::Trouble};

/// Why an experiment is not run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// A selector found nothing, or nothing can be found.
    #[error("{trouble}")]
    Inventory {
        /// Why not.
        trouble: Trouble,
        /// The selector's place.
        span: Span,
    },
    /// No injector can do it here.
    #[error("`{fault}` cannot be injected on {object}: {denied}")]
    Denied {
        /// The fault's name.
        fault: String,
        /// The object.
        object: Box<ObjectId>,
        /// Why not.
        denied: Trouble,
        /// The fault's place.
        span: Span,
    },
    /// More would be touched than the file allows.
    #[error("{message}")]
    Radius {
        /// Which limit, and by how much.
        message: String,
        /// What is touched.
        touched: Vec<String>,
        /// The limit's place.
        span: Span,
    },
    /// The experiment itself cannot be carried out.
    #[error("{}", .0.message)]
    Unsound(Box<Remark>),
}

impl PlanError {
    /// Makes the error of an experiment that cannot be carried out as it is.
    pub fn unsound(remark: Remark) -> Self {
        PlanError::Unsound(Box::new(remark))
    }

    /// Returns the place in the file.
    pub fn span(&self) -> Span {
        match self {
            PlanError::Inventory { span, .. }
            | PlanError::Denied { span, .. }
            | PlanError::Radius { span, .. } => *span,
            PlanError::Unsound(remark) => remark.span,
        }
    }

    /// Returns what there is to say to whoever wrote the experiment.
    pub fn remark(&self) -> Remark {
        Remark { help: self.help(), ..Remark::error(self.span(), self.to_string()) }
    }

    /// Returns the likely fix.
    pub fn help(&self) -> Option<String> {
        match self {
            PlanError::Inventory { trouble, .. } => trouble.help.clone(),
            PlanError::Denied { denied, .. } => denied.help.clone(),
            PlanError::Radius { touched, .. } => Some(format!(
                "the faults would touch {}; narrow their targets, or have the limit reviewed",
                touched.join(", ")
            )),
            PlanError::Unsound(remark) => remark.help.clone(),
        }
    }
}

impl From<soundness::Finding> for PlanError {
    fn from(finding: soundness::Finding) -> Self {
        PlanError::unsound(finding.into_remark())
    }
}
