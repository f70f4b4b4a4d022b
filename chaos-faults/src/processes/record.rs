//! What is written down of processes before anything is done to them.

use chaos_core::{injector::Undo, trouble::Trouble};
use serde::{Deserialize, Serialize};

use super::subject::Subject;

/// What an undo record holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The boot that the processes are of.
    pub(super) boot: String,
    /// The pid namespace that their numbers are of.
    pub(super) numbers: u64,
    pub(super) processes: Vec<Subject>,
}

impl State {
    pub(super) fn of(undo: &Undo) -> Result<State, Trouble> {
        serde_json::from_value(undo.state.clone()).map_err(|error| {
            Trouble::unable(format!("the undo record of `{}` cannot be read: {error}", undo.id))
                .with_help("use the version of `chaos` that made the record")
        })
    }

    /// Returns the processes, where they can be there still; none after a boot.
    ///
    /// # Errors
    /// Their numbers are of another pid namespace than this process is in.
    pub(super) fn subjects(self) -> Result<Vec<Subject>, Trouble> {
        if self.boot != boot()? {
            return Ok(Vec::new());
        }
        if self.numbers != numbers()? {
            return Err(Trouble::unable("the processes are of another pid namespace than this one")
                .with_help("restore where the run was started, outside of the container"));
        }
        Ok(self.processes)
    }
}

/// Returns which boot of the machine this is.
pub(super) fn boot() -> Result<String, Trouble> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let read = std::fs::read_to_string(PATH);
    let read = read.map_err(|error| Trouble::unable(format!("`{PATH}` cannot be read: {error}")))?;
    Ok(read.trim_end().to_owned())
}

/// Returns which pid namespace the numbers in `/proc` are of.
///
/// # Errors
/// They are not of the one that this process is in.
pub(super) fn numbers() -> Result<u64, Trouble> {
    use std::os::unix::fs::MetadataExt;
    const PATH: &str = "/proc/self/ns/pid";
    // A `/proc` of another pid namespace has other processes under the same numbers.
    let shown = std::fs::read_link("/proc/self").ok();
    if shown.is_none_or(|shown| shown.as_os_str() != std::process::id().to_string().as_str()) {
        return Err(Trouble::unable("`/proc` is not that of the pid namespace that this program is in")
            .with_help("mount it there: `mount -t proc proc /proc`"));
    }
    let found = std::fs::metadata(PATH);
    Ok(found.map_err(|error| Trouble::unable(format!("`{PATH}` cannot be looked at: {error}")))?.ino())
}
