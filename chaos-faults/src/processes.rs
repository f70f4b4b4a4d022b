//! Faults on processes: an injector that stops them and lets them go on, or ends them.
//!
//! A process is told from a later one of its number by its start, and from one of another boot or pid namespace by these; signals
//! go to descriptors, never to numbers. What a fault means is looked up once, when it is prepared, and written down.

mod healing;
mod held;
mod meant;
mod others;
mod record;
mod subject;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chaos_core::{
    capability::Capability,
    injector::{Ask, Hold, Injector, Lost, Measured, Offer, Surroundings, Undo, Unit},
    model::{Action, ProcessEffect, ProcessFault},
    place::{Kind, ObjectId, Place},
    trouble::{self, Trouble},
};

pub(crate) use self::meant::forebears;
use self::{
    healing::Healing,
    held::Held,
    record::{State, boot, numbers},
    subject::{Doing, Subject},
};
use crate::backend::Holding;

/// The name under which undo records find this injector.
pub const NAME: &str = "processes";

/// The mechanism: a signal, and another one that undoes it.
const SIGNALS: &str = "signals";

/// What a plan says of undoing the end of a process.
const NOT_PUT_BACK: &str = "nothing is put back: whether and when something starts it again is measured";

/// How often processes that are stopped are looked at.
const ROUND: Duration = Duration::from_millis(100);

/// How often a host is looked at for what was started while it was being stopped.
const LOOKS: u32 = 50;

/// How many effects of reverted faults are remembered, so that a long-lived process does not grow.
const REMEMBERED: usize = 4096;

/// Returns whether [`ProcessInjector`] is the injector for such an action.
pub fn handles(action: &Action) -> bool {
    match action {
        Action::Processes(_) => true,
        Action::Packets(_)
        | Action::Names(_)
        | Action::Objects(_)
        | Action::Program(_)
        | Action::Custom(_) => false,
    }
}

/// Stops processes and lets them go on, or ends them.
///
/// The kernel does not end a stop with whoever did it, so an agent holds it: a process of its own that outlives the runner.
pub struct ProcessInjector {
    holding: Holding,
    held: Mutex<BTreeMap<String, Held>>,
    /// Faults that were prepared and have sent no signal: whatever is stopped there was stopped by others.
    untouched: Mutex<BTreeSet<String>>,
    /// What is to end, as it was when it was prepared: one that ends takes others along.
    healing: Mutex<BTreeMap<String, Healing>>,
    /// What reverted faults did; they are asked for it afterwards.
    done: Mutex<BTreeMap<String, Measured>>,
}

