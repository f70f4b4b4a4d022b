//! Formulas on their own, for signals that were recorded elsewhere.
//!
//! 1. [`crate::parse::parse_temporal`] reads the text: the core notation of `chaos explain`, and the forms of claims.
//! 2. [`compile`] gives it its meaning in a [`Setting`]: which signals there are, and when phases and events were. What
//!    comes out is a [`Question`], whose [`Statement`] is judged on a [`Trace`](chaos_core::verdict::monitor::Trace) of its
//!    signals.
//! 3. [`Question::notation`] writes what it stands for in core notation, which [`compile`] reads again.
//!
//! ```
//! use chaos_core::{recording, verdict::{Interval, Outcome, monitor::Trace}};
//! use chaos_dsl::eval::{Known, Setting, compile};
//!
//! let recording = recording::read(b"time,x\n0,1\n4,7\n6,2\n9,2\n")?;
//! let setting = Setting::new([Known::number("x")], 9_000_000_001);
//! let question = compile("eventually[0s,5s] always[0s,2s] (x <= 5)", &setting).unwrap();
//! let column = recording.column(&question.signals[0]).unwrap();
//! let trace = Trace::new(vec![recording.signal(column, Interval::EVERYTHING)?]);
//! assert_eq!(question.statement.judge(&trace).outcome, Outcome::Passed);
//! # Ok::<(), recording::Error>(())
//! ```

mod claim;
mod lower;
mod relation;
mod setting;

use chaos_core::span::{FileId, Span};
use chaos_core::verdict::monitor::{Atom, Statement};

use crate::diagnostic::Diagnostic;
use crate::{parse, print};

pub use setting::{Known, Setting};

/// A formula with its meaning.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub statement: Statement,
    /// The signals it speaks of; `SignalId(i)` is the one at index `i`.
    pub signals: Vec<String>,
    /// Its comparisons as they were written; the atom of id `i` is the one at index `i`.
    pub comparisons: Vec<Comparison>,
    /// One past the last instant of the setting, which `end` stands for.
    end: i64,
}

/// A comparison as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The words.
    pub text: String,
    /// Where they stand.
    pub span: Span,
}

/// Compiles a formula; its places are in the file with the id 0.
///
/// # Errors
///
/// Everything that is wrong, in order of place.
pub fn compile(text: &str, setting: &Setting) -> Result<Question, Vec<Diagnostic>> {
    let tree = parse::parse_temporal(FileId(0), text)?;
    let mut lowering = lower::Lowering::new(setting, text);
    match lowering.statement(&tree) {
        Some(statement) if lowering.reports.is_empty() => Ok(Question {
            statement,
            signals: lowering.signals,
            comparisons: lowering.comparisons,
            end: setting.end,
        }),
        _ => Err(lowering.reports),
    }
}

impl Question {
    /// Writes what the formula stands for in core notation; [`compile`] reads it again.
    #[must_use]
    pub fn notation(&self) -> String {
        print::temporal::statement(&self.statement, self.end, &|atom: &Atom| {
            self.comparisons
                .get(atom.id as usize)
                .map_or_else(String::new, |comparison| comparison.text.clone())
        })
    }
}

#[cfg(test)]
mod tests;
