//! What comes in the place of processes that ended: a process that is new, of the same executable, command line and network.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::subject::{Doing, Subject};
use crate::{
    inventory::{Process, all_processes, namespace_inode},
    living,
};

/// How many clock ticks a second has in `/proc`, on every Linux.
const TICKS: u64 = 100;

/// Processes that are about to end, and what came in their place.
pub(super) struct Healing {
    /// All that ran before.
    before: BTreeSet<Process>,
    /// Clock ticks between boot and then.
    from: u64,
    wanted: Vec<Look>,
    /// Who came, after how long, in whose place.
    healed: Vec<(Process, Duration, Look)>,
}

/// What a process is known by again.
#[derive(PartialEq, Eq)]
struct Look {
    executable: PathBuf,
    command: String,
    network: u64,
}

impl Look {
    fn of(subject: &Subject) -> Option<Self> {
        let executable = std::fs::read_link(living::folder(subject.pid).join("exe")).ok()?;
        let network = namespace_inode(subject.pid)?;
        Some(Look { executable, command: subject.command.clone(), network })
    }
}

impl Healing {
    /// Looks at the processes while they are there still, and before any that belongs to them ends.
    pub(super) fn of(subjects: &[Subject]) -> Self {
        let before = all_processes().into_iter().collect();
        let wanted = subjects.iter().filter_map(Look::of).collect();
        Healing { before, from: now(), wanted, healed: Vec::new() }
    }

    /// Begins to measure: they end now.
    pub(super) fn begin(&mut self) {
        self.from = now();
    }

    /// Looks who came in their place since, and lives. A child takes its parent's looks until it runs its own program, so nobody is ruled out
    /// for good.
    pub(super) fn look(&mut self) {
        let (live, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut self.healed)
            .into_iter()
            .partition(|(process, ..)| Subject::of(*process).doing() != Doing::Gone);
        self.healed = live;
        // One that ended, too, healed nothing.
        self.wanted.extend(ended.into_iter().map(|(_, _, look)| look));
        if self.wanted.is_empty() {
            return;
        }
        for process in all_processes() {
            if self.before.contains(&process) || self.healed.iter().any(|(other, ..)| *other == process) {
                continue;
            }
            let subject = Subject::of(process);
            let Some(look) = Look::of(&subject).filter(|_| subject.doing() != Doing::Gone) else { continue };
            if let Some(at) = self.wanted.iter().position(|wanted| *wanted == look) {
                self.wanted.swap_remove(at);
                let ticks = process.started.saturating_sub(self.from);
                self.healed.push((process, Duration::from_millis(ticks * 1000 / TICKS), look));
            }
        }
    }

    /// Says what came of it.
    pub(super) fn line(&self) -> String {
        let last = self.healed.iter().map(|(_, after, _)| *after).max();
        match (last, self.wanted.len()) {
            (None, _) => "nothing came in their place".to_owned(),
            (Some(last), 0) => format!("healed after {:.2}s", last.as_secs_f64()),
            (Some(last), missing) => {
                let healed = self.healed.len();
                format!("{healed} healed, the last after {:.2}s, and {missing} not", last.as_secs_f64())
            }
        }
    }
}

/// Returns how many clock ticks passed since boot.
fn now() -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
    (seconds * TICKS as f64) as u64
}
