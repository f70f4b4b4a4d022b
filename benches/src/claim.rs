//! Figures and aims, printed as they come.

use std::{fmt::Display, process::ExitCode};

use crate::{Failure, processor};

/// Prints figures and remembers which aims were missed.
#[derive(Debug)]
pub(crate) struct Claims {
    asserted: bool,
    missed: Vec<String>,
}

impl Claims {
    /// Prints the title and what machine this is; `asserted` makes a missed aim a failure.
    pub(crate) fn new(title: &str, asserted: bool) -> Self {
        println!("{title}\n{}\n", processor::machine());
        Claims { asserted, missed: Vec::new() }
    }

    /// Prints a figure.
    pub(crate) fn figure(&self, what: &str, figure: impl Display) {
        println!("  {what:<66} {figure}");
    }

    /// Prints a heading between figures.
    pub(crate) fn heading(&self, what: &str) {
        println!("\n{what}");
    }

    /// Prints a figure that has an aim, and whether it was met.
    pub(crate) fn aim(&mut self, what: &str, figure: impl Display, aim: &str, met: bool) {
        let verdict = if met { "met" } else { "MISSED" };
        println!("  {what:<66} {figure}   (aim {aim}: {verdict})");
        if !met {
            self.missed.push(format!("{what}: {figure}, aim {aim}"));
        }
    }

    /// Ends the program: with an error if aims were missed and that is asked for, or if measuring itself failed.
    pub(crate) fn finish(self, measured: Result<(), Failure>) -> ExitCode {
        if let Err(error) = measured {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
        if self.missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("\nmissed: {}", self.missed.join("\n        "));
        if self.asserted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
