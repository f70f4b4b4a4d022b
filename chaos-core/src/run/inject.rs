//! Putting a fault in place: prepare, write it down, inject, confirm.

use std::{future::Future, time::Duration};

use super::{
    context::Context,
    parts::Owed,
    record::{AbortCause, AbortKind},
};
use crate::{
    journal::{Entry, Step},
    plan::{Part, PlannedFault},
    trouble::{Kind, Trouble},
};

impl Context {
    /// Puts every part of a fault in place, one after another; on an error what is in place stays for the unwinding.
    pub(crate) async fn inject(&self, fault: &PlannedFault) -> Result<(), AbortCause> {
        self.check_radius(fault)?;
        for part in &fault.parts {
            self.put(part, fault.deadline).await?;
        }
        Ok(())
    }

    /// Puts one part in place. From its preparation on it is owed a revert, whatever comes of it.
    pub(crate) async fn put(&self, part: &Part, deadline: Duration) -> Result<(), AbortCause> {
        let object = part.offer.ask.object.clone();
        let index = self.parts.renew(&part.id).ok_or_else(|| {
            self.cause(AbortKind::Internal, format!("part `{}` is not in the plan", part.id))
        })?;
        let injector = self.injectors.get(&part.injector).cloned().ok_or_else(|| {
            let reason = format!(
                "no injector `{}` was given to the runner, and `{}` needs it",
                part.injector, part.id
            );
            self.cause(AbortKind::Inject, reason)
        })?;
        let find = self.find_place(object);
        let place = self.step_of(index, "finding its place", self.policy.prepare, find).await?;
        let prepare = {
            let (injector, part) = (injector.clone(), part.clone());
            async move { injector.prepare(&part.id, &part.offer, &place, deadline).await }
        };
        let undo = self.step_of(index, "preparing", self.policy.prepare, prepare).await?;
        let owed = Owed { index, undo: undo.clone(), injector: injector.clone() };
        self.parts.step(index, Step::Prepared, self.now(), Some(owed), &undo.line);
        let written = async {
            let entry = Entry::Prepared { undo: Box::new(undo.clone()) };
            let written = self.write(entry).await;
            // A journal that may not be written does not mean that the fault may not be injected.
            written.map_err(|e| e.said(|why| format!("{why}; so nothing was injected")).of_kind(Kind::Unable))
        };
        self.unless_interrupted(index, "writing the journal", written).await?;
        self.parts.step(index, Step::Injecting, self.now(), None, &part.offer.does.join(", "));
        self.scribe.note(Entry::Injecting { id: undo.id.clone() });
        let inject = {
            let undo = undo.clone();
            async move { injector.inject(&undo).await }
        };
        self.step_of(index, "injecting", self.policy.inject, inject).await?;
        self.parts.step(index, Step::Injected, self.now(), None, &part.offer.does.join(", "));
        self.scribe.note(Entry::Injected { id: undo.id });
        Ok(())
    }

    async fn step_of<T: Send + 'static>(
        &self,
        index: usize,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, AbortCause> {
        self.unless_interrupted(index, what, self.call(what, limit, call)).await
    }

    async fn unless_interrupted<T>(
        &self,
        index: usize,
        what: &str,
        call: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, AbortCause> {
        let result = tokio::select! {
            biased;
            cause = self.interrupt.tripped() => return Err(cause),
            result = call => result,
        };
        result.map_err(|e| {
            self.parts.fail(index, &e.message);
            let part = &self.parts.records()[index];
            let (id, done) = (&part.id, if part.change { "made" } else { "injected" });
            let kind = if e.is_denied() { AbortKind::Denied } else { AbortKind::Inject };
            let help = e.help.map(|h| format!(" ({h})")).unwrap_or_default();
            self.cause(kind, format!("`{id}` could not be {done}: {what}: {}{help}", e.message))
        })
    }

    /// Counts once more, right before injecting, that nothing is touched beyond what was planned and reviewed.
    fn check_radius(&self, fault: &PlannedFault) -> Result<(), AbortCause> {
        for part in &fault.parts {
            let object = &part.offer.ask.object;
            if !self.plan.radius.touched.contains(object) {
                let reason =
                    format!("`{}` would touch {object}, which is not in the plan's blast radius", part.id);
                return Err(self.cause(AbortKind::Inject, reason));
            }
        }
        Ok(())
    }
}
