//! Signals recorded by others: from the text of a file to what formulas are evaluated on.
//!
//! 1. [`read`] takes the bytes of a CSV file, of JSON, or of an answer of Prometheus, tells which it is by its first
//!    character, and returns a [`Recording`]: columns of values at strictly increasing instants.
//! 2. [`align`] puts several recordings on one axis of time.
//! 3. [`Recording::signal`] makes a [`Signal`] of a column within the physical range of what it measures.
//!
//! It stands beside [`crate::verdict`] rather than in it, because verdicts know no text. A value holds until the next row,
//! the last row is known at its own instant and everything after it is unknown. What is not a number, such as NaN, counts as
//! unknown, and a [`Recording`] remembers that, so that it is reported.

mod column;
mod csv;
mod instant;
mod json;
mod prometheus;

use crate::verdict::interval::Interval;
use crate::verdict::signal::{Blank, Signal};
use crate::{time::Nanos, verdict::steps::shifted};

pub use column::Column;
pub use instant::{Axis, Instant};

/// Why a recording cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line and, where it is known, the column in the file, from 1.
    pub place: Option<(u64, Option<u64>)>,
}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Error { message: message.into(), help: None, place: None }
    }

    fn line(mut self, line: u64) -> Self {
        self.place = Some((line, None));
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Columns of values over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Whether times count from the recording's own zero or from an instant of the calendar.
    pub axis: Axis,
    /// The columns, each with a name of its own.
    pub columns: Vec<Column>,
    /// The instant of the first row, or `None` if there is no row.
    pub first: Option<Nanos>,
    /// The instant of the last row: nothing later is known.
    pub last: Option<Nanos>,
    /// How long a value holds at most; `None` if it holds until the next row.
    pub stale_after: Option<Nanos>,
}

/// Reads a recording; the first character tells JSON from CSV.
///
/// # Errors
///
/// When the text has no rows, or is not what it begins like; see [`Error`].
pub fn read(text: &[u8]) -> Result<Recording, Error> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::new("the file is not UTF-8").line(line)
    })?;
    match text.trim_start().chars().next() {
        None => {
            Err(Error::new("the file is empty").help("the first line names the columns: `time,latency,up`"))
        }
        Some('{' | '[') => json::read(text),
        Some(_) => csv::read(text),
    }
}

/// Puts recordings on one axis of time, on which `zero` is 0.
///
/// Without `zero`, times that count from a zero of their own stay as they are, and the first of all instants of the calendar
/// becomes 0.
///
/// # Errors
///
/// When `zero` is an instant of the calendar and a recording has none, or the other way round.
pub fn align(recordings: &mut [Recording], zero: Option<Instant>) -> Result<(), Error> {
    let first = recordings.iter().filter(|r| r.axis == Axis::Calendar).filter_map(|r| r.first).min();
    for recording in recordings {
        let zero = match zero {
            Some(zero) if zero.axis == recording.axis => zero.at,
            Some(_) => {
                return Err(Error::new(
                    "the zero of time is of another kind than the times of the recording",
                )
                .help(match recording.axis {
                    Axis::Own => "write seconds, as the recording does",
                    Axis::Calendar => "write a date with its time, such as `2026-01-31T12:00:00Z`",
                }));
            }
            None => match recording.axis {
                Axis::Own => 0,
                Axis::Calendar => first.unwrap_or(0),
            },
        };
        recording.shift(zero.saturating_neg());
    }
    Ok(())
}

impl Recording {
    /// Adds a column of which nothing is known.
    pub fn add_unknown(&mut self, name: &str) {
        self.columns.push(Column::new(name));
    }

    fn shift(&mut self, by: Nanos) {
        self.axis = Axis::Own;
        self.first = self.first.map(|at| shifted(at, by));
        self.last = self.last.map(|at| shifted(at, by));
        for column in &mut self.columns {
            for (at, _) in &mut column.points {
                *at = shifted(*at, by);
            }
        }
    }

    /// Returns the column of a name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns a column as a signal within the physical range of what it measures; values outside of it are an error,
    /// as every interval computed from a wrong range would be wrong.
    ///
    /// # Errors
    ///
    /// When a value lies outside of the range.
    pub fn signal(&self, column: &Column, range: Interval) -> Result<Signal, Error> {
        let outside = |(_, value): &&(Nanos, Option<f64>)| value.is_some_and(|value| !range.contains(value));
        if let Some((at, Some(value))) = column.points.iter().find(outside) {
            return Err(Error::new(format!(
                "`{}` is {value} at {} s, outside of its range {}..{}",
                column.name,
                *at as f64 / 1e9,
                end(range.lo),
                end(range.hi)
            ))
            .help("declare a range that holds every value there can be, or none"));
        }
        let Some(last) = self.last else { return Ok(Signal::unknown(range)) };
        let Some(stale_after) = self.stale_after else {
            return Ok(Signal::from_points(range, column.points.iter().copied(), last));
        };
        let mut signal = Signal::unknown(range);
        for (index, (at, value)) in column.points.iter().enumerate() {
            match value {
                Some(value) => signal.set(*at, Interval::exactly(*value)),
                None => signal.blank(*at, Blank::Gap),
            }
            let stale = shifted(*at, stale_after);
            if column.points.get(index + 1).is_none_or(|(next, _)| stale < *next) {
                signal.blank(stale, Blank::Gap);
            }
        }
        signal.hear(last);
        Ok(signal.known_until(last))
    }
}

fn end(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

/// Checks that instants come in the order of time, each once.
#[derive(Debug, Default)]
struct Order {
    latest: Option<(Nanos, String)>,
}

impl Order {
    fn next(&mut self, at: Nanos, written: &str) -> Result<(), Error> {
        if let Some((latest, before)) = &self.latest {
            if at == *latest {
                return Err(Error::new(format!("the time `{written}` stands twice"))
                    .help("a signal has one value at each instant: keep one of the rows"));
            }
            if at < *latest {
                return Err(Error::new(format!("the time `{written}` comes after `{before}`"))
                    .help("rows stand in the order of time"));
            }
        }
        self.latest = Some((at, written.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
