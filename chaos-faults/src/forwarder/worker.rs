//! The thread that holds packets.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::frame;
use super::own_pair::OwnPair;
use super::queries::{self, Queries, Tally};
use super::queue::Queue;
use super::schedule::{Fate, Schedule};
use super::segments;
use super::shape::Shape;
use super::socket::PacketSocket;
use super::{ForwarderError, Task};
use crate::bpf::action::{Heartbeat, monotonic_ns};
use crate::bpf::{Device, Direction};
use crate::priority::Punctual;

/// How often the thread gives a sign of life: often enough for one or two to come late.
const BEAT: u64 = 20_000_000;

/// How many frames are read before those that have come due are sent.
const AT_ONCE: usize = 16;

/// How long what is under way between the two ends of the pair is given to arrive.
const STRAGGLERS: Duration = Duration::from_millis(3);

/// What a forwarder did to packets, counted as they are on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Packets that were held and have gone on.
    pub delayed: u64,
    /// Packets that went on before one that had come earlier.
    pub overtaking: u64,
    /// Packets that had to wait for their turn at the rate.
    pub queued: u64,
    /// Packets that were lost as asked.
    pub lost: u64,
    /// Packets that went on twice as asked.
    pub duplicated: u64,
    /// Packets that were damaged as asked.
    pub corrupted: u64,
    /// Packets that were lost because too much was held, waited for too long at the rate, or came faster than they could
    /// be read.
    pub overflow: u64,
    /// Packets that the interface refused to send.
    pub unsent: u64,
    /// Packets that matched while the forwarder gave no sign of life, and took their ordinary way.
    pub bypassed: u64,
    /// For how long packets that have gone on were held, on average.
    pub mean_added_delay: Duration,
}

/// Counters shared with the thread.
#[derive(Debug, Default)]
pub(super) struct Meters {
    packets: AtomicU64,
    bytes: AtomicU64,
    delayed: AtomicU64,
    overtaking: AtomicU64,
    queued: AtomicU64,
    lost: AtomicU64,
    duplicated: AtomicU64,
    corrupted: AtomicU64,
    overflow: AtomicU64,
    unsent: AtomicU64,
    added_ns: AtomicU64,
    /// What was asked for, where queries are what counts.
    pub(super) tally: Arc<Mutex<Tally>>,
}

impl Meters {
    pub(super) fn read(&self) -> Counters {
        let delayed = self.delayed.load(Relaxed);
        Counters {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            delayed,
            overtaking: self.overtaking.load(Relaxed),
            queued: self.queued.load(Relaxed),
            lost: self.lost.load(Relaxed),
            duplicated: self.duplicated.load(Relaxed),
            corrupted: self.corrupted.load(Relaxed),
            overflow: self.overflow.load(Relaxed),
            unsent: self.unsent.load(Relaxed),
            bypassed: 0,
            mean_added_delay: Duration::from_nanos(
                self.added_ns.load(Relaxed).checked_div(delayed).unwrap_or(0),
            ),
        }
    }
}

fn add(meter: &AtomicU64, amount: u64) {
    meter.fetch_add(amount, Relaxed);
}

/// What decides about frames.
enum Work {
    /// Whatever happens to packets.
    Packets(Box<Schedule>),
    /// What happens to queries, and by how much a fault below delays each frame.
    Queries(Box<Queries>, u64),
}

/// Everything the thread holds.
pub(super) struct Worker {
    pair: OwnPair,
    arriving: PacketSocket,
    /// Where packets go on; nothing means back through the pair.
    leaving: Option<PacketSocket>,
    work: Work,
    queue: Queue,
    /// What only takes the time that a fault below asks for.
    passing: Queue,
    /// What goes back to its sender.
    answers: Queue,
    /// When the last of those held so far is due.
    latest_due: u64,
    /// Room for one packet of those that a frame is on the wire.
    packet: Vec<u8>,
    heartbeat: Option<Heartbeat>,
    next_beat: u64,
    punctual: Punctual,
    meters: Arc<Meters>,
    /// Closed at its other end to stop.
    stop: io::PipeReader,
}

