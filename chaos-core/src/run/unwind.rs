//! Putting things back: wave by wave in reverse order, again and again, never stopping at the first error.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    context::Context,
    parts::Owed,
    record::{PartRecord, PartState},
    wave::each,
};
use crate::{
    injector::{Injector, Undo},
    journal::{Entry, Step},
    trouble::Trouble,
};

impl Context {
    /// Reverts every part that is owed and that `which` picks, the last wave first, the parts of a wave at once.
    ///
    /// One that fails is tried again after all others had their turn, with growing pauses, until patience ends. Returns
    /// whether nothing is owed any more.
    pub(crate) async fn unwind(&self, which: impl Fn(&PartRecord) -> bool) -> bool {
        let begun = tokio::time::Instant::now();
        self.release(self.parts.owed(&which).concat()).await;
        let mut hurried = None;
        let mut pause = self.policy.retry_first;
        loop {
            for wave in self.parts.owed(&which) {
                each(self.policy.at_once, wave, |owed| self.revert(owed)).await;
            }
            if self.parts.owed(&which).is_empty() {
                return true;
            }
            if self.control.stops() >= 2 {
                hurried.get_or_insert_with(tokio::time::Instant::now);
            }
            let out_of_patience = begun.elapsed() >= self.policy.revert_patience
                || hurried.is_some_and(|since| since.elapsed() >= self.policy.hurried_patience);
            if out_of_patience || self.control.stops() >= 3 {
                return false;
            }
            let more = self.control.stops() + 1;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Somebody is impatient: try at once, and see how much patience is left.
                () = self.control.stopped(more) => {}
            }
            pause = (pause * 2).min(self.policy.retry_longest);
        }
    }

    /// Lets go of what is owed, where there is more than one part: those that come last would wait for all before them.
    async fn release(&self, owed: Vec<Owed>) {
        if owed.len() < 2 {
            return;
        }
        let mut by_injector = BTreeMap::<String, (Arc<dyn Injector>, Vec<Undo>)>::new();
        for Owed { undo, injector, .. } in owed {
            let (_, undos) =
                by_injector.entry(undo.injector.clone()).or_insert_with(|| (injector, Vec::new()));
            undos.push(Undo::clone(&undo));
        }
        for (injector, undos) in by_injector.into_values() {
            let release = async move {
                injector.release(&undos).await;
                Ok(())
            };
            // What goes wrong is up to the reverts that follow.
            let _ = self.call("letting go", self.policy.release, release).await;
        }
    }

    /// Tries once to revert one part, unless reverting was given up.
    async fn revert(&self, owed: Owed) {
        if self.control.stops() >= 3 {
            return;
        }
        let Owed { index, undo, injector, .. } = owed;
        self.parts.step(index, Step::Reverting, self.now(), &undo.line);
        self.scribe.note(Entry::Reverting { id: undo.id.clone() });
        let result = {
            let undo = undo.clone();
            let (undo, injector) = (undo, injector.clone());
            let call =
                self.call("reverting", self.policy.revert, async move { injector.revert(&undo).await });
            tokio::pin!(call);
            tokio::select! {
                biased;
                result = &mut call => result,
                () = self.control.stopped(3) => Err(Trouble::unable("reverting was given up: asked to stop three times")),
                // From the second request on an attempt has only so long.
                () = self.hurry(self.policy.hurried_revert) => Err(Trouble::unable("reverting was cut short: asked to stop twice")),
            }
        };
        match result {
            Ok(()) => {
                self.parts.step(index, Step::Reverted, self.now(), &undo.line);
                self.scribe.note(Entry::Reverted { id: undo.id.clone() });
                let look = async move { Ok(injector.changed_by_others(&undo).await) };
                // That it cannot be found out leaves nothing in place.
                let changed = self.call("looking", self.policy.release, look).await.unwrap_or_default();
                self.warn_once(changed);
            }
            Err(e) => {
                self.parts.step(index, Step::RevertFailed, self.now(), &e.message);
                self.scribe.note(Entry::RevertFailed { id: undo.id.clone(), error: e.message });
            }
        }
    }

    /// Waits, for a bounded time in all, until what was reverted is whole again; whoever asked to stop is not made to wait.
    ///
    /// What is not whole by then is put back all the same: what takes so long is the world's.
    pub(crate) async fn await_recovery(&self, reverted: Vec<Owed>) {
        let limit = self.policy.recover;
        let until = tokio::time::Instant::now() + limit;
        each(self.policy.at_once, reverted, |Owed { index, undo, injector, .. }| async move {
            let object = undo.offer.ask.object.clone();
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            let wait = async move { Ok(injector.recovered(&undo).await) };
            tokio::select! {
                biased;
                () = self.control.stopped(1) => {}
                waited = self.call("the recovery", left, wait) => match waited {
                    Ok(recovered) => recovered.into_iter().for_each(|at| self.parts.recovered(index, at)),
                    Err(_) => self.warn_once(vec![format!(
                        "{object} was put back, and was not whole again {} later: look at what keeps it",
                        humantime::format_duration(limit)
                    )]),
                },
            }
        })
        .await;
    }

    /// Waits until `limit` after the second stop request.
    async fn hurry(&self, limit: Duration) {
        self.control.stopped(2).await;
        tokio::time::sleep(limit).await;
    }

    /// Names what is still owed, a line each.
    pub(crate) fn left(&self) -> Vec<String> {
        self.parts
            .records()
            .into_iter()
            .filter(|p| p.state.is_owed())
            .map(|p| {
                let why = match (&p.error, p.state) {
                    (Some(error), _) => format!(": {error}"),
                    (None, PartState::Reverting) => ": its revert did not end".to_owned(),
                    (None, _) => ": its revert was not begun".to_owned(),
                };
                format!("{} on {}{why}", p.id, p.object)
            })
            .collect()
    }
}
