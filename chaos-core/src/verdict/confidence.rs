//! Verdicts in three values, with the reasons if they are undecided and what would decide them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::{Comparison, Interval, Truth};

/// The verdict on one claim. Once passed or failed it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Outcome {
    /// The claim holds, with the confidence asked for.
    Passed,
    /// The claim does not hold, with the confidence asked for.
    Failed,
    /// What was seen decides neither.
    Inconclusive {
        /// What it probably would have been.
        leaning: Leaning,
        /// Why it is undecided; sorted, each once.
        reasons: Vec<Reason>,
        /// What would decide it, if that can be said in numbers.
        need: Option<Need>,
    },
}

/// What an inconclusive verdict probably would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Leaning {
    /// Probably passed.
    Passed,
    /// Probably failed.
    Failed,
    /// Nothing is probable.
    None,
}

/// Why a claim is undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing was observed for a stretch that mattered.
    Gap,
    /// There were too few samples.
    TooFewSamples,
    /// The run ended before the claim's last deadline.
    HorizonNotReached,
    /// The run was aborted.
    Aborted,
    /// What was owed after a rollback was still open when the next fault began.
    NextFault,
    /// The situation the claim speaks of never came: no event, a false precondition, a fault without effect.
    NotExercised,
    /// The baseline gave no usable value to compare with.
    BaselineUnhealthy,
}

/// What would decide an inconclusive claim, if things go on as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// So many more samples in the phase.
    MoreSamples(u64),
    /// So many more samples in each of the two phases compared.
    MoreSamplesPerPhase(u64),
    /// More samples are unlikely to make it pass: it lies on the wrong side of its limit, or on it.
    UnlikelyToPass,
}

impl Outcome {
    /// Returns the inconclusive verdict for one reason.
    #[must_use]
    pub fn inconclusive(leaning: Leaning, reason: Reason, need: Option<Need>) -> Self {
        Self::Inconclusive { leaning, reasons: vec![reason], need }
    }

    /// Returns passed or failed.
    #[must_use]
    pub fn decided(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }

    /// Whether more data can no longer change it.
    #[must_use]
    pub(crate) fn is_decided(&self) -> bool {
        !matches!(self, Self::Inconclusive { .. })
    }

    /// Returns what it is, or presumably would have been.
    #[must_use]
    pub fn leaning(&self) -> Leaning {
        match self {
            Self::Passed => Leaning::Passed,
            Self::Failed => Leaning::Failed,
            Self::Inconclusive { leaning, .. } => *leaning,
        }
    }

    /// Returns the verdict on `self and other`: a failure outweighs an unknown, an unknown a pass.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Passed, outcome) | (outcome, Self::Passed) => outcome,
            (left, right) => left.blend(right, Leaning::and),
        }
    }

    /// Returns the verdict on `self or other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Passed, _) | (_, Self::Passed) => Self::Passed,
            (Self::Failed, outcome) | (outcome, Self::Failed) => outcome,
            (left, right) => left.blend(right, |a, b| a.not().and(b.not()).not()),
        }
    }

    /// Returns the verdict on `not self`.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "stands beside `and` and `or`")]
    pub fn not(self) -> Self {
        match self {
            Self::Passed => Self::Failed,
            Self::Failed => Self::Passed,
            Self::Inconclusive { leaning, reasons, .. } => {
                Self::Inconclusive { leaning: leaning.not(), reasons, need: None }
            }
        }
    }

    /// Returns this verdict provided that the precondition passed; otherwise the claim was not exercised.
    #[must_use]
    pub fn given(self, precondition: &Self) -> Self {
        if *precondition == Self::Passed {
            return self;
        }
        Self::inconclusive(Leaning::None, Reason::NotExercised, None)
    }

    /// Returns the verdict on all of them; passed when there are none.
    #[must_use]
    pub fn all(outcomes: impl IntoIterator<Item = Self>) -> Self {
        outcomes.into_iter().fold(Self::Passed, Self::and)
    }

    /// Returns the place in a report, the worst first: failed, inconclusive, passed.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Failed => 0,
            Self::Inconclusive { .. } => 1,
            Self::Passed => 2,
        }
    }

    fn blend(self, other: Self, lean: impl Fn(Leaning, Leaning) -> Leaning) -> Self {
        let leaning = lean(self.leaning(), other.leaning());
        let (mut reasons, mut needs) = (Vec::new(), Vec::new());
        for outcome in [self, other] {
            if let Self::Inconclusive { reasons: more, need, .. } = outcome {
                reasons.extend(more);
                needs.extend(need);
            }
        }
        reasons.sort();
        reasons.dedup();
        Self::Inconclusive { leaning, reasons, need: needs.into_iter().max_by_key(Need::size) }
    }
}

impl Leaning {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Passed, Self::Passed) => Self::Passed,
            _ => Self::None,
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Passed => Self::Failed,
            Self::Failed => Self::Passed,
            Self::None => Self::None,
        }
    }
}

impl Need {
    /// Orders needs by how hard they are to meet.
    fn size(&self) -> u64 {
        match self {
            Self::MoreSamples(samples) | Self::MoreSamplesPerPhase(samples) => *samples,
            Self::UnlikelyToPass => u64::MAX,
        }
    }
}

/// How sure a verdict must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// The chance, at most, of a wrong decided verdict on one claim: 0.05 for 95 %.
    pub alpha: f64,
}

impl Default for Confidence {
    fn default() -> Self {
        Self { alpha: 0.05 }
    }
}

