//! Calls about one thing come one after another, in the order in which they arrived.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Who is next for each thing, such as a fault's record.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// Everything that somebody works on, with those who wait for it.
    lines: Arc<Mutex<BTreeMap<String, VecDeque<oneshot::Sender<()>>>>>,
}

/// A place in the line for one thing, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    thing: String,
    /// What says that it is this one's turn; none once it is.
    called: Option<oneshot::Receiver<()>>,
}

impl Turns {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<oneshot::Sender<()>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the last place in the line for this thing.
    pub(super) fn take(&self, thing: &str) -> Turn {
        self.line_up(thing, VecDeque::push_back)
    }

    /// Takes the place right behind whoever works on this thing now: for what cannot wait.
    pub(super) fn take_first(&self, thing: &str) -> Turn {
        self.line_up(thing, VecDeque::push_front)
    }

    fn line_up(
        &self,
        thing: &str,
        join: impl FnOnce(&mut VecDeque<oneshot::Sender<()>>, oneshot::Sender<()>),
    ) -> Turn {
        let mut lines = self.lines();
        let called = match lines.get_mut(thing) {
            None => {
                lines.insert(thing.to_owned(), VecDeque::new());
                None
            }
            Some(line) => {
                let (calls, called) = oneshot::channel();
                join(line, calls);
                Some(called)
            }
        };
        Turn { turns: self.clone(), thing: thing.to_owned(), called }
    }
}

impl Turn {
    /// Waits until everybody before is done.
    pub(super) async fn wait(&mut self) {
        if let Some(called) = self.called.as_mut() {
            // Nobody drops the other end without having called.
            let _ = called.await;
            self.called = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        if self.called.as_mut().is_some_and(|called| called.try_recv().is_err()) {
            // It was never this one's turn; whoever calls finds that out.
            return;
        }
        if let Some(line) = lines.get_mut(&self.thing) {
            while let Some(next) = line.pop_front() {
                if next.send(()).is_ok() {
                    return;
                }
            }
        }
        lines.remove(&self.thing);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_called(turn: &mut Turn) -> bool {
        turn.wait().now_or_never().is_some()
    }

    #[test]
    fn one_thing_is_one_line_and_another_is_another() {
        let turns = Turns::default();
        let (mut first, mut second, mut other) = (turns.take("a"), turns.take("a"), turns.take("b"));
        assert!(is_called(&mut first) && is_called(&mut other) && !is_called(&mut second));
        let mut third = turns.take("a");
        drop(first);
        assert!(is_called(&mut second) && !is_called(&mut third));
        drop(second);
        assert!(is_called(&mut third));
    }

    #[test]
    fn what_cannot_wait_goes_before_all_but_the_one_at_work() {
        let turns = Turns::default();
        let (first, mut second) = (turns.take("a"), turns.take("a"));
        let mut urgent = turns.take_first("a");
        assert!(!is_called(&mut urgent));
        drop(first);
        assert!(is_called(&mut urgent) && !is_called(&mut second));
        drop(urgent);
        assert!(is_called(&mut second));
    }

    #[test]
    fn who_leaves_the_line_keeps_nobody() {
        let turns = Turns::default();
        let (first, second, mut third) = (turns.take("a"), turns.take("a"), turns.take("a"));
        drop(second);
        assert!(!is_called(&mut third));
        drop(first);
        assert!(is_called(&mut third));
        // Also who leaves when it was called and has not noticed.
        let (fourth, mut fifth) = (turns.take("a"), turns.take("a"));
        drop(third);
        drop(fourth);
        assert!(is_called(&mut fifth));
        drop(fifth);
        assert!(turns.lines().is_empty());
    }
}
