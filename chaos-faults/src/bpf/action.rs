//! What happens to a packet that a rule matched.

use std::sync::Arc;

use super::assembler::Register::{R0, R1, R2, R3, R6, R8, R9, R10};
use super::assembler::{Assembler, Condition, Helper, Label, Operation, Width};
use super::matching::{Direction, HAS_PORTS, SCRATCH, SKB_SEGMENTS, SKB_TC_INDEX, TCP, load_bytes};
use super::program::Words;
use super::{BpfError, Device};
use crate::share::{Bursts, Share};

/// Returns below which of all 32-bit numbers something happens, in steps of 2⁻³², or nothing if it always does.
fn threshold(share: Share) -> Option<u32> {
    let threshold = (share.fraction() * 4_294_967_296.0).round();
    (threshold < 4_294_967_296.0).then_some(threshold as u32)
}

/// Which of the matched packets are lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each packet independently.
    Independent(Share),
    /// In bursts, by a chain of two states, as netem's `loss gemodel`.
    Bursts(Bursts),
}

/// What happens to a packet that a rule matched.
#[derive(Debug, Clone)]
pub enum Action {
    /// Loses packets without a word to the sender. Random by the kernel's generator, which takes no seed.
    Drop(Loss),
    /// Loses only packets that open a TCP connection (SYN without ACK); established connections go on.
    DropOpening,
    /// Loses every packet of TCP connections but those that open one (SYN without ACK), which go on.
    DropEstablished,
    /// Sends a second copy right away.
    Duplicate(Share),
    /// Sends packets to another interface, where a forwarder holds them.
    Redirect {
        /// The interface's number, in the namespace of the device.
        to: u32,
        /// Without a sign of life for 250 ms packets take their ordinary way.
        heartbeat: Heartbeat,
    },
}

impl Action {
    /// Returns whether matched packets leave the program here for good, so that no rule after it sees them.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self, Self::Redirect { .. })
    }
}

/// How old a sign of life may be before packets take their ordinary way again.
pub const HEARTBEAT_LIMIT: std::time::Duration = std::time::Duration::from_millis(250);

/// A forwarder's sign of life, which the program that steers packets to it checks for each of them.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Words>);

impl Heartbeat {
    /// Creates a heartbeat that never beat: packets take their ordinary way.
    ///
    /// # Errors
    /// The kernel refuses the map.
    pub fn new() -> Result<Self, BpfError> {
        Words::new(1, 0).map(|words| Self(Arc::new(words)))
    }

    /// Gives a sign of life.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn beat(&self) -> Result<(), BpfError> {
        self.0.write(&[monotonic_ns()])
    }

    /// Lets packets take their ordinary way from now on.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn stop(&self) -> Result<(), BpfError> {
        self.0.write(&[0])
    }
}

/// Returns `CLOCK_MONOTONIC` in nanoseconds, the clock that programs read.
pub(crate) fn monotonic_ns() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned())
        .expect("every Linux has a monotonic clock")
}

/// Words of a rule's map.
pub(super) const SEEN: u32 = 0;
pub(super) const HIT: u32 = 8;
const STATE: u32 = 16;
pub(super) const WORDS: usize = 3;

/// `tc_index` of a packet that a forwarder has already held.
pub(super) const MARK_DONE: u32 = 0x7c00;
/// `tc_index` of a copy made by a rule, plus the rule's number: it goes on behind that rule.
pub(super) const MARK_COPY: u32 = 0x7800;
/// How many rules a copy's mark distinguishes.
pub(super) const MARK_COPIES: u32 = 0x400;

/// What an action's instructions need to know of their surroundings.
pub(super) struct Surroundings<'a> {
    pub(super) device: &'a Device,
    pub(super) direction: Direction,
    pub(super) words: &'a Words,
    /// The rule's number, for marks.
    pub(super) rule: u32,
}

/// Adds to a word of a rule's map how many packets this one is on the wire.
pub(super) fn count(asm: &mut Assembler, words: &Words, word: u32) {
    use std::os::fd::AsRawFd;
    let segmented = asm.label();
    asm.load(Width::Word, R2, R6, SKB_SEGMENTS).jump_if(Condition::NotEqual, R2, 0, segmented).set(R2, 1);
    asm.place(segmented).map_value(R1, words.as_raw_fd(), word).atomic_add(R1, 0, R2);
}

