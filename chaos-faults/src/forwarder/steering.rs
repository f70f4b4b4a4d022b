//! What leads packets of an interface into a forwarder.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bpf::action::{Action, Heartbeat};
use crate::bpf::hold::return_link;
use crate::bpf::link::Link;
use crate::bpf::{BpfError, Counters, Deadline, Device, Direction, Hold, PacketMatch, Rule, RuleId};

/// Where packets have to be led.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The interface whose packets are to be held.
    pub device: Device,
    /// Which of its packets.
    pub direction: Direction,
    /// The interface they must be redirected to (its egress), in the same namespace. On ingress, held packets come back
    /// as what this interface receives, and must be led into the device's ingress from there.
    pub near: Device,
    /// Whether the forwarder answers what the device sends: what comes back from `near` must be led into the device's ingress,
    /// as for held packets of that direction.
    pub answers: bool,
    /// The forwarder's sign of life, if [`Steering::wants_heartbeat`].
    pub heartbeat: Option<Heartbeat>,
}

/// Why packets could not be steered.
pub type SteeringError = Box<dyn std::error::Error + Send + Sync>;

/// Leads packets of an interface into a forwarder, and stops doing so.
///
/// # Guarantees
/// After `disengage` has succeeded no packet is led in any more, also where `engage` failed half-way or was never called.
///
/// # Assumptions
/// One caller engages and disengages it, one call at a time, while the forwarder's near end exists.
///
/// # Errors
/// What the kernel refused; of `disengage`, something may still lead packets in.
pub trait Steering: fmt::Debug + Send {
    /// Returns whether it checks the forwarder's sign of life; one that does not can leave packets to a dead forwarder.
    fn wants_heartbeat(&self) -> bool;

    /// Begins to lead packets in.
    ///
    /// # Errors
    /// Whatever refuses; nothing may be left then that `disengage` would not revert.
    fn engage(&mut self, entry: &Entry) -> Result<(), SteeringError>;

    /// Leads other packets in than before.
    ///
    /// # Errors
    /// Whatever refuses; what was led in before still is. Refused unless overridden.
    fn apply_to(&mut self, _matching: &PacketMatch) -> Result<(), SteeringError> {
        Err("what leads packets in cannot be changed".into())
    }

    /// Returns how many packets matched and were not led in, where that is counted.
    fn bypassed(&self) -> u64 {
        0
    }

    /// Stops to lead packets in; succeeds as well if it never began.
    ///
    /// # Errors
    /// Whatever refuses.
    fn disengage(&mut self) -> Result<(), SteeringError>;
}

/// Steers by a rule of the BPF program on the device, which lets packets take their ordinary way once the forwarder is
/// dead, hung, or past the deadline.
#[derive(Debug)]
pub struct TcxSteering {
    hold: Arc<Mutex<Hold>>,
    matching: PacketMatch,
    deadline: Option<Deadline>,
    mark: u32,
    rule: Option<RuleId>,
    back: Option<Link>,
    /// What the rule had counted when it was removed.
    last: Counters,
}

impl TcxSteering {
    /// Steers packets that match, by a rule with this mark added to the hold of the device and direction.
    pub fn new(hold: Arc<Mutex<Hold>>, matching: PacketMatch, deadline: Option<Deadline>, mark: u32) -> Self {
        Self { hold, matching, deadline, mark, rule: None, back: None, last: Counters::default() }
    }

    fn remove(&mut self) -> Result<(), BpfError> {
        if let Some(rule) = self.rule {
            // A panic elsewhere leaves the hold whole: it is changed only after the kernel has agreed.
            let counters = self.hold.lock().unwrap_or_else(PoisonError::into_inner).remove(rule)?;
            self.last = counters;
            self.rule = None;
        }
        Ok(())
    }
}

impl Steering for TcxSteering {
    fn wants_heartbeat(&self) -> bool {
        true
    }

    fn engage(&mut self, entry: &Entry) -> Result<(), SteeringError> {
        if entry.direction == Direction::Ingress || entry.answers {
            self.back = Some(return_link(&entry.near, &entry.device)?);
        }
        let heartbeat = entry.heartbeat.clone().ok_or("a forwarder without a heartbeat")?;
        let action = Action::Redirect { to: entry.near.index(), heartbeat };
        let rule = Rule { matching: self.matching.clone(), action, deadline: self.deadline, mark: self.mark };
        self.rule = Some(self.hold.lock().unwrap_or_else(PoisonError::into_inner).add(rule)?);
        Ok(())
    }

    fn apply_to(&mut self, matching: &PacketMatch) -> Result<(), SteeringError> {
        if let Some(rule) = self.rule {
            self.hold.lock().unwrap_or_else(PoisonError::into_inner).change(rule, matching.clone())?;
        }
        self.matching = matching.clone();
        Ok(())
    }

    fn bypassed(&self) -> u64 {
        let counted = match self.rule {
            Some(rule) => self.hold.lock().unwrap_or_else(PoisonError::into_inner).counters(rule).ok(),
            None => Some(self.last),
        };
        counted.map_or(0, |counted| counted.seen.saturating_sub(counted.hit))
    }

    fn disengage(&mut self) -> Result<(), SteeringError> {
        // The way back stays until the forwarder is dropped: what is held still has to take it.
        Ok(self.remove()?)
    }
}

impl Drop for TcxSteering {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "a steering rule could not be removed");
        }
    }
}
