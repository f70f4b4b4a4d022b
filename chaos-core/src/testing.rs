//! A scripted world behind the traits of this crate, for tests of runs without a target.
//!
//! A [`World`] is an injector, an environment, an inventory, a journal and a maker of probers at once. Every call through
//! one of its doors can be scripted to fail, to hang, to panic or to be late, and a ledger knows what is in place. On a
//! paused tokio clock a run of minutes takes milliseconds.
//!
//! ```
//! use chaos_core::testing::{Door, Mishap, World};
//!
//! let world = World::new();
//! world.mishap(Door::Revert, 0..2, Mishap::Fail); // the first two reverts fail
//! assert!(world.is_pristine());
//! ```

mod doors;
mod scenario;

pub use scenario::{experiment, plan};

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    environment::Broken,
    injector::{Hold, Undo},
    journal::{Entry, History},
    place::ObjectId,
    probe::Observation,
};

/// The calls that can be scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Door {
    /// [`Environment::up`](crate::environment::Environment::up).
    Up,
    /// [`Environment::place`](crate::environment::Environment::place).
    Place,
    /// [`Environment::down`](crate::environment::Environment::down).
    Down,
    /// [`Probers::open`](crate::probe::Probers::open).
    Open,
    /// [`Prober::once`](crate::probe::Prober::once).
    Once,
    /// [`Injector::prepare`](crate::injector::Injector::prepare).
    Prepare,
    /// [`Injector::inject`](crate::injector::Injector::inject).
    Inject,
    /// [`Injector::revert`](crate::injector::Injector::revert).
    Revert,
    /// [`Injector::effect`](crate::injector::Injector::effect).
    Effect,
    /// [`Journal::append`](crate::journal::Journal::append).
    Append,
}

impl Door {
    /// All doors.
    pub const ALL: [Door; 10] = [
        Door::Up,
        Door::Place,
        Door::Down,
        Door::Open,
        Door::Once,
        Door::Prepare,
        Door::Inject,
        Door::Revert,
        Door::Effect,
        Door::Append,
    ];
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It fails and does nothing.
    Fail,
    /// It does what it should, and then fails.
    DoneButFails,
    /// It never returns and does nothing.
    Hang,
    /// It does what it should, and then never returns.
    DoneButHangs,
    /// It panics.
    Panic,
    /// It works, but only after so long.
    Late(Duration),
}

/// A world with a ledger of what is in place.
///
/// Clones are the same world.
#[derive(Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    lost: Arc<watch::Sender<Option<String>>>,
    broken: Arc<watch::Sender<Option<Broken>>>,
}

struct Inner {
    script: Vec<(Door, Range<u32>, Mishap)>,
    calls: BTreeMap<Door, u32>,
    /// How many calls are under way, and how many were at most.
    under_way: BTreeMap<Door, (usize, usize)>,
    /// How many objects selectors find, where that is not one.
    objects: BTreeMap<String, u32>,
    /// Whether each effect of a fault is a part of its own.
    split: bool,
    /// What is chosen when a fault is prepared, where that is not what was offered.
    chosen: Option<(String, Hold)>,
    log: Vec<(Door, String)>,
    in_place: Vec<String>,
    undos: Vec<Undo>,
    entries: Vec<Entry>,
    met: u64,
    /// How many of those that a fault meets it changes, at most.
    changed: u64,
    /// How long after its revert what a fault was on is whole again, where that is waited for.
    recovery: Option<Duration>,
    service: Service,
}

/// How a scripted service answers; it is given what is in place.
type Service = Arc<dyn Fn(&[String]) -> Reply + Send + Sync>;

/// One answer of the scripted service.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How long it takes.
    pub after: Duration,
    /// What the prober sees.
    pub observation: Observation,
}

impl Reply {
    /// A success after so long.
    pub fn ok(after: Duration) -> Self {
        Reply { after, observation: Observation::ok() }
    }