/// Writes the instructions of an action; whatever does not end the program goes on at `next`.
pub(super) fn act(asm: &mut Assembler, action: &Action, around: &Surroundings<'_>, next: Label) {
    match action {
        Action::Drop(Loss::Independent(share)) => {
            happen(asm, *share, next);
            drop_packet(asm, around);
        }
        Action::Drop(Loss::Bursts(bursts)) => {
            chain(asm, around, *bursts, next);
            drop_packet(asm, around);
        }
        Action::DropOpening | Action::DropEstablished => {
            const SYN_OR_ACK: u32 = 0x12;
            const SYN: u32 = 0x02;
            asm.jump_if(Condition::NotEqual, R8, TCP, next);
            asm.load(Width::Word, R0, R10, HAS_PORTS).jump_if(Condition::Equal, R0, 0, next);
            asm.copy(R2, R9).compute(Operation::Add, R2, 13);
            load_bytes(asm, SCRATCH, 1, next);
            asm.load(Width::Byte, R0, R10, SCRATCH).compute_u32(Operation::And, R0, SYN_OR_ACK);
            let unmeant = match action {
                Action::DropEstablished => Condition::Equal,
                _ => Condition::NotEqual,
            };
            asm.jump_if(unmeant, R0, SYN, next);
            drop_packet(asm, around);
        }
        Action::Duplicate(share) => {
            happen(asm, *share, next);
            duplicate(asm, around, next);
        }
        Action::Redirect { to, heartbeat } => {
            use std::os::fd::AsRawFd;
            asm.call(Helper::KtimeGetNs);
            asm.map_value(R1, heartbeat.0.as_raw_fd(), 0).load(Width::Double, R2, R1, 0);
            asm.compute_with(Operation::Subtract, R0, R2);
            // A beat that is a moment in the future, as another processor sees it, is alive too.
            asm.compute(Operation::Add, R0, 1_000_000);
            asm.set_u64(R3, HEARTBEAT_LIMIT.as_nanos() as u64 + 1_000_000);
            asm.jump_if_u64(Condition::Greater, R0, R3, next);
            count(asm, around.words, HIT);
            asm.set_u32(R1, *to).set(R2, 0).call(Helper::Redirect).exit();
        }
    }
}

/// Goes on for this share of packets, else jumps to `next`.
fn happen(asm: &mut Assembler, share: Share, next: Label) {
    if let Some(threshold) = threshold(share) {
        asm.call(Helper::GetPrandomU32).jump_if(Condition::AtLeast, R0, threshold, next);
    }
}

/// Ends the program so that the packet vanishes and its sender does not learn of it.
fn drop_packet(asm: &mut Assembler, around: &Surroundings<'_>) {
    const TCX_DROP: i32 = 2;
    count(asm, around.words, HIT);
    match around.direction {
        // TCX_DROP would be reported to the sender's socket; a redirect to no interface is not.
        Direction::Egress => asm.set(R1, 0).set(R2, 0).call(Helper::Redirect).exit(),
        Direction::Ingress => asm.set(R0, TCX_DROP).exit(),
    };
}

/// Steps the chain of two states; goes on if the packet is lost, which is when the state was bad, else jumps to `next`.
fn chain(asm: &mut Assembler, around: &Surroundings<'_>, bursts: Bursts, next: Label) {
    use std::os::fd::AsRawFd;
    let (bad, lost) = (asm.label(), asm.label());
    asm.call(Helper::GetPrandomU32);
    asm.map_value(R1, around.words.as_raw_fd(), STATE).load(Width::Double, R2, R1, 0);
    asm.jump_if(Condition::NotEqual, R2, 0, bad);
    if let Some(threshold) = threshold(bursts.enter()) {
        asm.jump_if(Condition::AtLeast, R0, threshold, next);
    }
    asm.set(R2, 1).store(Width::Double, R1, 0, R2).jump(next);
    asm.place(bad);
    if let Some(threshold) = threshold(bursts.leave()) {
        asm.jump_if(Condition::AtLeast, R0, threshold, lost);
    }
    asm.set(R2, 0).store(Width::Double, R1, 0, R2);
    asm.place(lost);
}

/// Sends a marked copy to the same interface, where it meets this program again and goes on behind this rule.
fn duplicate(asm: &mut Assembler, around: &Surroundings<'_>, next: Label) {
    const INGRESS: i32 = 1;
    let flags = match around.direction {
        Direction::Egress => 0,
        Direction::Ingress => INGRESS,
    };
    asm.load(Width::Word, R0, R6, SKB_TC_INDEX).store(Width::Word, R10, SCRATCH, R0);
    asm.set_u32(R0, mark_of_copy(around.rule)).store(Width::Word, R6, SKB_TC_INDEX, R0);
    asm.copy(R1, R6).set_u32(R2, around.device.index()).set(R3, flags).call(Helper::CloneRedirect);
    asm.load(Width::Word, R1, R10, SCRATCH).store(Width::Word, R6, SKB_TC_INDEX, R1);
    asm.jump_if(Condition::NotEqual, R0, 0, next);
    count(asm, around.words, HIT);
}

pub(super) fn mark_of_copy(rule: u32) -> u32 {
    MARK_COPY + rule % MARK_COPIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_below_what_the_share_happens() {
        assert_eq!(threshold(Share::ALL), None);
        assert_eq!(threshold(Share::NONE), Some(0));
        assert_eq!(threshold(Share::new(0.0001).unwrap()), Some(429_497));
    }
}
