//! Putting a fault in place, wave by wave: prepare, write it down, inject, confirm.

use std::{
    collections::HashSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    context::Context,
    parts::Owed,
    record::{AbortCause, AbortKind, Role},
    wave::{each, waves},
};
use crate::{
    journal::{Entry, Step},
    place::ObjectId,
    plan::{Part, radius},
    trouble::{Kind, Trouble},
};

/// The parts of a fault, of a change or of the background.
pub(crate) struct Batch<'a> {
    pub(crate) role: Role,
    /// The fault's or the change's name; none of the background.
    pub(crate) name: &'a str,
    pub(crate) parts: &'a [Part],
    pub(crate) deadline: Duration,
}

/// One part on its way, and where it is kept.
#[derive(Clone, Copy)]
struct Putting<'a> {
    index: usize,
    role: Role,
    part: &'a Part,
    deadline: Duration,
}

impl Context {
    /// Puts every part in place, wave after wave; on an error what is in place stays for the unwinding.
    pub(crate) async fn inject(&self, batch: Batch<'_>) -> Result<(), AbortCause> {
        let Batch { role, name, parts, deadline } = batch;
        self.check_radius(role, parts).await?;
        let first = self
            .parts
            .first(role, name)
            .ok_or_else(|| self.cause(AbortKind::Internal, format!("`{name}` is not in the plan")))?;
        for wave in waves(parts) {
            let wave = wave.into_iter().map(|position| Putting {
                index: first + position,
                role,
                part: &parts[position],
                deadline,
            });
            self.put(wave.collect()).await?;
        }
        Ok(())
    }

    /// Puts one wave in place, its parts at once. Each is owed a revert from its preparation on, whatever comes of it or of
    /// the others.
    ///
    /// Nothing is injected before all of the wave is prepared and in the journal. After the first error nothing more is
    /// begun; what is under way is waited for, so that its debt is known.
    async fn put(&self, wave: Vec<Putting<'_>>) -> Result<(), AbortCause> {
        let number = self.parts.begin_wave();
        let failed = &AtomicBool::new(false);
        let prepared = each(self.policy.at_once, &wave, |putting| async move {
            if failed.load(Relaxed) {
                return Ok(None);
            }
            let prepared = self.prepare(putting, number).await;
            failed.fetch_or(prepared.is_err(), Relaxed);
            prepared.map(Some)
        })
        .await;
        // Also where one could not be prepared: the others are owed, and the journal must know of it.
        let owed: Vec<&Owed> = prepared.iter().filter_map(|p| p.as_ref().ok()?.as_ref()).collect();
        let entries = owed.iter().map(|owed| Entry::Prepared { undo: owed.undo.clone() }).collect();
        let written = self.write(entries);
        self.first_of(prepared.iter().map(|p| p.as_ref().err()))?;
        let written = tokio::select! {
            biased;
            cause = self.interrupt.tripped() => return Err(cause),
            written = written => written,
        };
        let unwritten = |(putting, written): (_, Result<(), Trouble>)| {
            let error = written.err()?.said(|why| format!("{why}; so nothing was injected"));
            // A journal that may not be written does not mean that the fault may not be injected.
            let error = error.of_kind(Kind::Unable);
            Some(self.failure(putting, "writing the journal", error))
        };
        let unwritten: Vec<_> = wave.iter().zip(written).map(unwritten).collect();
        self.first_of(unwritten.iter().map(Option::as_ref))?;
        let injected = each(self.policy.at_once, wave.iter().zip(owed), |(putting, owed)| async move {
            if failed.load(Relaxed) {
                return Ok(());
            }
            let injected = self.inject_one(putting, owed).await;
            failed.fetch_or(injected.is_err(), Relaxed);
            injected
        })
        .await;
        self.first_of(injected.iter().map(|i| i.as_ref().err()))
    }

    /// Finds a part's place, and prepares it there.
    async fn prepare(&self, putting: &Putting<'_>, wave: u64) -> Result<Owed, AbortCause> {
        let Putting { index, part, deadline, .. } = *putting;
        self.parts.renew(index);
        let injector = self.injectors.get(&part.injector).cloned().ok_or_else(|| {
            let reason = format!(
                "no injector `{}` was given to the runner, and `{}` needs it",
                part.injector, part.id
            );
            self.cause(AbortKind::Inject, reason)
        })?;
        let find = self.find_place(part.offer.ask.object.clone());
        let place = self.step_of(putting, "finding its place", self.policy.prepare, find).await?;
        let prepare = {
            let (injector, part) = (injector.clone(), part.clone());
            async move { injector.prepare(&part.id, &part.offer, &place, deadline).await }
        };
        let undo = Arc::new(self.step_of(putting, "preparing", self.policy.prepare, prepare).await?);
        let owed = Owed { index, wave, undo, injector };
        self.parts.prepared(owed.clone(), self.now());
        Ok(owed)
    }

