//! Holds packets in user space, for kernels without netem and for users who may add no qdisc of their own.
//!
//! 1. [`shape`] is what is asked of a link: delay, jitter, reordering, rate, loss, duplication, damage.
//! 2. [`schedule`] decides the fate of each packet from a recorded seed, without touching any.
//! 3. [`steering`] leads packets of an interface into an own pair of interfaces, whose far end lies in a network namespace
//!    that only the forwarder's thread is in.
//! 4. A thread there reads them, holds each until it is due, and sends it on past the qdisc, with segmentation and
//!    checksums still left to the hardware. Where single packets are picked, as for a loss or for damage, it cuts what it reads
//!    into packets of the wire and finishes their checksums first.
//!
//! Steered by a BPF rule, traffic takes its ordinary way the moment the forwarder's process dies, 250 ms after it hangs,
//! and at the rule's deadline.

mod frame;
mod own_pair;
pub mod queries;
mod queue;
pub mod schedule;
mod segments;
pub mod shape;
mod socket;
pub mod steering;
mod worker;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, sync::mpsc};

use self::queries::{Asking, Tally};
pub use self::shape::{Rate, Shape};
pub use self::steering::{Entry, Steering, TcxSteering};
pub use self::worker::Counters;
use self::worker::{Meters, Worker};
use crate::bpf::action::Heartbeat;
use crate::bpf::{BpfError, Device, Direction, PacketMatch};

