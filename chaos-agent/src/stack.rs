//! What an agent must undo, newest last.

use std::time::Duration;

use chaos_core::injector::Undo;
use tokio::time::Instant;

/// The faults in place, in the order they were injected, each with the moment it ends on its own.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    held: Vec<Held>,
    /// Whether the agent ends, so that nothing may come on top any more.
    closed: bool,
}

#[derive(Debug)]
struct Held {
    undo: Undo,
    until: Instant,
    /// Whether it is being reverted already.
    ending: bool,
}

impl Stack {
    /// Puts a record on top, before its fault is put in place; the same id again only moves its deadline. Returns whether it
    /// may be put in place.
    #[must_use]
    pub(crate) fn push(&mut self, undo: Undo) -> bool {
        if self.closed {
            return false;
        }
        let until = Instant::now() + undo.deadline;
        match self.held.iter_mut().find(|held| held.undo.id == undo.id) {
            Some(held) => held.until = until,
            None => self.held.push(Held { undo, until, ending: false }),
        }
        true
    }

    /// Returns whether a record is on it.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.held.iter().any(|held| held.undo.id == id)
    }

    /// Takes a record off.
    pub(crate) fn remove(&mut self, id: &str) {
        self.held.retain(|held| held.undo.id != id);
    }

    /// Returns the records with these ids, newest first.
    pub(crate) fn among(&self, ids: &[String]) -> Vec<Undo> {
        let held = self.held.iter().rev().filter(|held| ids.contains(&held.undo.id));
        held.map(|held| held.undo.clone()).collect()
    }

    /// Takes nothing more, and returns all records, newest first: the order in which they are reverted.
    pub(crate) fn close(&mut self) -> Vec<Undo> {
        self.closed = true;
        self.held.iter().rev().map(|held| held.undo.clone()).collect()
    }

    /// Returns when the next fault ends on its own.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.held.iter().filter(|held| !held.ending).map(|held| held.until).min()
    }

    /// Returns the records whose time is up, newest first; each only once, until it is [postponed](Stack::postpone).
    pub(crate) fn expired(&mut self) -> Vec<Undo> {
        let now = Instant::now();
        self.ending(|held| held.until <= now)
    }

    /// Returns the records with these ids, newest first, so that they are reverted; each only once, as at its deadline.
    pub(crate) fn end(&mut self, ids: &[String]) -> Vec<Undo> {
        self.ending(|held| ids.contains(&held.undo.id))
    }

    fn ending(&mut self, which: impl Fn(&Held) -> bool) -> Vec<Undo> {
        let due = self.held.iter_mut().rev().filter(|held| !held.ending && which(held));
        due.map(|held| {
            held.ending = true;
            held.undo.clone()
        })
        .collect()
    }

    /// Gives a fault that could not be reverted another try after a while.
    pub(crate) fn postpone(&mut self, id: &str, by: Duration) {
        if let Some(held) = self.held.iter_mut().find(|held| held.undo.id == id) {
            held.until = Instant::now() + by;
            held.ending = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use chaos_core::{
        injector::{Ask, Hold, Offer, Work},
        model::Custom,
        place::{ObjectId, Site},
    };

    use super::*;

    fn undo(id: &str, seconds: u64) -> Undo {
        let ask = Ask {
            fault: "slow".into(),
            object: ObjectId::here(),
            work: Work::Custom(Custom::new("network")),
            seed: 0,
        };
        Undo {
            id: id.into(),
            injector: "network".into(),
            offer: Offer {
                backend: "tcx".into(),
                ask,
                hold: Hold::Kernel,
                does: vec![],
                undoes: String::new(),
                because: vec![],
                takes: vec![],
            },
            deadline: Duration::from_secs(seconds),
            site: Site::Runner,
            state: serde_json::Value::Null,
            line: String::new(),
        }
    }

    fn ids(undos: Vec<Undo>) -> Vec<String> {
        undos.into_iter().map(|undo| undo.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_last_goes_first() {
        let mut stack = Stack::default();
        for id in ["a", "b", "c"] {
            assert!(stack.push(undo(id, 10)));
        }
        stack.remove("b");
        assert!(stack.push(undo("a", 20)));
        assert_eq!(ids(stack.among(&["a".into(), "b".into()])), ["a"]);
        assert_eq!(ids(stack.close()), ["c", "a"]);
        assert!(!stack.push(undo("d", 10)) && !stack.holds("d"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_takes_only_its_own() {
        let mut stack = Stack::default();
        assert_eq!(stack.next_deadline(), None);
        assert!(stack.push(undo("a", 10)) && stack.push(undo("b", 5)) && stack.push(undo("c", 5)));
        assert_eq!(stack.next_deadline(), Some(Instant::now() + Duration::from_secs(5)));
        assert!(stack.expired().is_empty());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(ids(stack.expired()), ["c", "b"]);
        // Each only once while it is being reverted.
        assert!(stack.expired().is_empty());
        assert!(stack.end(&["b".into()]).is_empty());
        assert_eq!(stack.next_deadline(), Some(Instant::now() + Duration::from_secs(4)));
        stack.postpone("c", Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(ids(stack.expired()), ["c"]);
    }
}