    /// Injects one part that is in the journal.
    async fn inject_one(&self, putting: &Putting<'_>, owed: &Owed) -> Result<(), AbortCause> {
        let Owed { index, undo, injector, .. } = owed.clone();
        let (does, id) = (undo.offer.does.join(", "), undo.id.clone());
        self.parts.step(index, Step::Injecting, self.now(), &does);
        self.scribe.note(Entry::Injecting { id: id.clone() });
        let inject = async move { injector.inject(&undo).await };
        self.step_of(putting, "injecting", self.policy.inject, inject).await?;
        self.parts.step(index, Step::Injected, self.now(), &does);
        self.scribe.note(Entry::Injected { id });
        Ok(())
    }

    async fn step_of<T: Send + 'static>(
        &self,
        putting: &Putting<'_>,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, AbortCause> {
        let result = tokio::select! {
            biased;
            cause = self.interrupt.tripped() => return Err(cause),
            result = self.call(what, limit, call) => result,
        };
        result.map_err(|e| self.failure(putting, what, e))
    }

    /// Keeps what went wrong with a part, and makes the run's end of it.
    fn failure(&self, putting: &Putting<'_>, what: &str, error: Trouble) -> AbortCause {
        self.parts.fail(putting.index, &error.message);
        let done = if putting.role == Role::Change { "made" } else { "injected" };
        let kind = if error.is_denied() { AbortKind::Denied } else { AbortKind::Inject };
        let help = error.help.map(|h| format!(" ({h})")).unwrap_or_default();
        let id = &putting.part.id;
        self.cause(kind, format!("`{id}` could not be {done}: {what}: {}{help}", error.message))
    }

    /// Returns the error that came first; it says how many more parts failed.
    fn first_of<'a>(&self, errors: impl Iterator<Item = Option<&'a AbortCause>>) -> Result<(), AbortCause> {
        let errors: Vec<&AbortCause> = errors.flatten().collect();
        let Some(first) = errors.iter().min_by_key(|e| e.at) else { return Ok(()) };
        let own = |e: &AbortCause| matches!(e.kind, AbortKind::Inject | AbortKind::Denied);
        let mut cause = (*first).clone();
        let more = errors.iter().filter(|e| own(e)).count().saturating_sub(1);
        if own(&cause) && more > 0 {
            let parts = if more == 1 { "part" } else { "parts" };
            cause.reason.push_str(&format!("; {more} more {parts} failed beside it"));
        }
        Err(cause)
    }

    /// Counts once more, right before injecting: nothing is touched beyond what was planned and reviewed, and in the world as it
    /// is now that is still within the limits.
    async fn check_radius(&self, role: Role, parts: &[Part]) -> Result<(), AbortCause> {
        if role == Role::Background {
            return Ok(());
        }
        let touched: HashSet<&ObjectId> = self.plan.radius.touched.iter().collect();
        for part in parts {
            let object = &part.offer.ask.object;
            if !touched.contains(object) {
                let reason =
                    format!("`{}` would touch {object}, which is not in the plan's blast radius", part.id);
                return Err(self.cause(AbortKind::Inject, reason));
            }
        }
        let (experiment, touched) = (self.plan.experiment.clone(), self.plan.radius.touched.clone());
        let inventory = self.inventory.clone();
        let recount = async move {
            let counted = radius::recount(&experiment, &touched, &*inventory).await;
            counted.map_err(|error| Trouble { help: error.help(), ..Trouble::unable(error.to_string()) })
        };
        let what = "counting the blast radius once more";
        let counted = tokio::select! {
            biased;
            cause = self.interrupt.tripped() => return Err(cause),
            counted = self.call(what, self.policy.prepare, recount) => counted,
        };
        counted.map_err(|error: Trouble| {
            let help = error.help.map(|help| format!(" ({help})")).unwrap_or_default();
            self.cause(AbortKind::Inject, format!("nothing more is injected: {}{help}", error.message))
        })
    }
}
