//! The core formulas, how far they look ahead and how far back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::steps::shifted;
use super::atom::{Atom, Operand, SignalId, Subject};
use crate::time::Nanos;

/// A core temporal formula. All windows are closed, `[from, to]`, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Formula {
    /// One comparison.
    Atom(Atom),
    /// The body does not hold.
    Not(Box<Formula>),
    /// All parts hold; true when there are none.
    And(Vec<Formula>),
    /// One part holds at least; false when there are none.
    Or(Vec<Formula>),
    /// The second holds wherever the first does: `not first or second`.
    Implies(Box<Formula>, Box<Formula>),
    /// Holds at `t` when the body holds on all of `[t+from, t+to]`.
    Always {
        /// Start of the window after `t`.
        from: Nanos,
        /// End of the window after `t`; not before `from`.
        to: Nanos,
        /// What must hold.
        body: Box<Formula>,
    },
    /// Holds at `t` when the body holds somewhere in `[t+from, t+to]`.
    Eventually {
        /// Start of the window after `t`.
        from: Nanos,
        /// End of the window after `t`; not before `from`.
        to: Nanos,
        /// What must hold.
        body: Box<Formula>,
    },
    /// Holds at `t` when the body held on all of `[t-to, t-from]`.
    Historically {
        /// The nearer end of the window before `t`.
        from: Nanos,
        /// The farther end of the window before `t`; not less than `from`.
        to: Nanos,
        /// What must have held.
        body: Box<Formula>,
    },
    /// Holds at `t` when the body held somewhere in `[t-to, t-from]`.
    Once {
        /// The nearer end of the window before `t`.
        from: Nanos,
        /// The farther end of the window before `t`; not less than `from`.
        to: Nanos,
        /// What must have held.
        body: Box<Formula>,
    },
    /// Holds at `t` when `right` holds at some `s` in `[t, t+within]` and `left` on all of `[t, s)`.
    ///
    /// The window starts at `t` itself: with a later start the result would no longer be a step function.
    Until {
        /// Length of the window.
        within: Nanos,
        /// What must hold until then.
        left: Box<Formula>,
        /// What must come.
        right: Box<Formula>,
    },
    /// Holds at `t` when the body holds on all of `[t+after, end)`; undecided where that is empty.
    Throughout {
        /// Start of the stretch after `t`.
        after: Nanos,
        /// The instant at which the stretch ends, `None` while that is not known.
        end: Option<Nanos>,
        /// What must hold.
        body: Box<Formula>,
    },
}

impl Formula {
    /// Returns the negation.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Returns `self for length`: true on all of the last `length`, unknown before that much history exists.
    #[must_use]
    pub fn lasting(self, length: Nanos) -> Self {
        Self::Historically { from: 0, to: length, body: Box::new(self) }
    }

    /// Returns the formula that this holds on all of `[t, t+length]`.
    #[must_use]
    pub fn always(self, length: Nanos) -> Self {
        Self::Always { from: 0, to: length, body: Box::new(self) }
    }

    /// Returns the formula that this holds somewhere in `[t, t+length]`.
    #[must_use]
    pub fn eventually(self, length: Nanos) -> Self {
        Self::Eventually { from: 0, to: length, body: Box::new(self) }
    }

    /// Returns the formula that this holds on all of `[t+after, end)`.
    #[must_use]
    pub fn throughout(self, after: Nanos, end: Option<Nanos>) -> Self {
        Self::Throughout { after, end, body: Box::new(self) }
    }

    /// Returns the formulas directly inside this one.
    pub fn parts(&self) -> Vec<&Formula> {
        match self {
            Self::Atom(_) => Vec::new(),
            Self::And(parts) | Self::Or(parts) => parts.iter().collect(),
            Self::Implies(left, right) | Self::Until { left, right, .. } => vec![left, right],
            Self::Not(body)
            | Self::Always { body, .. }
            | Self::Eventually { body, .. }
            | Self::Historically { body, .. }
            | Self::Once { body, .. }
            | Self::Throughout { body, .. } => vec![body],
        }
    }

    /// Returns all atoms, from left to right.
    #[must_use]
    pub fn atoms(&self) -> Vec<&Atom> {
        match self {
            Self::Atom(atom) => vec![atom],
            _ => self.parts().into_iter().flat_map(Self::atoms).collect(),
        }
    }

    /// Returns the signals the formula depends on, each once.
    #[must_use]
    pub fn signals(&self) -> Vec<SignalId> {
        let mut signals: Vec<SignalId> =
            self.atoms().into_iter().flat_map(|atom| [Some(atom.signal), atom.other()]).flatten().collect();
        signals.sort();
        signals.dedup();
        signals
    }

    /// Whether a limit is still to come from the baseline.
    #[must_use]
    pub(crate) fn waits_for_baseline(&self) -> bool {
        self.atoms()
            .iter()
            .any(|atom| matches!(atom.subject, Subject::Compares { limit: Operand::Pending, .. }))
    }
}

/// Returns the last instant whose values can matter to the formula at `at`; `None` when that depends on an end that is
/// not known yet.
///
/// Once everything up to there is known, the formula is decided. Its distance from `at` is the formula's horizon.
#[must_use]
pub fn latest_decision(formula: &Formula, at: Nanos) -> Option<Nanos> {
    match formula {
        Formula::Atom(_) => Some(at),
        Formula::Always { to, body, .. } | Formula::Eventually { to, body, .. } => {
            latest_decision(body, shifted(at, *to))
        }
        Formula::Historically { from, body, .. } | Formula::Once { from, body, .. } => {
            latest_decision(body, shifted(at, -*from))
        }
        Formula::Until { within, .. } => latest_of_parts(formula, shifted(at, *within)),
        Formula::Throughout { end, body, .. } => latest_decision(body, shifted((*end)?, -1)),
        Formula::Not(_) | Formula::And(_) | Formula::Or(_) | Formula::Implies(..) => {
            latest_of_parts(formula, at)
        }
    }
}

fn latest_of_parts(formula: &Formula, at: Nanos) -> Option<Nanos> {
    formula.parts().into_iter().try_fold(at, |latest, part| Some(latest.max(latest_decision(part, at)?)))
}

/// Returns how much history before an instant can matter to the formula at that instant.
#[must_use]
pub fn lookback(formula: &Formula) -> Nanos {
    let inside = formula.parts().into_iter().map(lookback).max().unwrap_or(0);
    match formula {
        Formula::Historically { to, .. } | Formula::Once { to, .. } => inside.saturating_add(*to),
        _ => inside,
    }
}

/// Returns the horizon of a formula: how long after an instant its verdict at that instant may be open at most.
///
/// `None` for a formula that speaks of a stretch with an end of its own; see [`latest_decision`] for those.
#[must_use]
pub fn horizon(formula: &Formula) -> Option<Nanos> {
    fn bounded(formula: &Formula) -> bool {
        !matches!(formula, Formula::Throughout { .. }) && formula.parts().into_iter().all(bounded)
    }
    if bounded(formula) { latest_decision(formula, 0).map(|latest| latest.max(0)) } else { None }
}
