//! Paying what dead runs owe: their journals are replayed, and what is owed is reverted in reverse order.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    injector::{Injector, Undo},
    journal::{Entry, FileJournal, Header, History, Journal, Registry, RegistryError, Reopened, RunEntry},
    place::ObjectId,
    trouble::Trouble,
};

/// How long restoring waits for what.
#[derive(Clone, Debug)]
pub struct RestorePolicy {
    /// How long one attempt to revert a part may take.
    pub revert: Duration,
    /// How often a part is tried.
    pub attempts: u32,
    /// The pause before everything that failed is tried again; it doubles each time.
    pub pause: Duration,
}

impl Default for RestorePolicy {
    fn default() -> Self {
        RestorePolicy { revert: Duration::from_secs(10), attempts: 4, pause: Duration::from_millis(250) }
    }
}

/// What became of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredRun {
    /// The run's id.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// Its journal.
    pub journal: PathBuf,
    /// What was done.
    pub outcome: Outcome,
}

/// What restoring did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was owed.
    NothingToDo,
    /// The run is alive and puts things back on its own; it was not touched.
    StillRunning {
        /// Its id, where that is known already.
        run: Option<String>,
        /// Its process, where that is known already.
        pid: Option<u32>,
    },
    /// Everything that was owed is back.
    Restored {
        /// What was put back, a line each.
        parts: Vec<String>,
    },
    /// Something is still owed.
    NotRestored {
        /// What was put back, a line each.
        parts: Vec<String>,
        /// What was not, and why, a line each.
        left: Vec<String>,
    },
    /// The journal does not say what is owed, and nothing stands on the run's targets.
    NothingLeft {
        /// What is wrong with the journal.
        why: String,
    },
    /// The journal does not say what is owed, and something stands on the run's targets.
    LeftOver {
        /// What is wrong with the journal.
        why: String,
        /// What stands, with what removes it, a line each.
        found: Vec<String>,
    },
    /// The journal cannot be read, and the targets cannot be looked at, so what is owed is not known.
    Unreadable {
        /// Why not.
        reason: String,
        /// The likely fix.
        help: Option<String>,
    },
}

impl Outcome {
    /// Returns whether nothing is owed any more, as far as is known.
    pub fn is_clean(&self) -> bool {
        match self {
            Outcome::NothingToDo
            | Outcome::NothingLeft { .. }
            | Outcome::Restored { .. }
            | Outcome::StillRunning { .. } => true,
            Outcome::NotRestored { .. } | Outcome::LeftOver { .. } | Outcome::Unreadable { .. } => false,
        }
    }

    /// Returns what is still in place, or may be, a line each.
    pub fn left(&self) -> Vec<String> {
        match self {
            Outcome::NotRestored { left, .. } => left.clone(),
            Outcome::LeftOver { found, .. } => found.clone(),
            Outcome::Unreadable { reason, .. } => vec![reason.clone()],
            Outcome::NothingToDo
            | Outcome::NothingLeft { .. }
            | Outcome::Restored { .. }
            | Outcome::StillRunning { .. } => Vec::new(),
        }
    }
}

/// Restores one run of the machine's list, or all of them; never touches one whose process is alive.
///
/// A run that owes nothing any more is taken off the list.
pub async fn restore(
    registry: &Registry,
    run: Option<&str>,
    injectors: &[Arc<dyn Injector>],
    policy: &RestorePolicy,
) -> Result<Vec<RestoredRun>, RegistryError> {
    let all = run.is_none();
    let known: Vec<String> = match run {
        Some(run) => vec![run.to_owned()],
        None => registry.runs()?.into_iter().map(|r| r.entry.header.run).collect(),
    };
    let mut restored = Vec::new();
    for run in known {
        let claimed = match registry.claim(&run) {
            Ok(Some(claimed)) => claimed,
            Ok(None) => {
                let alive = registry.runs()?.into_iter().find(|r| r.entry.header.run == run);
                restored.extend(alive.map(|r| RestoredRun {
                    run: r.entry.header.run.clone(),
                    experiment: r.entry.header.experiment,
                    journal: r.entry.journal,
                    outcome: Outcome::StillRunning {
                        run: Some(r.entry.header.run.clone()),
                        pid: Some(r.entry.header.pid),
                    },
                }));
                continue;
            }
            // It ended between being listed and being claimed.
            Err(RegistryError::Unknown { .. }) if all => continue,
            Err(e) => return Err(e),
        };
        let entry = claimed.entry().clone();
        let outcome = match restore_journal(&entry.journal, injectors, policy).await {
            Ok(outcome) => outcome,
            Err(e) => look(&entry.header.targets, e, injectors).await,
        };
        // Claimed, and yet alive: somebody else restores it right now, and takes it off the list.
        if outcome.is_clean() && !matches!(outcome, Outcome::StillRunning { .. }) {
            claimed.finish()?;
        }
        restored.push(RestoredRun {
            run: entry.header.run,
            experiment: entry.header.experiment,
            journal: entry.journal,
            outcome,
        });
    }
    Ok(restored)
}

