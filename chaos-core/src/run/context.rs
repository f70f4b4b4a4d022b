//! What the director and its helpers share during one run.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    Policy,
    abort::Switch,
    attention::Attention,
    chronicle::Chronicle,
    control::Control,
    emit::Emitter,
    event::What,
    load::panic_text,
    monitor::Monitor,
    parts::Parts,
    proven::Proofs,
    record::{AbortCause, AbortKind, EvidenceWhen, KernelEvidence},
    scribe::Scribe,
    wave::each,
};
use crate::judge::border::Judge;
use crate::{
    environment::Environment,
    injector::Injector,
    inventory::Inventory,
    journal::{Entry, Registration},
    model::quantity::format_seconds,
    place::{ObjectId, Place},
    plan::Plan,
    probe::{Probers, Sample},
    time::{Clock, Nanos},
    trouble::Trouble,
};

/// One run's shared state.
pub(crate) struct Context {
    pub(crate) plan: Plan,
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) emitter: Emitter,
    pub(crate) control: Control,
    pub(crate) inventory: Arc<dyn Inventory>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) injectors: BTreeMap<String, Arc<dyn Injector>>,
    pub(crate) probers: Arc<dyn Probers>,
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) scribe: Scribe,
    pub(crate) parts: Parts,
    pub(crate) monitor: Monitor,
    pub(crate) chronicle: Chronicle,
    pub(crate) proofs: Proofs,
    pub(crate) attention: Attention,
    /// Ends the fault: conditions, blindness, a lost fault, a stop request, a broken environment.
    pub(crate) interrupt: Arc<Switch>,
    /// Ends also the watching afterwards: a stop request, a broken environment.
    pub(crate) leave: Arc<Switch>,
    pub(crate) warnings: Mutex<Vec<String>>,
    pub(crate) kernel: Mutex<Vec<KernelEvidence>>,
    pub(crate) registration: Option<Registration>,
}

impl Context {
    /// Returns a text of others without the secrets that probes send.
    pub(crate) fn conceal(&self, text: String) -> String {
        self.probers.conceal(&text).unwrap_or(text)
    }

    /// Returns a sample without the secrets that probes send, in what a server gave it as labels or as an error.
    pub(crate) fn concealed(&self, mut sample: Sample) -> Sample {
        let values = sample.observation.labels.iter_mut().map(|(_, value)| value);
        for text in values.chain(sample.observation.error.as_mut()) {
            if let Some(concealed) = self.probers.conceal(text) {
                *text = concealed.into();
            }
        }
        sample
    }

    pub(crate) fn now(&self) -> Nanos {
        self.clock.now()
    }

    pub(crate) fn emit(&self, what: What) {
        self.emitter.emit(what);
    }

    /// Keeps and reports something that should be known.
    pub(crate) fn warn(&self, line: impl Into<String>) {
        let line = line.into();
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
        self.emit(What::Warning { line });
    }

    /// Keeps and reports lines that were not reported before.
    pub(crate) fn warn_once(&self, lines: Vec<String>) {
        for line in lines {
            let known = self.warnings.lock().unwrap_or_else(PoisonError::into_inner).contains(&line);
            if !known {
                self.warn(line);
            }
        }
    }

    /// Takes note that the runner runs. If it had stood still, that is said, and with a fault in place the run is aborted: what
    /// happened meanwhile nobody watched, and the fault may have ended on its own.
    pub(crate) fn pay_attention(&self) {
        let now = self.now();
        let Some(gap) = self.attention.look(now, self.policy.tick, self.policy.stall) else { return };
        let gap = format_seconds(gap.as_secs_f64());
        let active = self.parts.active();
        if active.is_empty() {
            return self.warn(format!("the runner stood still for {gap}: nothing was measured in that time"));
        }
        let faults = active.iter().map(|fault| format!("`{fault}`")).collect::<Vec<_>>().join(", ");
        let reason = format!(
            "the runner stood still for {gap} while {faults} should be in place: nobody watched, and an agent that hears nothing ends its faults"
        );
        self.interrupt.trip(&self.cause(AbortKind::Stalled, reason));
    }

    /// Makes a cause of this moment.
    pub(crate) fn cause(&self, kind: AbortKind, reason: impl Into<String>) -> AbortCause {
        AbortCause::new(kind, self.now(), reason)
    }

    /// Trips both switches.
    pub(crate) fn leave_for(&self, cause: &AbortCause) {
        self.interrupt.trip(cause);
        self.leave.trip(cause);
    }

    /// Calls an injector on a task of its own, so that one that panics or blocks its thread never takes the director along,
    /// and bounds the time. The call is dropped when the time is over.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Trouble>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let mut task = AbortOnDrop(tokio::spawn(call));
        match tokio::time::timeout(limit, &mut task.0).await {
            Ok(Ok(result)) => result,
            Ok(Err(e)) => Err(Trouble::internal(match e.try_into_panic() {
                Ok(panic) => format!("{what} panicked: {}", panic_text(&*panic)),
                Err(_) => format!("{what} was cancelled"),
            })),
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Err(Trouble::unable(format!("{what} did not finish within {limit}")))
            }
        }
    }

    /// Hands entries to the journal at once; the future ends when they are kept, or after a while with errors.
    pub(crate) fn write(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Vec<Result<(), Trouble>>> + use<> {
        let (limit, count) = (self.policy.journal, entries.len());
        let written = self.scribe.write(entries);
        async move {
            tokio::time::timeout(limit, written).await.unwrap_or_else(|_| {
                let limit = humantime::format_duration(limit);
                let silent = Trouble::unable(format!("the journal's disk did not answer within {limit}"));
                vec![Err(silent); count]
            })
        }
    }

    /// Finds out where an object is, now.
    pub(crate) fn find_place(
        &self,
        object: ObjectId,
    ) -> impl Future<Output = Result<Place, Trouble>> + Send + 'static {
        let environment = self.environment.clone();
        async move { environment.place(&object).await }
    }

    /// Reads what the kernel says of places, for the record; what cannot be read in time is left out.
    pub(crate) async fn gather(&self, when: EvidenceWhen, places: &BTreeMap<ObjectId, Place>) {
        let all = places.iter().flat_map(|(object, place)| {
            self.injectors.values().map(move |injector| (object, place, injector))
        });
        let read = each(self.policy.at_once, all, |(object, place, injector)| async move {
            let (injector, place) = (injector.clone(), place.clone());
            let read = async move { Ok(injector.evidence(&place).await) };
            let lines = match self.call("reading the kernel's state", self.policy.evidence, read).await {
                Ok(lines) => lines,
                Err(e) => vec![e.message],
            };
            KernelEvidence { at: self.now(), when, object: object.clone(), lines }
        })
        .await;
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.extend(read.into_iter().filter(|evidence| !evidence.lines.is_empty()));
    }
}

/// A task that ends when nobody waits for it any more.
pub(crate) struct AbortOnDrop<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