/// A forwarder that could not be started, steered or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwarderError {
    /// What is asked of the link cannot be.
    #[error(transparent)]
    Shape(#[from] shape::ShapeError),
    /// The interface is of a kind that packets cannot be sent on past its qdisc.
    #[error("cannot forward packets of `{0}`: only Ethernet-like interfaces work, loopback and tun do not")]
    NotEthernet(String),
    /// The namespace, the pair of interfaces or a socket could not be obtained.
    #[error(
        "cannot {what} for the forwarder of `{device}`: {source}; CAP_NET_ADMIN and CAP_NET_RAW in that network namespace are needed"
    )]
    Setup {
        /// What was tried.
        what: &'static str,
        /// The interface to forward for.
        device: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Packets could not be led in, or no longer kept from being led in.
    #[error("cannot steer packets of `{device}`: {source}")]
    Steering {
        /// The interface.
        device: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The heartbeat's map could not be obtained.
    #[error(transparent)]
    Bpf(#[from] BpfError),
}

/// What a forwarder does.
#[derive(Debug)]
enum Task {
    /// It does something to packets.
    Packets(Shape),
    /// It does something to queries for names.
    Queries { asking: Asking, below: Duration },
}

/// A running forwarder of one direction of one device.
///
/// Dropping it stops it like [`Forwarder::stop`], but swallows errors.
#[derive(Debug)]
pub struct Forwarder {
    device: Device,
    near: u32,
    steering: Box<dyn Steering>,
    engaged: bool,
    meters: Arc<Meters>,
    /// Closed to tell the thread to stop.
    running: Option<io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts to hold what `steering` leads in from the device; returns once packets are being led in.
    ///
    /// # Errors
    /// The shape cannot be, the device is not Ethernet, rights are missing, or the steering refuses; nothing is left then.
    pub fn start(
        device: Device,
        direction: Direction,
        shape: Shape,
        steering: Box<dyn Steering>,
        seed: u64,
    ) -> Result<Self, ForwarderError> {
        shape.validate()?;
        Self::start_task(device, direction, Task::Packets(shape), steering, seed)
    }

    /// Starts to do what is asked to queries in what `steering` leads in of what the device sends; `below` is by how much
    /// another fault delays the same packets.
    ///
    /// # Errors
    /// As [`Forwarder::start`].
    pub fn start_queries(
        device: Device,
        asking: Asking,
        below: Duration,
        steering: Box<dyn Steering>,
        seed: u64,
    ) -> Result<Self, ForwarderError> {
        Self::start_task(device, Direction::Egress, Task::Queries { asking, below }, steering, seed)
    }

    fn start_task(
        device: Device,
        direction: Direction,
        task: Task,
        steering: Box<dyn Steering>,
        seed: u64,
    ) -> Result<Self, ForwarderError> {
        if !device.is_ethernet() {
            return Err(ForwarderError::NotEthernet(device.name().to_owned()));
        }
        let setup = |what, source| ForwarderError::Setup { what, device: device.name().to_owned(), source };
        // Where no map may be made there is no program to check it either, so the heartbeat goes without.
        let heartbeat = steering.wants_heartbeat().then(Heartbeat::new).transpose()?;
        let (stop, running) = io::pipe().map_err(|source| setup("open a pipe", source))?;
        let meters = Arc::new(Meters::default());
        let answers = matches!(task, Task::Queries { .. });
        let (started, ready) = mpsc::sync_channel(1);
        let thread = {
            let (device, heartbeat, meters) = (device.clone(), heartbeat.clone(), meters.clone());
            std::thread::Builder::new().name("chaos-forwarder".to_owned()).spawn(move || {
                match Worker::open(&device, direction, task, seed, heartbeat, meters, stop) {
                    Ok((worker, near)) => {
                        // Nobody waiting for the answer means the start was given up, and the pipe says so too.
                        started.send(Ok(near)).ok();
                        worker.run();
                    }
                    Err(error) => {
                        // Nobody waiting for the answer means the start was given up.
                        let _ = started.send(Err(error));
                    }
                }
            })
        }
        .map_err(|source| setup("start a thread", source))?;
        let near = ready.recv().unwrap_or_else(|_| {
            Err(setup("start a thread", io::Error::other("the thread ended before it was ready")))
        })?;
        let mut forwarder = Self {
            device,
            near: near.index(),
            steering,
            engaged: false,
            meters,
            running: Some(running),
            thread: Some(thread),
        };
        let entry = Entry { device: forwarder.device.clone(), direction, near, heartbeat, answers };
        // From here on dropping the forwarder cleans up.
        forwarder.engaged = true;
        forwarder.steering.engage(&entry).map_err(|source| forwarder.steering_error(source))?;
        Ok(forwarder)
    }

    /// Has other packets led in than before; what is held stays so until it is due.
    ///
    /// # Errors
    /// The steering refuses; the packets that were led in before still are.
    pub fn apply_to(&mut self, matching: &PacketMatch) -> Result<(), ForwarderError> {
        let changed = self.steering.apply_to(matching);
        changed.map_err(|source| self.steering_error(source))
    }

    /// Returns what was done to packets so far.
    pub fn counters(&self) -> Counters {
        Counters { bypassed: self.steering.bypassed(), ..self.meters.read() }
    }

    /// Returns what was asked for, where queries are what counts; it goes on being counted, until the forwarder was stopped.
    pub fn tally(&self) -> Arc<Mutex<Tally>> {
        Arc::clone(&self.meters.tally)
    }

    /// Returns the device whose packets are held.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the index of the interface that packets are led to.
    pub fn near(&self) -> u32 {
        self.near
    }

    /// Returns whether the thread that holds packets still runs.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops leading packets in, sends what is held in the order it was due, and removes the pair of interfaces.
    ///
    /// # Errors
    /// The steering could not be reverted; everything else is done all the same.
    pub fn stop(mut self) -> Result<Counters, ForwarderError> {
        let steered = self.shut_down();
        let counters = self.counters();
        steered.map(|()| counters)
    }

    fn shut_down(&mut self) -> Result<(), ForwarderError> {
        let steered = if std::mem::take(&mut self.engaged) { self.steering.disengage() } else { Ok(()) };
        self.running = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!(device = self.device.name(), "the forwarder's thread panicked");
        }
        steered.map_err(|source| self.steering_error(source))
    }

    fn steering_error(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ForwarderError {
        ForwarderError::Steering { device: self.device.name().to_owned(), source }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "a forwarder was dropped but its steering stayed");
        }
    }
}
