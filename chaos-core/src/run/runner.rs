//! Putting a runner together, and starting it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{
    Control, Finished, Policy,
    abort::Switch,
    chronicle::Chronicle,
    context::Context,
    director::Director,
    emit::{Emitter, EventSink},
    monitor::Monitor,
    parts::Parts,
    scribe::Scribe,
};
use crate::judge::border::Judge;
use crate::{
    environment::Environment,
    injector::Injector,
    inventory::Inventory,
    journal::{Header, Journal, Registration, entry},
    judge::Standard,
    plan::Plan,
    probe::Probers,
    time::{Clock, nanos},
};

/// Everything that a run is done with.
///
/// Made by [`Runner::builder`]; each runner runs once.
pub struct Runner {
    inventory: Arc<dyn Inventory>,
    environment: Arc<dyn Environment>,
    injectors: BTreeMap<String, Arc<dyn Injector>>,
    probers: Arc<dyn Probers>,
    journal: Arc<dyn Journal>,
    judge: Arc<dyn Judge>,
    sinks: Vec<EventSink>,
    policy: Policy,
    id: String,
    restore_command: String,
    registration: Option<Registration>,
}

/// Collects what a [`Runner`] needs.
#[derive(Default)]
pub struct RunnerBuilder {
    inventory: Option<Arc<dyn Inventory>>,
    environment: Option<Arc<dyn Environment>>,
    injectors: Vec<Arc<dyn Injector>>,
    probers: Option<Arc<dyn Probers>>,
    journal: Option<Arc<dyn Journal>>,
    judge: Option<Arc<dyn Judge>>,
    sinks: Vec<EventSink>,
    policy: Option<Policy>,
    id: Option<String>,
    restore_command: Option<String>,
    registration: Option<Registration>,
}