impl Confidence {
    /// Returns the confidence of the given share, such as 0.95.
    #[must_use]
    pub fn of(share: f64) -> Self {
        Self { alpha: (1.0 - share).clamp(1e-12, 0.5) }
    }
}

/// One number computed from samples, with how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The number itself; an interval when samples behind it are only bounded, as timeouts are.
    pub value: Interval,
    /// The confidence bounds; each side may be wrong with the chance asked for.
    pub bounds: Interval,
    /// The same with care for how little is known of the correlation of neighbouring samples; these decide what passes.
    pub careful: Interval,
    /// How many samples it was computed from.
    pub samples: u64,
    /// How many independent samples those are worth.
    pub effective_samples: f64,
}

/// The verdict on a claim about one number, with the number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The verdict.
    pub outcome: Outcome,
    /// What was compared: a statistic, or its difference to the baseline's. `None` without any sample.
    pub estimate: Option<Estimate>,
    /// What it was compared with.
    pub limit: f64,
    /// By how much the number itself, not its bounds, meets the limit, in its unit.
    pub margin: Option<Interval>,
}

impl Judged {
    /// Judges an estimate by its confidence bounds; `need` is asked for only when they leave it open.
    ///
    /// On the side that must clear the limit for the claim to pass the careful bound counts, and stands in the result.
    #[must_use]
    pub(crate) fn by_bounds(
        mut estimate: Estimate,
        comparison: Comparison,
        limit: f64,
        need: impl FnOnce(Leaning) -> Option<Need>,
    ) -> Self {
        let Interval { lo, hi } = estimate.careful;
        match comparison {
            Comparison::AtLeast | Comparison::Above => estimate.bounds.lo = lo.min(estimate.bounds.lo),
            Comparison::AtMost | Comparison::Below => estimate.bounds.hi = hi.max(estimate.bounds.hi),
            Comparison::Equal | Comparison::NotEqual => {}
        }
        let against = Interval::exactly(limit);
        let outcome = match comparison.truth(estimate.bounds, against) {
            Truth::True => Outcome::Passed,
            Truth::False => Outcome::Failed,
            Truth::Unknown => {
                let leaning = Leaning::from(comparison.truth(estimate.value, against));
                Outcome::inconclusive(leaning, Reason::TooFewSamples, need(leaning))
            }
        };
        let margin = Some(comparison.margin(estimate.value, against));
        Self { outcome, estimate: Some(estimate), limit, margin }
    }

    /// Judges a number as it was observed, without asking how sure it is.
    #[must_use]
    pub(crate) fn as_observed(
        value: Option<Interval>,
        samples: u64,
        comparison: Comparison,
        limit: f64,
    ) -> Self {
        let Some(value) = value else { return Self::without(Reason::TooFewSamples, limit, None) };
        let estimate =
            Estimate { value, bounds: value, careful: value, samples, effective_samples: samples as f64 };
        Self::by_bounds(estimate, comparison, limit, |_| None)
    }

    /// Returns the verdict where there is no number at all.
    #[must_use]
    pub fn without(reason: Reason, limit: f64, need: Option<Need>) -> Self {
        Self {
            outcome: Outcome::inconclusive(Leaning::None, reason, need),
            estimate: None,
            limit,
            margin: None,
        }
    }
}

impl From<Truth> for Leaning {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Passed,
            Truth::False => Self::Failed,
            Truth::Unknown => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(leaning: Leaning, reason: Reason) -> Outcome {
        Outcome::inconclusive(leaning, reason, None)
    }

    #[test]
    fn the_tables_of_three_valued_logic() {
        let unknown = open(Leaning::Passed, Reason::Gap);
        let (passed, failed) = (Outcome::Passed, Outcome::Failed);
        assert_eq!(passed.clone().and(unknown.clone()), unknown);
        assert_eq!(failed.clone().and(unknown.clone()), failed);
        assert_eq!(passed.clone().or(unknown.clone()), passed);
        assert_eq!(failed.clone().or(unknown.clone()), unknown);
        assert_eq!(unknown.clone().not().leaning(), Leaning::Failed);
        assert_eq!(Outcome::all([]), passed);
        assert_eq!(Outcome::all([passed, unknown, failed]), Outcome::Failed);
    }

    #[test]
    fn reasons_are_collected_and_the_harder_need_counts() {
        let few = Outcome::inconclusive(Leaning::Passed, Reason::TooFewSamples, Some(Need::MoreSamples(5)));
        let gap = Outcome::inconclusive(Leaning::None, Reason::Gap, Some(Need::MoreSamplesPerPhase(9)));
        assert_eq!(
            few.and(gap),
            Outcome::Inconclusive {
                leaning: Leaning::None,
                reasons: vec![Reason::Gap, Reason::TooFewSamples],
                need: Some(Need::MoreSamplesPerPhase(9)),
            }
        );
    }

    #[test]
    fn a_claim_whose_precondition_failed_was_not_exercised() {
        let expected = open(Leaning::None, Reason::NotExercised);
        assert_eq!(Outcome::Passed.given(&Outcome::Failed), expected);
        assert_eq!(Outcome::Failed.given(&Outcome::Passed), Outcome::Failed);
    }

    #[test]
    fn the_record_spells_verdicts_out() {
        let text = serde_json::to_string(&open(Leaning::None, Reason::NotExercised)).unwrap();
        assert_eq!(
            text,
            r#"{"verdict":"inconclusive","leaning":"none","reasons":["not-exercised"],"need":null}"#
        );
        assert_eq!(serde_json::to_string(&Outcome::Passed).unwrap(), r#"{"verdict":"passed"}"#);
    }
}
