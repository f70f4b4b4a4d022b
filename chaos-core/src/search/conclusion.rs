//! What a search found out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::EndedBy;
use crate::model::Quantity;

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
        /// Up to where it holds at least nine times in ten, with 95 % credibility; none where that lies below the range.
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
    /// A run did not take place, or left something behind.
    Ended {
        /// The level.
        at: Quantity,
        /// What ended it.
        by: EndedBy,
        /// Why, one line for people.
        reason: String,
    },
}

impl Conclusion {
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

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |f: &mut fmt::Formatter<'_>, reliable: &Option<Quantity>| match reliable {
            Some(level) => write!(f, "; holds at least 9 times in 10 up to >= {level}"),
            None => Ok(()),
        };
        match self {
            Conclusion::Found { point, lower, upper, reliable, enough } => {
                write!(f, "holds up to {point}, {lower} .. {upper} (50 % point, 90 % credible)")?;
                bound(f, reliable)?;
                f.write_str(if *enough {
                    ""
                } else {
                    "; the trials were used up before that was as exact as asked"
                })
            }
            Conclusion::NotFound { up_to, reliable } => {
                write!(f, "no breaking point found up to {up_to}")?;
                bound(f, reliable)
            }
            Conclusion::AlreadyFails { at } => write!(f, "already fails at {at}"),
            Conclusion::NotMonotone { from, to, held, of, .. } => write!(
                f,
                "there is no single breaking point: {held} of {of} trials from {from} to {to} held, against what \
                 the levels around them say"
            ),
            Conclusion::Undecided { at, tried } => {
                write!(f, "{at} cannot be told: {tried} trials in a row were inconclusive")
            }
            Conclusion::Ended { at, by, reason } => write!(f, "ended at {at}: the run was {by}: {reason}"),
        }
    }
}
