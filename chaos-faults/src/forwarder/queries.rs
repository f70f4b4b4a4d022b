//! Faults of DNS, in the packets that carry queries: what becomes of each frame to the port of DNS.
//!
//! A query over UDP is a datagram. Over TCP queries are found in the stream, also where one comes in parts; what is delayed
//! or dropped then is the segment that completes it. One that is answered ends its connection on both sides, as a server may do
//! at any time (RFC 7766, 6.2.4): its client has the answer and the end of the stream, its server a reset.

mod lookups;
mod message;
mod packet;
mod stream;
mod tally;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chaos_core::model::{
    NameEffect, NameFailure, NameFault,
    names::{Per, looked_up},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use self::tally::{Outcome, Tally};
use self::{
    lookups::{Asked, Lookups},
    message::{Code, Query},
    packet::Packet,
    stream::Streams,
};

/// What is to happen to queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// What happens, and to which names.
    pub fault: NameFault,
    /// The search domains of the place, without which a name is compared as well.
    pub search: Vec<String>,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on at once.
    Pass,
    /// It goes on at this time; whether it waits for all of the delay.
    Hold(u64, bool),
    /// It vanishes.
    Drop,
    /// It vanishes, the first frame goes back in its place, and the second, if there is one, goes on.
    Answer(Vec<u8>, Option<Vec<u8>>),
}

/// What becomes of a query.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Hold(u64, bool),
    Drop,
    Answer(Vec<u8>),
}

/// Decides about frames, from a seed, and what came when.
#[derive(Debug)]
pub(super) struct Queries {
    judge: Judge,
    streams: Streams,
}

/// Decides about queries.
#[derive(Debug)]
struct Judge {
    asking: Asking,
    random: ChaCha8Rng,
    lookups: Lookups,
    tally: Arc<Mutex<Tally>>,
}

impl Queries {
    pub(super) fn new(asking: Asking, seed: u64, tally: Arc<Mutex<Tally>>) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        let judge = Judge { asking, random, lookups: Lookups::default(), tally };
        Queries { judge, streams: Streams::default() }
    }

    /// Decides about a frame that came at `now`, in nanoseconds.
    pub(super) fn decide(&mut self, now: u64, frame: &[u8]) -> Fate {
        let Some(packet) = Packet::read(frame) else { return Fate::Pass };
        if packet.tcp.is_some() {
            return self.streams.decide(now, &packet, &mut self.judge);
        }
        let Some(query) = Query::read(packet.payload) else { return Fate::Pass };
        match self.judge.decide(now, &query, &packet.ends(), false) {
            Verdict::Pass => Fate::Pass,
            Verdict::Hold(due, whole) => Fate::Hold(due, whole),
            Verdict::Drop => Fate::Drop,
            Verdict::Answer(answer) => Fate::Answer(packet.datagram_back(&answer), None),
        }
    }
}

impl Judge {
    fn decide(&mut self, now: u64, query: &Query<'_>, ends: &[u8], stream: bool) -> Verdict {
        let Asking { fault, search } = &self.asking;
        let what = looked_up(&query.name, search);
        let meant = fault.means(&query.name, search);
        let (mut lookups, mut outcome) = (0, Outcome::Passed);
        let mut verdict = Verdict::Pass;
        if meant {
            match &fault.effect.value {
                NameEffect::Delay { delay, jitter, per } => {
                    let random = &mut self.random;
                    let mut delay = || spread(*delay, *jitter, random);
                    let (due, whole) = match per {
                        Per::Query => (now + delay(), true),
                        Per::Lookup => {
                            let sender = [ends, &query.id.to_be_bytes()].concat();
                            let asked = Asked { name: query.name.clone(), kind: query.kind, sender };
                            let (due, begins) = self.lookups.due(what, asked, now, delay);
                            lookups = u64::from(begins);
                            (due, begins)
                        }
                    };
                    (verdict, outcome) = match whole || due > now {
                        true => (Verdict::Hold(due, whole), Outcome::Delayed),
                        false => (Verdict::Pass, Outcome::Released),
                    };
                }
                // Over TCP nothing is too long.
                NameEffect::Fail { failure: NameFailure::Truncate, .. } if stream => {}
                NameEffect::Fail { failure, ratio } => {
                    if *ratio >= 1.0 || self.random.random_bool(*ratio) {
                        (verdict, outcome) = match failure {
                            NameFailure::Timeout => (Verdict::Drop, Outcome::Dropped),
                            NameFailure::Nxdomain => answered(query.failed(Code::NxDomain)),
                            NameFailure::Servfail => answered(query.failed(Code::ServFail)),
                            NameFailure::Refused => answered(query.failed(Code::Refused)),
                            NameFailure::Truncate => answered(query.truncated()),
                        };
                    }
                }
                NameEffect::Answer { with } => (verdict, outcome) = answered(query.answered(with)),
            }
        }
        // A panic elsewhere leaves numbers that are true.
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.lookups += lookups;
        tally.count(meant, what, message::kind(query.kind), outcome);
        verdict
    }
}

fn answered(answer: Vec<u8>) -> (Verdict, Outcome) {
    (Verdict::Answer(answer), Outcome::Answered)
}

/// Returns a delay in nanoseconds, evenly within the jitter.
fn spread(delay: Duration, jitter: Duration, random: &mut ChaCha8Rng) -> u64 {
    let (delay, jitter) = (delay.as_nanos() as u64, jitter.as_nanos() as u64);
    if jitter == 0 { delay } else { random.random_range(delay.saturating_sub(jitter)..=delay + jitter) }
}

#[cfg(test)]
#[path = "queries/tests.rs"]
mod tests;