/// Takes dead runs off the machine's list of which nothing stands any more, looking only; returns them.
///
/// What cannot be looked at, or stands, stays on the list.
pub async fn settle(
    registry: &Registry,
    injectors: &[Arc<dyn Injector>],
) -> Result<Vec<RestoredRun>, RegistryError> {
    let mut settled = Vec::new();
    for known in registry.runs()?.into_iter().filter(|known| !known.alive) {
        let Ok(Some(claimed)) = registry.claim(&known.entry.header.run) else { continue };
        let entry = claimed.entry().clone();
        let path = entry.journal.clone();
        let reopened = tokio::task::spawn_blocking(move || FileJournal::reopen(path)).await;
        let outcome = match reopened.unwrap_or_else(|e| Err(Trouble::internal(e.to_string()))) {
            Ok(Reopened::Over(journal, history)) if !history.owed().is_empty() => {
                absent(&history, &journal, injectors).await
            }
            Ok(Reopened::Over(..)) => {
                match look(&entry.header.targets, unsaid(&entry.journal), injectors).await {
                    Outcome::NothingLeft { .. } => Some(Outcome::NothingToDo),
                    _ => None,
                }
            }
            Ok(Reopened::Alive(_)) => None,
            Err(e) => Some(look(&entry.header.targets, e, injectors).await).filter(Outcome::is_clean),
        };
        if let Some(outcome) = outcome {
            claimed.finish()?;
            let RunEntry { header: Header { run, experiment, .. }, journal } = entry;
            settled.push(RestoredRun { run, experiment, journal, outcome });
        }
    }
    Ok(settled)
}

/// Writes down that everything owed is back where nothing of it stands; none where something does or cannot be looked at.
async fn absent(
    history: &History,
    journal: &dyn Journal,
    injectors: &[Arc<dyn Injector>],
) -> Option<Outcome> {
    let owed = history.owed();
    for past in &owed {
        let injector = injectors.iter().find(|i| i.name() == past.undo.injector)?;
        if !injector.standing(&past.undo).await.ok()?.is_empty() {
            return None;
        }
    }
    let mut parts = Vec::new();
    for past in owed {
        note(journal, Entry::Reverting { id: past.undo.id.clone() }).await;
        note(journal, Entry::Reverted { id: past.undo.id.clone() }).await;
        parts.push(format!("{}: {}", past.undo.id, past.undo.line));
    }
    note(journal, Entry::Ended { restored: true }).await;
    Some(Outcome::Restored { parts })
}

fn unsaid(path: &Path) -> Trouble {
    Trouble::unable(format!("the journal `{}` does not say what was done", path.display()))
        .with_help("it was emptied or cut off, or its run was killed before it did anything")
}

/// Looks at the targets of a run whose journal does not say what is owed.
async fn look(targets: &[ObjectId], why: Trouble, injectors: &[Arc<dyn Injector>]) -> Outcome {
    let mut found = Vec::new();
    for object in targets {
        for injector in injectors {
            match injector.leftovers(object).await {
                Ok(lines) => found.extend(lines.into_iter().map(|line| format!("{object}: {line}"))),
                Err(error) => {
                    let reason = format!("{}; and {object} cannot be looked at: {error}", why.message);
                    return Outcome::Unreadable { reason, help: error.help.or(why.help) };
                }
            }
        }
    }
    // One namespace may go by several names.
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Outcome::NothingLeft { why: why.message };
    }
    Outcome::LeftOver { why: why.message, found }
}