impl Worker {
    /// Sets up on this thread, which from then on is in a network namespace of its own; returns the near end of the pair.
    pub(super) fn open(
        device: &Device,
        direction: Direction,
        task: Task,
        seed: u64,
        heartbeat: Option<Heartbeat>,
        meters: Arc<Meters>,
        stop: io::PipeReader,
    ) -> Result<(Self, Device), ForwarderError> {
        let setup =
            |what| move |source| ForwarderError::Setup { what, device: device.name().to_owned(), source };
        if let Some(namespace) = device.namespace() {
            namespace.enter().map_err(|error| setup("enter the network namespace")(error.into()))?;
        }
        // Timers may come late by 50 µs otherwise; nothing else depends on it.
        nix::sys::prctl::set_timerslack(1).ok();
        let leaving = match direction {
            Direction::Egress => {
                Some(PacketSocket::sender(device.index()).map_err(setup("open a packet socket"))?)
            }
            Direction::Ingress => None,
        };
        let pair = OwnPair::open(device.namespace()).map_err(setup("make a pair of interfaces"))?;
        let arriving = PacketSocket::receiver(pair.far_index).map_err(setup("open a packet socket"))?;
        if let Some(heartbeat) = &heartbeat {
            heartbeat.beat()?;
        }
        let near = pair.near.clone();
        let (limit, work) = match task {
            Task::Packets(shape) => (shape.limit_bytes, Work::Packets(Box::new(Schedule::new(shape, seed)))),
            Task::Queries { asking, below } => {
                let queries = Queries::new(asking, seed, Arc::clone(&meters.tally));
                (Shape::default().limit_bytes, Work::Queries(Box::new(queries), below.as_nanos() as u64))
            }
        };
        let [queue, passing, answers] = [(); 3].map(|()| Queue::new(limit));
        let worker = Self {
            pair,
            arriving,
            leaving,
            work,
            queue,
            passing,
            answers,
            latest_due: 0,
            packet: Vec::new(),
            heartbeat,
            next_beat: 0,
            punctual: Punctual::new(monotonic_ns()),
            meters,
            stop,
        };
        Ok((worker, near))
    }

    /// Holds packets until it is asked to stop, then sends what is left in the order it was due and removes the pair.
    pub(super) fn run(mut self) {
        let mut buffer = Vec::new();
        loop {
            let now = monotonic_ns();
            if now >= self.next_beat {
                self.beat(now);
            }
            self.release(now);
            let queues = [&self.queue, &self.passing, &self.answers];
            let due = queues.into_iter().filter_map(Queue::next_due).min();
            let next = due.unwrap_or(u64::MAX).min(self.next_beat);
            match self.wait(next.saturating_sub(monotonic_ns())) {
                Ok(Woken { stopping: true, .. }) => break,
                Ok(Woken { arrived: true, .. }) => {
                    self.read(AT_ONCE, &mut buffer);
                }
                Ok(Woken { .. }) => {}
                Err(error) => {
                    // Without a heartbeat from here on, packets take their ordinary way.
                    tracing::error!(%error, "a forwarder cannot wait for packets any more");
                    break;
                }
            }
        }
        // What was on its way in when the steering ended.
        std::thread::sleep(STRAGGLERS);
        self.read(usize::MAX, &mut buffer);
        self.release(u64::MAX);
        self.count_overrun();
        if let Err(error) = self.pair.remove() {
            tracing::warn!(%error, "the forwarder's pair of interfaces could not be removed");
        }
    }

    fn beat(&mut self, now: u64) {
        self.next_beat = now + BEAT;
        self.punctual.look(now);
        if let Some(heartbeat) = &self.heartbeat
            && let Err(error) = heartbeat.beat()
        {
            tracing::warn!(%error, "a forwarder cannot give a sign of life");
        }
        self.count_overrun();
    }

    fn count_overrun(&self) {
        add(&self.meters.overflow, self.arriving.take_overrun());
    }

    /// Sends everything that is due at `now`.
    fn release(&mut self, now: u64) {
        let out = self.leaving.as_ref().unwrap_or(&self.arriving);
        // A query that the end of the fault lets go was not held for as long as was asked for.
        let cut_short = now == u64::MAX && matches!(self.work, Work::Queries(..));
        while let Some((arrived, frame)) = self.queue.pop_due(now) {
            let (packets, _) = segments::on_the_wire(&frame);
            if out.send(&frame).is_err() {
                add(&self.meters.unsent, packets);
                continue;
            }
            if cut_short {
                continue;
            }
            add(&self.meters.delayed, packets);
            add(&self.meters.added_ns, packets * monotonic_ns().saturating_sub(arrived));
        }
        for (queue, way) in [(&mut self.passing, out), (&mut self.answers, &self.arriving)] {
            while let Some((_, frame)) = queue.pop_due(now) {
                add(&self.meters.unsent, way.send(&frame).is_err().into());
            }
        }
    }

