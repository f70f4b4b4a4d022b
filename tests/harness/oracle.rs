//! Other implementations to compare with.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::repository;

/// Returns a Python that has what `tests/oracle/requirements.txt` names; prints why a test is skipped where there is none.
pub fn oracle_or_skip() -> Option<PathBuf> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let made = Command::new(repository().join("tests/oracle/python"))
            .output()
            .map_err(|error| format!("tests/oracle/python cannot run: {error}"))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if made.status.success() { Ok(PathBuf::from(said(&made.stdout))) } else { Err(said(&made.stderr)) }
    });
    match found {
        Ok(python) => Some(python.clone()),
        Err(reason) => {
            println!("skipped: no oracle: {reason}");
            None
        }
    }
}