/// What a runner cannot be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runner was given no {0}")]
pub struct MissingPart(&'static str);

impl RunnerBuilder {
    /// Sets what finds objects; required. It is asked again right before injecting, where a limit of the blast radius counts what
    /// a selector finds.
    pub fn inventory(mut self, inventory: Arc<dyn Inventory>) -> Self {
        self.inventory = Some(inventory);
        self
    }

    /// Sets what surrounds the run; required.
    pub fn environment(mut self, environment: Arc<dyn Environment>) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Adds an injector; one of the same name takes the place of the earlier one.
    pub fn injector(mut self, injector: Arc<dyn Injector>) -> Self {
        self.injectors.push(injector);
        self
    }

    /// Adds several injectors.
    pub fn injectors(mut self, injectors: impl IntoIterator<Item = Arc<dyn Injector>>) -> Self {
        self.injectors.extend(injectors);
        self
    }

    /// Sets what makes probers; required.
    pub fn probers(mut self, probers: Arc<dyn Probers>) -> Self {
        self.probers = Some(probers);
        self
    }

    /// Sets where debts are written down; required.
    pub fn journal(mut self, journal: Arc<dyn Journal>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Sets who judges; without one it is the [standard judge](Standard).
    pub fn judge(mut self, judge: Arc<dyn Judge>) -> Self {
        self.judge = Some(judge);
        self
    }

    /// Adds an event sink.
    pub fn on_event(mut self, sink: EventSink) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Sets the runner's own times.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets the run's id; without one it is made of the time, the process and the seed.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the command that finishes an unfinished rollback; without one it is `chaos restore ID`.
    pub fn restore_command(mut self, command: impl Into<String>) -> Self {
        self.restore_command = Some(command.into());
        self
    }

    /// Sets the run's place on the machine's list: its id counts, stop requests come through it, and it is taken off the
    /// list once everything is put back.
    pub fn registration(mut self, registration: Registration) -> Self {
        self.registration = Some(registration);
        self
    }

    /// Makes the runner.
    pub fn build(self) -> Result<Runner, MissingPart> {
        let id = self
            .registration
            .as_ref()
            .map(|r| r.entry().header.run.clone())
            .or(self.id)
            .unwrap_or_else(new_id);
        Ok(Runner {
            inventory: self.inventory.ok_or(MissingPart("inventory"))?,
            environment: self.environment.ok_or(MissingPart("environment"))?,
            injectors: self.injectors.into_iter().map(|i| (i.name().to_owned(), i)).collect(),
            probers: self.probers.ok_or(MissingPart("probers"))?,
            journal: self.journal.ok_or(MissingPart("journal"))?,
            judge: self.judge.unwrap_or_else(|| Arc::new(Standard::new())),
            sinks: self.sinks,
            policy: self.policy.unwrap_or_default(),
            restore_command: self.restore_command.unwrap_or_else(|| format!("chaos restore {id}")),
            id,
            registration: self.registration,
        })
    }
}

/// Makes an id for a run: its time by the wall clock and its process, so that ids sort by time.
pub fn new_id() -> String {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let time = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let again = if count == 0 { String::new() } else { format!("-{count}") };
    format!("{time}-{}{again}", std::process::id())
}

/// Returns a fingerprint of a plan: equal for equal plans, on every machine (of its JSON).
pub fn fingerprint(plan: &Plan) -> String {
    // A plan has no maps with keys other than text, so it always has a JSON form.
    let json = serde_json::to_vec(plan).unwrap_or_default();
    crate::fingerprint::text(json)
}

/// Returns what a run's journal, and its entry in the machine's list, say of it.
///
/// `namespaces` are the kernel's cookies of the network namespaces that the plan's targets are in, as far as they are known, in the
/// order of its blast radius.
pub fn header(run: &str, plan: &Plan, namespaces: Vec<Option<u64>>) -> Header {
    Header {
        version: entry::VERSION,
        run: run.to_owned(),
        experiment: plan.experiment.title(),
        owner: plan.experiment.owner.as_ref().map(|o| o.value.clone()),
        started: Timestamp::now(),
        pid: std::process::id(),
        plan: fingerprint(plan),
        targets: plan.radius.touched.clone(),
        namespaces,
    }
}

impl Runner {
    /// Begins to put a runner together.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::default()
    }

    /// Returns the run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs a plan to its end; what was put in place is put back, whatever happens on the way.
    ///
    /// The run is a task of its own: dropping this future asks it to stop, and it goes on putting things back for as long
    /// as the runtime lives.
    pub async fn run(self, plan: &Plan, control: Control) -> Finished {
        struct StopOnDrop(Control, bool);
        impl Drop for StopOnDrop {
            fn drop(&mut self) {
                if self.1 {
                    self.0.stop();
                }
            }
        }
        let director = self.direct(plan.clone(), control.clone());
        let mut guard = StopOnDrop(control, true);
        let finished = tokio::spawn(director.run()).await;
        guard.1 = false;
        match finished {
            Ok(finished) => finished,
            // Only a panic outside of everything that is caught gets here; it must not look like a result.
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }

    fn direct(self, plan: Plan, control: Control) -> Director {
        let clock = Clock::start();
        let emitter = Emitter::new(clock, self.sinks);
        let interrupt = Arc::new(Switch::new());
        let header = match &self.registration {
            Some(registration) => registration.entry().header.clone(),
            None => header(&self.id, &plan, Vec::new()),
        };
        let context = Context {
            clock,
            control,
            inventory: self.inventory,
            environment: self.environment,
            injectors: self.injectors,
            scribe: Scribe::new(self.journal),
            parts: Parts::new(&plan, emitter.clone()),
            monitor: Monitor::new(&plan.experiment, &*self.judge, interrupt.clone()),
            chronicle: Chronicle::new(emitter.clone()),
            proofs: Default::default(),
            attention: Default::default(),
            probers: self.probers,
            judge: self.judge,
            interrupt,
            leave: Arc::new(Switch::new()),
            warnings: Default::default(),
            kernel: Default::default(),
            registration: self.registration,
            policy: self.policy,
            emitter,
            plan,
        };
        debug_assert!(nanos(context.policy.tick) > 0, "a tick takes time");
        Director {
            ctx: Arc::new(context),
            header,
            restore_command: self.restore_command,
            places: BTreeMap::new(),
            fleet: None,
            steady: Vec::new(),
            progress: Vec::new(),
            watchers: JoinSet::new(),
            listeners: JoinSet::new(),
            left: std::time::Duration::ZERO,
        }
    }
}
