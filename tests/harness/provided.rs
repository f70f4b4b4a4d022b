//! What a script of the tests provides, or the reason why it is not available.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::repository;

/// What a script printed as its path, or why it failed; a script runs once for each test binary.
pub(crate) type Provided = OnceLock<Result<PathBuf, String>>;

/// Returns the path that a script of the repository prints; prints why a test is skipped where it fails.
pub(crate) fn provided_or_skip(once: &Provided, script: &str, what: &str) -> Option<PathBuf> {
    let found = once.get_or_init(|| {
        let made = Command::new(repository().join(script))
            .output()
            .map_err(|error| format!("{script} cannot run: {error}"))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if made.status.success() { Ok(PathBuf::from(said(&made.stdout))) } else { Err(said(&made.stderr)) }
    });
    match found {
        Ok(path) => Some(path.clone()),
        Err(reason) => {
            println!("skipped: no {what}: {reason}");
            None
        }
    }
}
