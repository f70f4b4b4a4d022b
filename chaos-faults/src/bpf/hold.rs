//! All rules of one device and direction, in one program on one link.
//!
//! A second link would let two faults hand packets to each other for ever, and would double what they share. So whoever
//! has something to do on a device and direction adds a rule here: the program is written anew with all of them and takes
//! the old one's place between two packets. Counters live in maps of their own and survive that.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::action::{self, Action, MARK_DONE, Surroundings, WORDS, monotonic_ns};
use super::assembler::Register::{R0, R1, R6};
use super::assembler::{Assembler, Condition, Helper, Width};
use super::link::{self, Link};
use super::matching::{self, Direction, PacketMatch, SKB_TC_INDEX};
use super::program::{Program, Words};
use super::{BpfError, Device};

/// The verdict that lets a packet go on to the next program or to the qdisc.
const TCX_NEXT: i32 = -1;

/// One fault: which packets, what happens to them, and until when.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which packets.
    pub matching: PacketMatch,
    /// What happens to them.
    pub action: Action,
    /// When the program itself stops applying it, even if nobody is left to take it off.
    pub deadline: Option<Deadline>,
    /// Whose it is: a number of the fault's own, by which its rules are found in the kernel.
    pub mark: u32,
}

/// A moment of `CLOCK_MONOTONIC`, as the kernel outside of any time namespace has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    /// Returns the moment that long from now.
    pub fn after(time: Duration) -> Self {
        Self(monotonic_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Takes a moment in nanoseconds, for example from a journal of the same boot.
    pub fn from_monotonic_ns(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Returns the moment in nanoseconds.
    pub fn monotonic_ns(self) -> u64 {
        self.0
    }
}

/// Names a rule within its hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u32);

impl fmt::Display for RuleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// What a rule met so far; one packet here can stand for many on the wire where the interface does the segmenting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that matched.
    pub seen: u64,
    /// Packets that were lost, doubled, damaged or handed to a forwarder.
    pub hit: u64,
}

#[derive(Debug)]
struct Installed {
    rule: Rule,
    words: Words,
}

/// All rules of one device and direction.
///
/// Dropping it takes the program off the device, and so does the end of the process.
#[derive(Debug)]
pub struct Hold {
    device: Device,
    direction: Direction,
    rules: BTreeMap<RuleId, Installed>,
    next: u32,
    link: Link,
}

impl Hold {
    /// Attaches a program without rules, which lets everything pass.
    ///
    /// # Errors
    /// This kernel or this user cannot, or the device is gone.
    pub fn open(device: Device, direction: Direction) -> Result<Self, BpfError> {
        let rules = BTreeMap::new();
        let program = load(&device, direction, &rules)?;
        let link = Link::attach(&device, direction, &program)?;
        Ok(Self { device, direction, rules, next: 0, link })
    }

    /// Adds a rule behind the present ones; rules that redirect come after all others, the newest of them first.
    ///
    /// # Errors
    /// The kernel refuses; the present rules stay as they are.
    pub fn add(&mut self, rule: Rule) -> Result<RuleId, BpfError> {
        let id = RuleId(self.next);
        let words = Words::new(WORDS, rule.mark)?;
        self.rules.insert(id, Installed { rule, words });
        if let Err(error) = self.swap() {
            self.rules.remove(&id);
            return Err(error);
        }
        self.next += 1;
        Ok(id)
    }

    /// Has a rule apply to other packets; at once, and it counts on.
    ///
    /// # Errors
    /// There is no such rule, or the kernel refuses; the rule stays as it is then.
    pub fn change(&mut self, id: RuleId, matching: PacketMatch) -> Result<(), BpfError> {
        let installed = self.rules.get_mut(&id).ok_or(BpfError::NoSuchRule(id.0))?;
        let before = std::mem::replace(&mut installed.rule.matching, matching);
        match self.swap() {
            // With the interface went every program on it.
            Err(error) if !error.is_gone() => {
                if let Some(installed) = self.rules.get_mut(&id) {
                    installed.rule.matching = before;
                }
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Takes a rule off and returns what it met.
    ///
    /// # Errors
    /// There is no such rule, or the kernel refuses; the present rules stay as they are then.
    pub fn remove(&mut self, id: RuleId) -> Result<Counters, BpfError> {
        let installed = self.rules.remove(&id).ok_or(BpfError::NoSuchRule(id.0))?;
        match self.swap() {
            // With the interface went every program on it.
            Err(error) if error.is_gone() => {}
            Err(error) => {
                self.rules.insert(id, installed);
                return Err(error);
            }
            Ok(()) => {}
        }
        read_counters(&installed.words)
    }

    /// Returns what a rule met so far.
    ///
    /// # Errors
    /// There is no such rule, or the kernel refuses.
    pub fn counters(&self, id: RuleId) -> Result<Counters, BpfError> {
        self.rules
            .get(&id)
            .ok_or(BpfError::NoSuchRule(id.0))
            .and_then(|installed| read_counters(&installed.words))
    }

    /// Returns whether the program is still on the device.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn is_attached(&self) -> Result<bool, BpfError> {
        self.link.is_attached()
    }

    /// Returns the device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the direction.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns whether no rule is left, so that the hold may be dropped.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn swap(&self) -> Result<(), BpfError> {
        let program = load(&self.device, self.direction, &self.rules)?;
        self.link.replace(&program)
    }
}

fn read_counters(words: &Words) -> Result<Counters, BpfError> {
    let read = words.read()?;
    Ok(Counters { seen: read[(action::SEEN / 8) as usize], hit: read[(action::HIT / 8) as usize] })
}

/// Writes and loads the program of a set of rules.
fn load(
    device: &Device,
    direction: Direction,
    rules: &BTreeMap<RuleId, Installed>,
) -> Result<Program, BpfError> {
    let name = match direction {
        Direction::Egress => "chaos_egress",
        Direction::Ingress => "chaos_ingress",
    };
    Program::load(name, &write(device, direction, rules)?)
}

fn write(
    device: &Device,
    direction: Direction,
    rules: &BTreeMap<RuleId, Installed>,
) -> Result<Vec<u64>, BpfError> {
    let mut asm = Assembler::new();
    let (pass, fresh) = (asm.label(), asm.label());
    if !rules.is_empty() {
        asm.copy(R6, R1);
        // What a forwarder has held already comes by here once more on its way in.
        asm.load(Width::Word, R0, R6, SKB_TC_INDEX).jump_if(Condition::NotEqual, R0, MARK_DONE, fresh);
        asm.set(R0, 0).store(Width::Word, R6, SKB_TC_INDEX, R0).jump(pass);
        asm.place(fresh);
        matching::read_headers(&mut asm, pass);

        let (redirects, others): (Vec<_>, Vec<_>) =
            rules.iter().partition(|(_, installed)| installed.rule.action.is_redirect());
        let ordered: Vec<_> = others
            .into_iter()
            .chain(redirects.into_iter().rev())
            .map(|(id, installed)| (id, installed, asm.label()))
            .collect();
        for (id, installed, behind) in &ordered {
            if matches!(installed.rule.action, Action::Duplicate(_)) {
                let other = asm.label();
                asm.load(Width::Word, R0, R6, SKB_TC_INDEX);
                asm.jump_if(Condition::NotEqual, R0, action::mark_of_copy(id.0), other);
                asm.set(R0, 0).store(Width::Word, R6, SKB_TC_INDEX, R0).jump(*behind);
                asm.place(other);
            }
        }
        for (id, installed, behind) in ordered {
            let Installed { rule, words } = installed;
            if let Some(deadline) = rule.deadline {
                asm.call(Helper::KtimeGetNs).set_u64(R1, deadline.0);
                asm.jump_if_u64(Condition::AtLeast, R0, R1, behind);
            }
            matching::require(&mut asm, direction, &rule.matching, behind)?;
            action::count(&mut asm, words, action::SEEN);
            let around = Surroundings { device, direction, words, rule: id.0 };
            action::act(&mut asm, &rule.action, &around, behind);
            asm.place(behind);
        }
    }
    asm.place(pass).set(R0, TCX_NEXT).exit();
    asm.finish()
}

/// A program that sends what arrives on one interface into another, as if it had arrived there and been held already.
///
/// # Errors
/// This kernel or this user cannot, or a device is gone.
pub(crate) fn return_link(from: &Device, into: &Device) -> Result<Link, BpfError> {
    use super::assembler::Register::R2;
    const INGRESS: i32 = 1;
    let mut asm = Assembler::new();
    asm.set_u32(R0, MARK_DONE).store(Width::Word, R1, SKB_TC_INDEX, R0);
    asm.set_u32(R1, into.index()).set(R2, INGRESS).call(Helper::Redirect).exit();
    let program = Program::load("chaos_return", &asm.finish()?)?;
    link::Link::attach(from, Direction::Ingress, &program)
}