    /// A failure after so long.
    pub fn failed(after: Duration) -> Self {
        Reply { after, observation: Observation::failed("refused") }
    }
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    /// Makes a world in which nothing is in place, everything works, and a service answers well within a millisecond.
    pub fn new() -> World {
        World {
            inner: Arc::new(Mutex::new(Inner {
                script: Vec::new(),
                calls: BTreeMap::new(),
                under_way: BTreeMap::new(),
                objects: BTreeMap::new(),
                split: false,
                chosen: None,
                log: Vec::new(),
                in_place: Vec::new(),
                undos: Vec::new(),
                entries: Vec::new(),
                met: 100,
                changed: u64::MAX,
                recovery: None,
                service: Arc::new(|_| Reply::ok(Duration::from_micros(500))),
            })),
            lost: Arc::new(watch::Sender::new(None)),
            broken: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Scripts what goes wrong with the calls through a door whose numbers, counted from 0, lie in `which`.
    pub fn mishap(&self, door: Door, which: Range<u32>, mishap: Mishap) {
        self.lock().script.push((door, which, mishap));
    }

    /// Forgets all scripted mishaps.
    pub fn heal(&self) {
        self.lock().script.clear();
    }

    /// Sets how the service answers; the closure is given the ids of the parts in place.
    pub fn serve(&self, service: impl Fn(&[String]) -> Reply + Send + Sync + 'static) {
        self.lock().service = Arc::new(service);
    }

    /// Sets how many packets each fault meets; 0 makes faults that do nothing.
    pub fn meet(&self, packets: u64) {
        self.lock().met = packets;
    }

    /// Sets how long after its revert what a fault was on is whole again.
    pub fn recover_after(&self, after: Duration) {
        self.lock().recovery = Some(after);
    }

    /// Sets how many of the packets that it meets each fault changes, at most.
    pub fn change(&self, packets: u64) {
        self.lock().changed = packets;
    }

    /// Makes the selector of this name find this many objects, `NAME-1`, `NAME-2` and so on.
    pub fn populate(&self, name: &str, objects: u32) {
        self.lock().objects.insert(name.to_owned(), objects);
    }

    /// Makes each effect of a fault a part of its own.
    pub fn split(&self) {
        self.lock().split = true;
    }

    /// Has the mechanism of a fault chosen when it is prepared, and not when it is offered.
    pub fn chooses(&self, backend: &str, hold: Hold) {
        self.lock().chosen = Some((backend.to_owned(), hold));
    }

    /// Returns how many calls through a door were under way at once, at most.
    pub fn most_at_once(&self, door: Door) -> usize {
        self.lock().under_way.get(&door).map_or(0, |(_, most)| *most)
    }

    /// Loses a fault that should be in place.
    pub fn lose(&self, why: &str) {
        self.lost.send_replace(Some(why.to_owned()));
    }

    /// Breaks the environment.
    pub fn break_environment(&self, why: &str) {
        self.broken.send_replace(Some(Broken::whole(why)));
    }

    /// Ends a program on an object.
    pub fn end_program_on(&self, object: &ObjectId, why: &str) {
        self.broken.send_replace(Some(Broken { why: why.to_owned(), program_on: Some(object.clone()) }));
    }

    /// Returns what is in place, in the order it came: part ids, and `environment`.
    pub fn in_place(&self) -> Vec<String> {
        self.lock().in_place.clone()
    }

    /// Returns whether nothing is in place.
    pub fn is_pristine(&self) -> bool {
        self.lock().in_place.is_empty()
    }

    /// Returns every call so far with what it was about, except for measurements.
    pub fn log(&self) -> Vec<(Door, String)> {
        self.lock().log.clone()
    }

    /// Returns what the calls through one door were about.
    pub fn calls(&self, door: Door) -> Vec<String> {
        self.lock().log.iter().filter(|(d, _)| *d == door).map(|(_, what)| what.clone()).collect()
    }

    /// Returns every undo that was handed out.
    pub fn undos(&self) -> Vec<Undo> {
        self.lock().undos.clone()
    }

    /// Returns what the journal holds.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// Replays the journal.
    ///
    /// # Panics
    ///
    /// If the entries are of a format newer than this crate's, which no runner of this crate writes.
    pub fn history(&self) -> History {
        History::replay(&self.entries()).expect("a runner writes its own format")
    }

    /// Returns whether anything is scripted to go wrong with calls through a door.
    pub fn is_scripted(&self, door: Door) -> bool {
        self.lock().script.iter().any(|(d, ..)| *d == door)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays a call: what goes wrong goes wrong, else `act` is done at once.
    async fn play<T>(&self, door: Door, about: &str, act: impl FnOnce(&mut Inner) -> T) -> Result<T, String> {
        let _under_way = UnderWay::begin(self, door);
        let mishap = {
            let mut inner = self.lock();
            let count = inner.calls.entry(door).or_default();
            let number = *count;
            *count += 1;
            if door != Door::Once {
                inner.log.push((door, about.to_owned()));
            }
            inner.script.iter().find(|(d, which, _)| *d == door && which.contains(&number)).map(|(.., m)| *m)
        };
        let failure = || format!("scripted failure of {door:?} for `{about}`");
        match mishap {
            None => Ok(act(&mut self.lock())),
            Some(Mishap::Fail) => Err(failure()),
            Some(Mishap::DoneButFails) => {
                act(&mut self.lock());
                Err(failure())
            }
            Some(Mishap::Hang) => std::future::pending().await,
            Some(Mishap::DoneButHangs) => {
                act(&mut self.lock());
                std::future::pending().await
            }
            // Without the panic hook, which would print a backtrace for what is meant to happen.
            Some(Mishap::Panic) => std::panic::resume_unwind(Box::new(failure())),
            Some(Mishap::Late(time)) => {
                tokio::time::sleep(time).await;
                Ok(act(&mut self.lock()))
            }
        }
    }
}

/// A call that is under way until this is dropped, also by a panic or by being given up.
struct UnderWay<'a>(&'a World, Door);

impl<'a> UnderWay<'a> {
    fn begin(world: &'a World, door: Door) -> Self {
        let mut inner = world.lock();
        let (now, most) = inner.under_way.entry(door).or_default();
        *now += 1;
        *most = (*most).max(*now);
        drop(inner);
        UnderWay(world, door)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some((now, _)) = self.0.lock().under_way.get_mut(&self.1) {
            *now -= 1;
        }
    }
}

impl Inner {
    fn put(&mut self, what: &str) {
        if !self.in_place.iter().any(|w| w == what) {
            self.in_place.push(what.to_owned());
        }
    }

    fn take(&mut self, what: &str) {
        self.in_place.retain(|w| w != what);
    }
}