    fn wait(&self, nanoseconds: u64) -> io::Result<Woken> {
        let mut watched = [
            PollFd::new(self.arriving.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.stop.as_fd(), PollFlags::empty()),
        ];
        match ppoll(&mut watched, Some(TimeSpec::from(Duration::from_nanos(nanoseconds))), None) {
            Ok(_) => {
                let [arrived, stopping] = watched.map(|watched| watched.any().unwrap_or(true));
                Ok(Woken { arrived, stopping })
            }
            Err(nix::errno::Errno::EINTR) => Ok(Woken { arrived: false, stopping: false }),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads frames that have arrived and decides about each; returns how many there were.
    fn read(&mut self, most: usize, buffer: &mut Vec<u8>) -> usize {
        for count in 0..most {
            match self.arriving.receive(buffer) {
                Ok(true) => self.take(buffer),
                Ok(false) => return count,
                // A frame whose segmentation cannot be described to us.
                Err(_) => add(&self.meters.overflow, 1),
            }
        }
        most
    }

    fn take(&mut self, frame: &mut Vec<u8>) {
        if frame::is_from(frame, self.pair.near_address) {
            return;
        }
        let now = monotonic_ns();
        if !matches!(&self.work, Work::Packets(schedule) if schedule.picks()) {
            return self.decide(now, frame);
        }
        let mut packet = std::mem::take(&mut self.packet);
        segments::each(frame, &mut packet, |packet| self.decide(now, packet));
        self.packet = packet;
    }

    fn decide(&mut self, now: u64, frame: &mut [u8]) {
        let (packets, bytes) = segments::on_the_wire(frame);
        add(&self.meters.packets, packets);
        add(&self.meters.bytes, bytes);
        let schedule = match &mut self.work {
            Work::Packets(schedule) => schedule,
            Work::Queries(queries, below) => {
                let (fate, below) = (queries.decide(now, frame), *below);
                return self.follow(fate, now, below, frame);
            }
        };
        match schedule.decide(now, bytes) {
            Fate::Lost => add(&self.meters.lost, packets),
            Fate::Overflow => add(&self.meters.overflow, packets),
            Fate::Send { due, copy, damage, queued } => {
                add(&self.meters.queued, packets * u64::from(queued));
                add(&self.meters.overtaking, packets * u64::from(due < self.latest_due));
                self.latest_due = self.latest_due.max(due);
                if let Some(copy) = copy {
                    let room = self.queue.push(now, copy, frame);
                    add(if room { &self.meters.duplicated } else { &self.meters.overflow }, packets);
                }
                // Only then does the receiver find the damage, as it would that of a wire.
                if damage.is_some_and(|choice| segments::seal(frame) && frame::damage(frame, choice)) {
                    add(&self.meters.corrupted, packets);
                }
                if !self.queue.push(now, due, frame) {
                    add(&self.meters.overflow, packets);
                }
            }
        }
    }
}

impl Worker {
    /// Does with a frame what was decided about its query.
    fn follow(&mut self, fate: queries::Fate, now: u64, below: u64, frame: &[u8]) {
        let room = match fate {
            queries::Fate::Drop => true,
            queries::Fate::Pass => self.passing.push(now, now + below, frame),
            // What the fault below adds is not this one's effect, nor how long a query waited for another one's delay.
            queries::Fate::Hold(due, true) => self.queue.push(now + below, due + below, frame),
            queries::Fate::Hold(due, false) => self.passing.push(now, due + below, frame),
            queries::Fate::Answer(mut back, on) => {
                if self.heartbeat.is_none() {
                    // Filters hand on what the near end took for its own; a program has the device look again.
                    frame::address_to(&mut back, self.pair.near_address);
                }
                // As far as to the server and back.
                let there = self.answers.push(now, now + 2 * below, &back);
                on.is_none_or(|on| self.passing.push(now, now + below, &on)) && there
            }
        };
        add(&self.meters.overflow, (!room).into());
    }
}

/// Why the thread woke.
struct Woken {
    arrived: bool,
    stopping: bool,
}