impl ProcessInjector {
    /// Makes one; `holding` says what may end its faults if everything else fails.
    pub fn new(holding: Holding) -> Self {
        ProcessInjector {
            holding,
            held: Mutex::default(),
            untouched: Mutex::default(),
            healing: Mutex::default(),
            done: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn healing(&self) -> MutexGuard<'_, BTreeMap<String, Healing>> {
        self.healing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untouched(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.untouched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<String, Measured>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a fault did, as long as it is in place.
    fn remember(&self, id: &str) {
        let Some(mut held) = self.held().remove(id) else { return };
        let mut done = self.done();
        if done.len() >= REMEMBERED {
            done.pop_first();
        }
        done.insert(id.to_owned(), held.measure());
    }
}

/// Returns what is to be done to processes.
fn asked(ask: &Ask) -> Result<&ProcessFault, Trouble> {
    ask.work.processes().ok_or_else(|| Trouble::internal("not a fault on processes"))
}

/// Tries whether this kernel gives a descriptor of a process, and takes a signal to it; none is sent.
fn capability() -> Capability {
    let own = std::process::id();
    let tried = crate::pidfd::open(own).and_then(|process| crate::pidfd::send(&process, 0));
    match tried {
        Ok(()) if is_roots() => Capability::found(SIGNALS, "to processes of every user"),
        Ok(()) => Capability::found(SIGNALS, "to processes of this user alone"),
        Err(error) => Capability::missing(
            SIGNALS,
            format!("a process cannot be sent a signal by a descriptor: {error}"),
            "use Linux 5.3 or later, and a seccomp filter that allows pidfd_open and pidfd_send_signal",
        )
        .costing("`pause` and `kill`"),
    }
}

/// Returns whether this process is root's, and not the root of a user namespace, who has no more rights outside than its maker.
fn is_roots() -> bool {
    let mapped = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let every = mapped.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    every && nix::unistd::geteuid().is_root()
}

/// Refuses a process that an effect would do nothing to, or what could not be undone.
fn fit(subject: &Subject, effect: ProcessEffect) -> Result<(), Trouble> {
    match effect {
        ProcessEffect::Pause => meant::running(subject),
        ProcessEffect::Kill | ProcessEffect::Terminate => meant::there(subject),
    }
}

/// Finds out whether a process may be sent signals.
fn reachable(subject: &Subject) -> Result<(), Trouble> {
    subject.send(0).map(drop).map_err(|error| unsent(subject, "be sent signals", &error))
}

fn unsent(subject: &Subject, what: &str, error: &std::io::Error) -> Trouble {
    Trouble::unable(format!("{subject} cannot {what}: {error}"))
        .with_help("run as root, or as the user it runs as")
        .of_kind(trouble::Kind::from(error))
}

impl ProcessInjector {
    /// Stops what the processes of a lab host started while they were being stopped, until nothing new is there.
    ///
    /// They are in no undo record. Nobody has to let them go on who does not know of them: their lab ends with its runner.
    async fn stop_those_that_came(&self, undo: &Undo, there: &mut Vec<Subject>) -> Result<(), Trouble> {
        let fault = asked(&undo.offer.ask)?;
        for _ in 0..LOOKS {
            let found = meant::on_host(&undo.offer.ask.object, &undo.site, fault)?;
            let came: Vec<Subject> = found
                .into_iter()
                .filter(|one| !there.iter().any(|known| (known.pid, known.started) == (one.pid, one.started)))
                .collect();
            if came.is_empty() {
                return Ok(());
            }
            // Before the signal: whatever comes of it, a revert lets them go on.
            if let Some(held) = self.held().get_mut(&undo.id) {
                held.came.extend(came.iter().cloned());
            }
            for subject in came {
                let sent =
                    subject.send(libc::SIGSTOP).map_err(|error| unsent(&subject, "be stopped", &error))?;
                if sent && subject.until(|doing| doing == Doing::Stopped).await == Doing::Stopped {
                    there.push(subject);
                }
            }
        }
        Err(Trouble::unable(format!(
            "{} starts programs faster than they can be stopped",
            undo.offer.ask.object
        ))
        .with_help("name the processes that are meant: `pause process \"NAME\" on HOST`"))
    }
}

#[async_trait]
impl Injector for ProcessInjector {
    fn name(&self) -> &str {
        NAME
    }

    fn handles(&self, action: &Action) -> bool {
        handles(action)
    }

    async fn capabilities(&self) -> Result<Vec<Capability>, Trouble> {
        Ok(vec![capability()])
    }

    async fn offer(&self, ask: &Ask, _around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        let fault = asked(ask)?;
        if self.holding == Holding::KernelOnly && !fault.effect.ends() {
            let why =
                "a stopped process stays stopped if this program ends, and there is no agent to let it go on";
            return Err(
                Trouble::unable(why).with_help("name an executable that plays the agent, such as `chaos`")
            );
        }
        let mut takes = Vec::new();
        let whom = if ask.object.kind == Kind::HOST {
            match fault.named.is_any() {
                true => format!("every process of {}", ask.object),
                false => format!("every{} of {}", fault.which(), ask.object),
            }
        } else {
            numbers()?;
            let subject = meant::process(&ask.object)?;
            meant::allowed(&subject)?;
            fit(&subject, fault.effect)?;
            reachable(&subject)?;
            takes = others::along(&subject, &ask.object, fault.effect);
            subject.to_string()
        };
        let others = takes.iter().filter(|other| other.id != ask.object).count();
        let signal = fault.effect.signal();
        let (does, undoes, hold) = match fault.effect {
            ProcessEffect::Pause => (
                format!("stop {whom} ({signal}), with all of its threads"),
                "let it go on (SIGCONT), and look that it does",
                Hold::Agent,
            ),
            ProcessEffect::Kill => (format!("end {whom} ({signal})"), NOT_PUT_BACK, Hold::Over),
            ProcessEffect::Terminate => (format!("ask {whom} to end ({signal})"), NOT_PUT_BACK, Hold::Over),
        };
        let mut does = vec![does];
        if others > 0 {
            does.push(format!("{others} more end with it: it is the first process of their container"));
        }
        Ok(vec![Offer {
            backend: SIGNALS.to_owned(),
            ask: ask.clone(),
            hold,
            does,
            undoes: undoes.to_owned(),
            because: Vec::new(),
            takes,
        }])
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let (object, fault) = (&offer.ask.object, asked(&offer.ask)?);
        let processes = if object.kind == Kind::HOST {
            meant::on_host(object, &place.site, fault)?
        } else {
            let subject = meant::process(object)?;
            meant::allowed(&subject)?;
            vec![subject]
        };
        for subject in &processes {
            fit(subject, fault.effect)?;
            reachable(subject)?;
        }
        if fault.effect.ends() {
            self.healing().insert(id.to_owned(), Healing::of(&processes));
        }
        if !self.held().contains_key(id) {
            self.untouched().insert(id.to_owned());
        }
        let names: Vec<String> = processes.iter().map(ToString::to_string).collect();
        let state = State { boot: boot()?, numbers: numbers()?, processes };
        let unwritable =
            |error| Trouble::unable(format!("the undo record of `{id}` cannot be written: {error}"));
        Ok(Undo {
            id: id.to_owned(),
            injector: NAME.to_owned(),
            offer: offer.clone(),
            site: place.site.clone(),
            deadline,
            line: match fault.effect.ends() {
                true => format!("nothing is put back of {}", names.join(", ")),
                false => format!("let {} go on", names.join(", ")),
            },
            state: serde_json::to_value(state).map_err(unwritable)?,
        })
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let effect = asked(&undo.offer.ask)?.effect;
        let subjects = State::of(undo)?.subjects()?;
        for subject in subjects.iter().filter(|subject| subject.doing() != Doing::Gone) {
            fit(subject, effect)?;
        }
        self.done().remove(&undo.id);
        let mut healing = self.healing().remove(&undo.id);
        if effect.ends() {
            healing.get_or_insert_with(|| Healing::of(&subjects)).begin();
        }
        self.untouched().remove(&undo.id);
        let held = Held {
            subjects: subjects.clone(),
            came: Vec::new(),
            since: Instant::now(),
            healing,
            watched: false,
        };
        self.held().insert(undo.id.clone(), held);
        let (signal, done) = match effect {
            ProcessEffect::Pause => (libc::SIGSTOP, "be stopped"),
            ProcessEffect::Kill => (libc::SIGKILL, "be ended"),
            ProcessEffect::Terminate => (libc::SIGTERM, "be asked to end"),
        };
        let mut there = Vec::new();
        for subject in &subjects {
            if subject.send(signal).map_err(|error| unsent(subject, done, &error))? {
                there.push(subject.clone());
            }
        }
        // What ends of itself, or along with another, is gone all the same.
        if there.is_empty() && !effect.ends() {
            return Err(Trouble::absent(format!(
                "nothing is left of what was to be stopped on {}",
                undo.offer.ask.object
            )));
        }
        for subject in &there {
            let missing = match effect {
                ProcessEffect::Pause => {
                    let now = subject.until(|doing| doing == Doing::Stopped).await;
                    (now != Doing::Stopped).then_some("stop")
                }
                ProcessEffect::Kill => (subject.until(|_| false).await != Doing::Gone).then_some("end"),
                // How long it takes is its own matter.
                ProcessEffect::Terminate => None,
            };
            if let Some(missing) = missing {
                return Err(Trouble::unable(format!("{subject} does not {missing}"))
                    .with_help("look at its state in `/proc`: one that waits for a disk hears no signal"));
            }
        }
        if !effect.ends() {
            if undo.offer.ask.object.kind == Kind::HOST {
                self.stop_those_that_came(undo, &mut there).await?;
            }
            if let Some(held) = self.held().get_mut(&undo.id) {
                held.subjects = there;
            }
        }
        if let Some(held) = self.held().get_mut(&undo.id) {
            held.watched = true;
        }
        Ok(())
    }

    /// Lets the processes go on, and looks that they do; one that is gone has nothing to go on with.
    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let came = self.held().get(&undo.id).map_or_else(Vec::new, |held| held.came.clone());
        self.remember(&undo.id);
        // Where nothing is owed, there is nothing that could fail.
        if asked(&undo.offer.ask)?.effect.ends() || self.untouched().contains(&undo.id) {
            return Ok(());
        }
        let mut subjects = State::of(undo)?.subjects()?;
        subjects.extend(came);
        let owed = |doing| matches!(doing, Doing::Stopped | Doing::Stopping | Doing::Deaf | Doing::Unseen);
        let mut failed = None;
        for subject in subjects.iter().filter(|subject| owed(subject.doing())) {
            // To all of them, whatever becomes of one.
            if let Err(error) = subject.send(libc::SIGCONT) {
                failed.get_or_insert(unsent(subject, "be let go on", &error));
            }
        }
        for subject in &subjects {
            let stands = |doing| matches!(doing, Doing::Stopped | Doing::Stopping | Doing::Unseen);
            if stands(subject.until(|doing| !stands(doing)).await) {
                failed.get_or_insert_with(|| {
                    Trouble::unable(format!("{subject} does not go on"))
                        .with_help(format!("see who stops it, then run `kill -CONT {}`", subject.pid))
                });
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        if let Some(held) = self.held().get_mut(&undo.id) {
            return Ok(held.measure());
        }
        Ok(self.done().get(&undo.id).cloned().unwrap_or_else(|| Measured::nothing(Unit::Processes)))
    }

    async fn lost(&self) -> Lost {
        loop {
            tokio::time::sleep(ROUND).await;
            for (id, held) in self.held().iter_mut().filter(|(_, held)| held.watched) {
                if let Some(healing) = &mut held.healing {
                    healing.look();
                    continue;
                }
                let gone_on = held.subjects.iter().find(|subject| subject.doing() != Doing::Stopped);
                let Some(subject) = gone_on else { continue };
                let reason = match subject.doing() {
                    Doing::Gone => format!("{subject} ended while it was stopped"),
                    Doing::Runs | Doing::Deaf | Doing::Stopping | Doing::Stopped | Doing::Unseen => {
                        format!("{subject} was let go on by somebody else")
                    }
                };
                held.watched = false;
                return Lost { ids: vec![id.clone()], reason };
            }
        }
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        if asked(&undo.offer.ask)?.effect.ends() || self.untouched().contains(&undo.id) {
            return Ok(Vec::new());
        }
        let subjects = State::of(undo)?.subjects()?;
        Ok(subjects.iter().filter_map(stopped).collect())
    }

    async fn leftovers(&self, object: &ObjectId) -> Result<Vec<String>, Trouble> {
        // Who stopped it cannot be seen.
        let found = meant::process(object).ok().filter(|_| object.kind == Kind::PROCESS);
        let line = |subject: &Subject| {
            Some(format!("{}: `kill -CONT {}` lets it go on", stopped(subject)?, subject.pid))
        };
        Ok(found.as_ref().and_then(line).into_iter().collect())
    }
}

/// Says that a process is stopped, where it is.
fn stopped(subject: &Subject) -> Option<String> {
    match subject.doing() {
        Doing::Stopped => Some(format!("{subject} is stopped")),
        Doing::Stopping => Some(format!("{subject} stops as soon as it can")),
        Doing::Unseen => Some(format!("{subject} may not be looked at, and may be stopped")),
        Doing::Runs | Doing::Deaf | Doing::Gone => None,
    }
}

#[cfg(test)]
mod tests;
