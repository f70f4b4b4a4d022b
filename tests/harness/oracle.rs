//! Other implementations to compare with.

use std::path::PathBuf;

use crate::provided::{Provided, provided_or_skip};

/// Returns a Python that has what `tests/oracle/requirements.txt` names; prints why a test is skipped where there is none.
pub fn oracle_or_skip() -> Option<PathBuf> {
    static PYTHON: Provided = Provided::new();
    provided_or_skip(&PYTHON, "tests/oracle/python", "oracle")
}
