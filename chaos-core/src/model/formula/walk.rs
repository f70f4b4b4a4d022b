//! Going through claims: what they are made of, and one of many.

use super::{Abort, Bound, Claim, Comparison, Event, Phase, Predicate};
use crate::model::metric::Metric;

impl Comparison {
    /// Returns the metrics that it looks at: its own, then the one it is compared with.
    pub fn metrics(&self) -> Vec<&Metric> {
        let other = match &self.bound {
            Bound::Metric { metric, .. } => Some(&**metric),
            Bound::Constant(_) | Bound::Baseline { .. } => None,
        };
        std::iter::once(&self.metric).chain(other).collect()
    }
}

impl Predicate {
    /// Visits every comparison.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Predicate::Compare(c) => vec![c],
            Predicate::For { predicate, .. } | Predicate::Not(predicate) => predicate.comparisons(),
            Predicate::All(all) | Predicate::Any(all) => {
                all.iter().flat_map(Predicate::comparisons).collect()
            }
        }
    }

    fn comparisons_mut(&mut self) -> Vec<&mut Comparison> {
        match self {
            Predicate::Compare(c) => vec![c],
            Predicate::For { predicate, .. } | Predicate::Not(predicate) => predicate.comparisons_mut(),
            Predicate::All(all) | Predicate::Any(all) => {
                all.iter_mut().flat_map(Predicate::comparisons_mut).collect()
            }
        }
    }
}

impl Abort {
    /// Visits every comparison.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Abort::When(predicate) => predicate.comparisons(),
            Abort::Confident(comparison) => vec![comparison],
            Abort::Never(_) => Vec::new(),
        }
    }
}

impl Claim {
    /// Returns the claims that it is made of; `None` if it is elementary.
    pub fn parts(&self) -> Vec<&Claim> {
        match self {
            Claim::All(all) | Claim::Any(all) => all.iter().collect(),
            Claim::Given { condition, claim } => vec![condition, claim],
            Claim::Each { claim, .. } => vec![claim],
            Claim::Statistic { .. }
            | Claim::Always { .. }
            | Claim::Never { .. }
            | Claim::Unless { .. }
            | Claim::Eventually { .. }
            | Claim::Within { .. }
            | Claim::Stops { .. }
            | Claim::Stays { .. }
            | Claim::Settles { .. }
            | Claim::Completes { .. } => Vec::new(),
        }
    }

    /// Returns the elementary claims in it, from left to right.
    pub fn elements(&self) -> Vec<&Claim> {
        let parts = self.parts();
        let composite =
            matches!(self, Claim::All(_) | Claim::Any(_) | Claim::Given { .. } | Claim::Each { .. });
        if composite { parts.into_iter().flat_map(Claim::elements).collect() } else { vec![self] }
    }

    /// Returns the predicates of an elementary claim.
    pub fn predicates(&self) -> Vec<&Predicate> {
        match self {
            Claim::Always { predicate, .. }
            | Claim::Never { predicate, .. }
            | Claim::Eventually { predicate, .. }
            | Claim::Within { predicate, .. }
            | Claim::Stops { predicate, .. }
            | Claim::Stays { predicate, .. }
            | Claim::Settles { predicate, .. } => vec![predicate],
            Claim::Unless { predicate, unless, .. } => vec![predicate, unless],
            Claim::Statistic { .. }
            | Claim::Completes { .. }
            | Claim::Each { .. }
            | Claim::Given { .. }
            | Claim::All(_)
            | Claim::Any(_) => Vec::new(),
        }
    }

    /// Visits every comparison in it, from left to right.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Claim::Statistic { comparison, .. } => vec![comparison],
            _ => {
                let own = self.predicates().into_iter().flat_map(Predicate::comparisons);
                own.chain(self.parts().into_iter().flat_map(Claim::comparisons)).collect()
            }
        }
    }

    /// Returns the phase that an elementary claim speaks of.
    pub fn during(&self) -> Option<&Phase> {
        match self {
            Claim::Statistic { during, .. }
            | Claim::Always { during, .. }
            | Claim::Never { during, .. }
            | Claim::Unless { during, .. }
            | Claim::Eventually { during, .. } => Some(during),
            Claim::Within { .. }
            | Claim::Stops { .. }
            | Claim::Stays { .. }
            | Claim::Settles { .. }
            | Claim::Completes { .. }
            | Claim::Each { .. }
            | Claim::Given { .. }
            | Claim::All(_)
            | Claim::Any(_) => None,
        }
    }

    /// Returns the event that an elementary claim is counted from.
    pub fn after(&self) -> Option<&Event> {
        match self {
            Claim::Within { after, .. }
            | Claim::Stops { after, .. }
            | Claim::Stays { after, .. }
            | Claim::Settles { after, .. } => Some(after),
            Claim::Completes { open_at, .. } => Some(open_at),
            Claim::Statistic { .. }
            | Claim::Always { .. }
            | Claim::Never { .. }
            | Claim::Unless { .. }
            | Claim::Eventually { .. }
            | Claim::Each { .. }
            | Claim::Given { .. }
            | Claim::All(_)
            | Claim::Any(_) => None,
        }
    }

    /// Returns the claim for one of many: the variable in its filters stands for `key`.
    #[must_use]
    pub fn of(&self, variable: &str, key: &str) -> Claim {
        let mut claim = self.clone();
        claim.bind(variable, key);
        claim
    }

    fn bind(&mut self, variable: &str, key: &str) {
        let bind = |comparison: &mut Comparison| {
            let other = match &mut comparison.bound {
                Bound::Metric { metric, .. } => Some(&mut **metric),
                Bound::Constant(_) | Bound::Baseline { .. } => None,
            };
            let filters = std::iter::once(&mut comparison.metric).chain(other).flat_map(|m| &mut m.filter);
            for filter in filters.filter(|f| f.variable.as_deref() == Some(variable)) {
                filter.variable = None;
                filter.values = vec![key.to_owned()];
            }
        };
        match self {
            Claim::Statistic { comparison, .. } => bind(comparison),
            Claim::Always { predicate, .. }
            | Claim::Never { predicate, .. }
            | Claim::Eventually { predicate, .. }
            | Claim::Within { predicate, .. }
            | Claim::Stops { predicate, .. }
            | Claim::Stays { predicate, .. }
            | Claim::Settles { predicate, .. } => predicate.comparisons_mut().into_iter().for_each(bind),
            Claim::Unless { predicate, unless, .. } => {
                predicate.comparisons_mut().into_iter().chain(unless.comparisons_mut()).for_each(bind);
            }
            Claim::Completes { .. } => {}
            Claim::Each { claim, .. } => claim.bind(variable, key),
            Claim::Given { condition, claim } => {
                condition.bind(variable, key);
                claim.bind(variable, key);
            }
            Claim::All(all) | Claim::Any(all) => all.iter_mut().for_each(|c| c.bind(variable, key)),
        }
    }
}
