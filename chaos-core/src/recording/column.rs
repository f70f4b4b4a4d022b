//! One column: its values, and what of it was not a number.

use crate::time::Nanos;

/// The values of one signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its values at the instants of the rows; none: unknown.
    pub points: Vec<(Nanos, Option<f64>)>,
    /// The first value that is neither true nor false nor 0 nor 1, where there is one.
    pub first_number: Option<f64>,
    /// How many values were NaN or infinite, and count as unknown.
    pub not_numbers: u64,
    /// The line in which the first of these stands, where lines are known.
    pub first_not_number: Option<u64>,
}

impl Column {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Column {
            name: name.into(),
            points: Vec::new(),
            first_number: None,
            not_numbers: 0,
            first_not_number: None,
        }
    }

    /// Appends a value; what is not finite counts as unknown.
    pub(super) fn push(&mut self, at: Nanos, value: Option<f64>, line: Option<u64>) {
        let known = value.filter(|value| value.is_finite());
        if value.is_some() && known.is_none() {
            self.not_numbers += 1;
            self.first_not_number = self.first_not_number.or(line);
        }
        if self.first_number.is_none() {
            self.first_number = known.filter(|value| *value != 0.0 && *value != 1.0);
        }
        self.points.push((at, known));
    }

    /// Returns a remark on values that were not numbers, where there were any.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        if self.not_numbers == 0 {
            return None;
        }
        let first =
            self.first_not_number.map_or_else(String::new, |line| format!(", the first in line {line}"));
        let (values, count) = if self.not_numbers == 1 { ("value", "counts") } else { ("values", "count") };
        Some(format!(
            "{} {values} of `{}` {count} as unknown: NaN or infinite{first}",
            self.not_numbers, self.name
        ))
    }
}
