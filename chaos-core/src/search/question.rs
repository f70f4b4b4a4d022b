//! What a search is asked.

use serde::{Deserialize, Serialize};

use crate::model::Quantity;

/// How many trials there are at most, where the file says nothing.
pub const MOST_TRIALS: u32 = 60;
/// The smallest tolerance, as a share of the range: the posterior's grid is not finer.
pub const LEAST_TOLERANCE: f64 = 1.0 / 200.0;
/// The largest tolerance, as a share of the range.
pub const MOST_TOLERANCE: f64 = 0.25;

/// Which parameter, between which levels, how exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Question {
    /// The parameter.
    param: String,
    /// The mildest level.
    low: Quantity,
    /// The harshest level.
    high: Quantity,
    /// The half-width that the answer's interval shall have at most.
    tolerance: Quantity,
    /// How many trials there are at most.
    most_trials: u32,
}

/// Why something cannot be asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuestionError {
    /// The ends and the tolerance are of different units.
    #[error("the range and the tolerance must have the same unit")]
    Units,
    /// There is nothing between the ends.
    #[error("the range {low} .. {high} is empty")]
    Empty {
        /// The lower end.
        low: Quantity,
        /// The upper end.
        high: Quantity,
    },
    /// A number has more digits than levels have.
    #[error("levels are written with fewer digits: {asked} would be {written}")]
    Digits {
        /// What was asked, in the base of its unit.
        asked: f64,
        /// What would be written.
        written: Quantity,
    },
    /// The tolerance is too fine or too coarse.
    #[error("a range of {range} can be searched to within {least} .. {most}, and not to within {asked}")]
    Tolerance {
        /// The length of the range.
        range: Quantity,
        /// What was asked.
        asked: Quantity,
        /// The finest.
        least: Quantity,
        /// The coarsest.
        most: Quantity,
    },
}

impl Question {
    /// Asks for the breaking point of a parameter between two levels, with an interval of at most this half-width.
    pub fn new(
        param: impl Into<String>,
        low: Quantity,
        high: Quantity,
        tolerance: Quantity,
    ) -> Result<Self, QuestionError> {
        if low.unit != high.unit || low.unit != tolerance.unit {
            return Err(QuestionError::Units);
        }
        for end in [low, high, tolerance] {
            // Levels are handed on as text: what is tried must be what is said to have been tried.
            let written = end.as_written();
            if written != end {
                return Err(QuestionError::Digits { asked: end.value, written });
            }
        }
        let range = high.value - low.value;
        if !range.is_finite() || range <= 0.0 {
            return Err(QuestionError::Empty { low, high });
        }
        let of = |value| Quantity::new(value, low.unit);
        let (least, most) = (range * LEAST_TOLERANCE, range * MOST_TOLERANCE);
        // A tolerance of exactly the finest passes whatever the last bit of the division says.
        if !(least * 0.999_999..=most * 1.000_001).contains(&tolerance.value) {
            return Err(QuestionError::Tolerance {
                range: of(range),
                asked: tolerance,
                least: of(least),
                most: of(most),
            });
        }
        Ok(Question { param: param.into(), low, high, tolerance, most_trials: MOST_TRIALS })
    }

    /// Sets how many trials there are at most.
    #[must_use]
    pub fn at_most(mut self, trials: u32) -> Self {
        self.most_trials = trials;
        self
    }

    /// Returns the parameter.
    pub fn param(&self) -> &str {
        &self.param
    }

    /// Returns the mildest level.
    pub fn low(&self) -> Quantity {
        self.low
    }

    /// Returns the harshest level.
    pub fn high(&self) -> Quantity {
        self.high
    }

    /// Returns the half-width that the answer's interval shall have at most.
    pub fn tolerance(&self) -> Quantity {
        self.tolerance
    }

    /// Returns how many trials there are at most.
    pub fn most_trials(&self) -> u32 {
        self.most_trials
    }

    /// Returns the level of the first trial: the mildest, or one tolerance above it where that is not a fault at all.
    pub fn start(&self) -> Quantity {
        if self.low.value > 0.0 { self.low } else { self.tolerance }
    }
}