/// Restores what a journal file says is owed, unless its run is alive.
pub async fn restore_journal(
    path: &Path,
    injectors: &[Arc<dyn Injector>],
    policy: &RestorePolicy,
) -> Result<Outcome, Trouble> {
    let owned = path.to_owned();
    let reopened = tokio::task::spawn_blocking(move || FileJournal::reopen(owned))
        .await
        .map_err(|e| Trouble::internal(format!("reading the journal failed: {e}")))??;
    let (journal, history) = match reopened {
        Reopened::Over(journal, history) => (journal, history),
        Reopened::Alive(header) => {
            let (run, pid) = header.map(|header| (header.run, header.pid)).unzip();
            return Ok(Outcome::StillRunning { run, pid });
        }
    };
    let Some(header) = &history.header else { return Err(unsaid(path)) };
    if history.owed().is_empty() && !history.ended {
        return Ok(match look(&header.targets, unsaid(path), injectors).await {
            Outcome::NothingLeft { .. } => Outcome::NothingToDo,
            found => found,
        });
    }
    Ok(pay(&history, &journal, injectors, policy).await)
}

/// Reverts everything that a history owes, the last prepared first, and writes down the result.
///
/// A journal that cannot be written to keeps nothing from being reverted: reverting once more than needed does no harm.
pub async fn pay(
    history: &History,
    journal: &dyn Journal,
    injectors: &[Arc<dyn Injector>],
    policy: &RestorePolicy,
) -> Outcome {
    let mut owed: Vec<Undo> = history.owed().into_iter().map(|p| p.undo.clone()).collect();
    if owed.is_empty() {
        return Outcome::NothingToDo;
    }
    let (mut parts, mut errors) = (Vec::new(), BTreeMap::new());
    let mut pause = policy.pause;
    for attempt in 0..policy.attempts.max(1) {
        if attempt > 0 {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let mut left = Vec::new();
        for undo in owed {
            note(journal, Entry::Reverting { id: undo.id.clone() }).await;
            match revert(&undo, injectors, policy.revert).await {
                Ok(()) => {
                    note(journal, Entry::Reverted { id: undo.id.clone() }).await;
                    parts.push(format!("{}: {}", undo.id, undo.line));
                    parts.extend(changed_by_others(&undo, injectors, policy.revert).await);
                }
                Err(e) => {
                    note(journal, Entry::RevertFailed { id: undo.id.clone(), error: e.message.clone() })
                        .await;
                    errors.insert(undo.id.clone(), e);
                    left.push(undo);
                }
            }
        }
        owed = left;
        if owed.is_empty() {
            break;
        }
    }
    note(journal, Entry::Ended { restored: owed.is_empty() }).await;
    if owed.is_empty() {
        return Outcome::Restored { parts };
    }
    let why = |undo: &Undo| {
        let (message, help) =
            errors.get(&undo.id).map_or(("not tried", None), |e| (&*e.message, e.help.as_deref()));
        let help = help.map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{} on {}: {message}{help}", undo.id, undo.offer.ask.object)
    };
    Outcome::NotRestored { parts, left: owed.iter().map(why).collect() }
}

async fn revert(undo: &Undo, injectors: &[Arc<dyn Injector>], limit: Duration) -> Result<(), Trouble> {
    let Some(injector) = injectors.iter().find(|i| i.name() == undo.injector).cloned() else {
        return Err(Trouble::unable(format!("there is no injector `{}` here to revert it", undo.injector)));
    };
    let undo = undo.clone();
    // On a task of its own, so that one that panics does not keep the others in place.
    let mut task = tokio::spawn(async move { injector.revert(&undo).await });
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(result)) => result,
        Ok(Err(e)) => Err(Trouble::unable(format!("reverting failed: {e}"))),
        Err(_) => {
            task.abort();
            Err(Trouble::unable(format!(
                "reverting did not finish within {}",
                humantime::format_duration(limit)
            )))
        }
    }
}

/// Says what others changed where a fault was; that stays.
async fn changed_by_others(undo: &Undo, injectors: &[Arc<dyn Injector>], limit: Duration) -> Vec<String> {
    let Some(injector) = injectors.iter().find(|i| i.name() == undo.injector).cloned() else { return vec![] };
    let undo = undo.clone();
    let task = tokio::spawn(async move { injector.changed_by_others(&undo).await });
    tokio::time::timeout(limit, task).await.ok().and_then(Result::ok).unwrap_or_default()
}

async fn note(journal: &dyn Journal, entry: Entry) {
    if let Err(e) = journal.append(&entry).await {
        tracing::warn!("the journal of a restored run: {e}");
    }
}

#[cfg(test)]
mod tests;
