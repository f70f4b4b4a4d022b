//! The exit codes: distinct, documented, and ranked for several files.

use std::process::ExitCode;

/// How a command ended; ordered from the best to the worst, and the worst of several files is the command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: all that was asked for is done; every experiment passed.
    Passed,
    /// 3: nothing failed, and the data does not decide.
    Inconclusive,
    /// 5: the run went well, but what shows it could not be kept or printed.
    NotKept,
    /// 1: a hypothesis failed.
    Failed,
    /// 4: an abort condition, or a person, ended a run early.
    Aborted,
    /// 5: nothing was injected: the steady state did not hold, the blast radius was too small, or this machine cannot.
    Refused,
    /// 2: the input has errors, or the command line.
    BadInput,
    /// 6: a right is missing.
    NotPermitted,
    /// 7: something is not restored, and the message says what finishes it.
    NotRestored,
}

impl Exit {
    /// Every code with its meaning, for the documentation and `--help`.
    pub(crate) const ALL: [(Exit, u8, &str); 9] = [
        (Exit::Passed, 0, "passed: every expectation held, everything restored"),
        (Exit::Failed, 1, "failed: an expectation did not hold"),
        (Exit::BadInput, 2, "bad input: errors in a file or on the command line"),
        (Exit::Inconclusive, 3, "inconclusive: nothing failed, and the data does not decide"),
        (Exit::Aborted, 4, "aborted: an abort condition or a person ended the run early"),
        (Exit::Refused, 5, "refused: nothing was injected (steady state, blast radius, environment)"),
        (
            Exit::NotKept,
            5,
            "not kept: the evidence could not be written (a full disk, a folder that vanished)",
        ),
        (Exit::NotPermitted, 6, "not permitted: a right is missing"),
        (
            Exit::NotRestored,
            7,
            "not restored: something is still in place; the message says what finishes it",
        ),
    ];

    /// Returns the number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        Exit::ALL.iter().find(|(exit, ..)| *exit == self).map_or(1, |(_, code, _)| *code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_the_worst_outranks() {
        // What is not kept shares its code with what is refused: neither shows anything, and both can be tried again.
        let own = Exit::ALL.iter().filter(|(exit, ..)| *exit != Exit::NotKept);
        let codes: std::collections::BTreeSet<u8> = own.map(|(_, code, _)| *code).collect();
        assert_eq!(codes.len(), Exit::ALL.len() - 1);
        assert_eq!(Exit::NotKept.code(), Exit::Refused.code());
        // Evidence is missed where something went well; a failure stays one.
        assert_eq!([Exit::Passed, Exit::NotKept, Exit::Inconclusive].into_iter().max(), Some(Exit::NotKept));
        assert_eq!([Exit::Failed, Exit::NotKept].into_iter().max(), Some(Exit::Failed));
        let mixed = [Exit::Passed, Exit::Failed, Exit::NotRestored, Exit::Aborted];
        assert_eq!(mixed.into_iter().max().map(Exit::code), Some(7));
        assert_eq!([Exit::Inconclusive, Exit::Passed, Exit::Failed].into_iter().max(), Some(Exit::Failed));
    }
}
