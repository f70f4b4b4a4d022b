//! What a search found out.

use serde::{Deserialize, Serialize};

use crate::{model::Quantity, outcome::Verdict};

/// What a search found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Conclusion {
    /// A breaking point.
    #[serde(rename = "breaking-point")]
    Found {
        /// The level at which it holds half of the time.
        point: Quantity,
        /// The lower end of the 90 % credible interval; of fewer than 15 answers it is widened by a fifth, since the search
        /// stops as soon as it is narrow enough.
        lower: Quantity,
        /// Its upper end.
        upper: Quantity,
        /// Up to where it holds at least nine times in ten, with 95 % credibility; `None` if that lies below the range.
        reliable: Option<Quantity>,
        /// Whether the interval is as narrow as was asked; else the trials were used up.
        enough: bool,
    },
    /// The harshest level held.
    #[serde(rename = "nothing")]
    NotFound {
        /// The harshest level.
        up_to: Quantity,
        /// Up to where it holds at least nine times in ten, with 95 % credibility.
        reliable: Option<Quantity>,
    },
    /// The mildest level did not hold.
    AlreadyFails {
        /// The mildest level that was tried.
        at: Quantity,
    },
    /// It does not hold less and less often with growing intensity, so that no single number says where it breaks.
    NotMonotone {
        /// The levels that went against the rest.
        from: Quantity,
        /// Their end.
        to: Quantity,
        /// How many of the trials there held.
        held: usize,
        /// How many there were.
        of: usize,
        /// How probable as many or more of the unlikely kind would have been.
        chance: f64,
    },
    /// A level stayed inconclusive.
    Undecided {
        /// The level.
        at: Quantity,
        /// How often it was tried in a row.
        tried: usize,
    },
    /// A run did not take place, could not be kept, or left something behind.
    Ended {
        /// The level.
        at: Quantity,
        /// What ended it: not kept, refused, not permitted or not restored.
        by: Verdict,
        /// Why, one line for people.
        reason: String,
    },
}

impl Conclusion {
    /// Ranks it among the verdicts of runs: an answer is what was asked for, and only what fails everywhere has failed.
    pub fn verdict(&self) -> Verdict {
        match self {
            Conclusion::Found { enough: true, .. } | Conclusion::NotFound { .. } => Verdict::Passed,
            Conclusion::AlreadyFails { .. } => Verdict::Failed,
            Conclusion::Found { .. } | Conclusion::NotMonotone { .. } | Conclusion::Undecided { .. } => {
                Verdict::Inconclusive
            }
            Conclusion::Ended { by, .. } => *by,
        }
    }

    /// Returns whether it answers the question.
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            Conclusion::Found { enough: true, .. }
                | Conclusion::NotFound { .. }
                | Conclusion::AlreadyFails { .. }
        )
    }
}

impl Conclusion {
    /// Describes the conclusion in one sentence, with the name of the parameter that was searched.
    pub fn describe(&self, param: &str) -> String {
        let safe = |reliable: &Option<Quantity>| match reliable {
            Some(level) => {
                format!("; safe level: {level} (holds in at least 9 of 10 runs, with 95% credibility)")
            }
            None => String::new(),
        };
        match self {
            Conclusion::Found { point, lower, upper, reliable, enough } => {
                let safe = safe(reliable);
                let short =
                    if *enough { "" } else { "; the trials were used up before that was as exact as asked" };
                format!(
                    "holds up to {param} = {point} (50% point; 90% credible: {lower} to {upper}){safe}{short}"
                )
            }
            Conclusion::NotFound { up_to, reliable } => {
                format!("no breaking point found up to {param} = {up_to}{}", safe(reliable))
            }
            Conclusion::AlreadyFails { at } => format!("already fails at {param} = {at}"),
            Conclusion::NotMonotone { from, to, held, of, .. } => format!(
                "there is no single breaking point: {held} of {of} trials from {param} = {from} to {to} held, which \
                 contradicts the levels around them"
            ),
            Conclusion::Undecided { at, tried } => {
                format!("{param} = {at} is undecided: {tried} trials in a row were inconclusive")
            }
            Conclusion::Ended { at, by, reason } => {
                format!("ended at {param} = {at}: the run was {by}: {reason}")
            }
        }
    }
}
