//! What can happen to packets, and to which of them.

#![warn(clippy::wildcard_enum_match_arm)]

mod traffic;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::quantity::{Quantity, Unit, format_seconds};

pub use traffic::{Destination, Ports, Protocol, Traffic, Way, Who};

/// One effect on packets. Exhaustive matches over this enum find what a new one lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultSpec {
    /// Packets arrive later.
    Delay {
        /// By how much.
        delay: Duration,
        /// How far each packet's delay may differ from it.
        jitter: Duration,
        /// How much of a packet's deviation the next one inherits, as a fraction.
        correlation: f64,
        /// How the deviations are distributed.
        distribution: Distribution,
        /// Whether a packet waits for those before it, however short its own delay is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ordered: bool,
    },
    /// Packets vanish.
    Loss {
        /// The fraction of all packets.
        ratio: f64,
        /// The mean length of a burst in packets (Gilbert–Elliott); without it packets are lost independently.
        burst: Option<u32>,
    },
    /// Packets arrive twice.
    Duplicate {
        /// The fraction of all packets.
        ratio: f64,
    },
    /// One bit of a packet is flipped.
    Corrupt {
        /// The fraction of all packets.
        ratio: f64,
    },
    /// Packets overtake those before them.
    Reorder {
        /// The fraction of packets that go at once while the others are held.
        ratio: f64,
        /// How long the others are held.
        hold: Duration,
    },
    /// The link carries no more than this.
    Bandwidth {
        /// Bits per second.
        rate: u64,
        /// What may pass at once, in bytes.
        burst: u64,
    },
    /// Traffic is refused.
    Block {
        /// Which connections.
        connections: Blocked,
        /// Whether the sender gets an answer.
        answer: Refusal,
    },
    /// Nothing passes either way.
    Partition,
}

/// Which connections a block refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blocked {
    /// All packets.
    #[default]
    All,
    /// Only the opening of new connections.
    New,
    /// Only connections that were open before.
    Established,
}

/// Whether a blocked sender gets an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Packets vanish; the sender waits for its timeout.
    #[default]
    Drop,
    /// The sender gets a reset or an ICMP error at once.
    Reject,
}

/// How deviations from a delay are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Evenly within the jitter.
    #[default]
    Uniform,
    /// Normally, the jitter being one standard deviation.
    Normal,
    /// With a long tail to the right.
    Pareto,
}

impl FaultSpec {
    /// The word in the language of every kind that a fault can be, in the order of the reference.
    pub const KINDS: [&'static str; 8] =
        ["delay", "loss", "duplicate", "corrupt", "reorder", "bandwidth", "block", "partition"];

    /// Returns one of each kind, in the order of [`KINDS`](FaultSpec::KINDS), as people write them most.
    pub fn one_of_each() -> [FaultSpec; FaultSpec::KINDS.len()] {
        let hold = Duration::from_millis(10);
        [
            FaultSpec::Delay {
                delay: hold,
                jitter: Duration::ZERO,
                correlation: 0.0,
                distribution: Distribution::Uniform,
                ordered: false,
            },
            FaultSpec::Loss { ratio: 0.1, burst: None },
            FaultSpec::Duplicate { ratio: 0.1 },
            FaultSpec::Corrupt { ratio: 0.1 },
            FaultSpec::Reorder { ratio: 0.1, hold },
            FaultSpec::Bandwidth { rate: 1_000_000, burst: 15_000 },
            FaultSpec::Block { connections: Blocked::All, answer: Refusal::Drop },
            FaultSpec::Partition,
        ]
    }

    /// Returns the word that names it in the language.
    pub fn kind(&self) -> &'static str {
        match self {
            FaultSpec::Delay { .. } => "delay",
            FaultSpec::Loss { .. } => "loss",
            FaultSpec::Duplicate { .. } => "duplicate",
            FaultSpec::Corrupt { .. } => "corrupt",
            FaultSpec::Reorder { .. } => "reorder",
            FaultSpec::Bandwidth { .. } => "bandwidth",
            FaultSpec::Block { .. } => "block",
            FaultSpec::Partition => "partition",
        }
    }
}

impl FaultSpec {
    /// Returns by how much later it lets each packet arrive, on average; none where it is not about time.
    pub fn delays(&self) -> Option<Duration> {
        match self {
            FaultSpec::Delay { delay, .. } => Some(*delay),
            // Those that overtake are not held, and how long others wait for a rate depends on the load.
            FaultSpec::Reorder { .. } | FaultSpec::Bandwidth { .. } => None,
            FaultSpec::Loss { .. }
            | FaultSpec::Duplicate { .. }
            | FaultSpec::Corrupt { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => None,
        }
    }

    /// Returns whether it lets packets overtake each other because their delays differ.
    pub fn shuffles(&self) -> bool {
        match self {
            FaultSpec::Delay { jitter, ordered, .. } => !jitter.is_zero() && !ordered,
            FaultSpec::Reorder { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Loss { .. }
            | FaultSpec::Duplicate { .. }
            | FaultSpec::Corrupt { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => false,
        }
    }

    /// Returns by how much later it lets each packet arrive at least.
    pub fn delays_at_least(&self) -> Duration {
        match self {
            FaultSpec::Delay { delay, jitter, .. } => delay.saturating_sub(*jitter),
            FaultSpec::Reorder { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Loss { .. }
            | FaultSpec::Duplicate { .. }
            | FaultSpec::Corrupt { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => Duration::ZERO,
        }
    }

    /// Returns the share of packets that it hits, each at random; `None` where chance has no part in it.
    pub fn ratio(&self) -> Option<f64> {
        match self {
            FaultSpec::Loss { ratio, .. }
            | FaultSpec::Duplicate { ratio }
            | FaultSpec::Corrupt { ratio }
            | FaultSpec::Reorder { ratio, .. } => Some(*ratio).filter(|ratio| *ratio < 1.0),
            FaultSpec::Delay { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => None,
        }
    }

    /// Returns whether it leaves some of the packets as they were that it matches.
    pub fn spares_some(&self) -> bool {
        match self {
            FaultSpec::Loss { .. }
            | FaultSpec::Duplicate { .. }
            | FaultSpec::Corrupt { .. }
            | FaultSpec::Reorder { .. } => true,
            FaultSpec::Block { .. } => self.needs_openings(),
            FaultSpec::Delay { .. } | FaultSpec::Bandwidth { .. } | FaultSpec::Partition => false,
        }
    }

    /// Returns whether only packets that open a connection are changed by it.
    pub fn needs_openings(&self) -> bool {
        match self {
            FaultSpec::Block { connections: Blocked::New, .. } => true,
            FaultSpec::Block { connections: Blocked::All | Blocked::Established, .. }
            | FaultSpec::Delay { .. }
            | FaultSpec::Loss { .. }
            | FaultSpec::Duplicate { .. }
            | FaultSpec::Corrupt { .. }
            | FaultSpec::Reorder { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Partition => false,
        }
    }

    /// Returns how many of the packets that match within a time it changes on average.
    pub fn changes(&self, matching: f64, within: Duration) -> f64 {
        match self {
            FaultSpec::Loss { ratio, .. } | FaultSpec::Duplicate { ratio } | FaultSpec::Corrupt { ratio } => {
                matching * ratio
            }
            // A packet overtakes if one that is held came within that time before it.
            FaultSpec::Reorder { ratio, hold } => {
                let per_second = matching / within.as_secs_f64().max(1e-9);
                matching * ratio * (1.0 - (-per_second * hold.as_secs_f64()).exp())
            }
            FaultSpec::Delay { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => matching,
        }
    }

    /// Returns which share of requests of this number of packets it leaves as fast as they were.
    pub fn leaves_alone(&self, packets: i32) -> f64 {
        match self {
            FaultSpec::Loss { ratio, .. } | FaultSpec::Corrupt { ratio } => (1.0 - ratio).powi(packets),
            FaultSpec::Duplicate { .. } => 1.0,
            FaultSpec::Delay { .. }
            | FaultSpec::Reorder { .. }
            | FaultSpec::Bandwidth { .. }
            | FaultSpec::Block { .. }
            | FaultSpec::Partition => 0.0,
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: f64| Quantity::ratio(ratio);
        match self {
            FaultSpec::Delay { delay, jitter, correlation, distribution, ordered } => {
                write!(f, "delay {}", format_seconds(delay.as_secs_f64()))?;
                if !jitter.is_zero() {
                    write!(f, " jitter {}", format_seconds(jitter.as_secs_f64()))?;
                }
                if *correlation > 0.0 {
                    write!(f, " correlation {}", percent(*correlation))?;
                }
                match distribution {
                    Distribution::Uniform => {}
                    Distribution::Normal => f.write_str(" distribution normal")?,
                    Distribution::Pareto => f.write_str(" distribution pareto")?,
                }
                if *ordered { f.write_str(" in order") } else { Ok(()) }
            }
            FaultSpec::Loss { ratio, burst: None } => write!(f, "loss {}", percent(*ratio)),
            FaultSpec::Loss { ratio, burst: Some(n) } => {
                write!(f, "loss {} in bursts of {n} packets", percent(*ratio))
            }
            FaultSpec::Duplicate { ratio } => write!(f, "duplicate {}", percent(*ratio)),
            FaultSpec::Corrupt { ratio } => write!(f, "corrupt {}", percent(*ratio)),
            FaultSpec::Reorder { ratio, hold } => {
                write!(f, "reorder {} hold {}", percent(*ratio), format_seconds(hold.as_secs_f64()))
            }
            FaultSpec::Bandwidth { rate, burst } => write!(
                f,
                "bandwidth {} burst {}",
                Quantity::new(*rate as f64, Unit::BitsPerSecond),
                Quantity::new(*burst as f64, Unit::Bytes)
            ),
            FaultSpec::Block { connections, answer } => {
                f.write_str("block")?;
                match connections {
                    Blocked::All => {}
                    Blocked::New => f.write_str(" new")?,
                    Blocked::Established => f.write_str(" established")?,
                }
                match answer {
                    Refusal::Drop => f.write_str(" drop"),
                    Refusal::Reject => f.write_str(" reject"),
                }
            }
            FaultSpec::Partition => f.write_str("partition"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_each_kind() {
        assert_eq!(FaultSpec::one_of_each().map(|spec| spec.kind()), FaultSpec::KINDS);
    }

    #[test]
    fn what_hits_some_at_random_changes_as_many_as_its_share() {
        let second = Duration::from_secs(1);
        for spec in FaultSpec::one_of_each() {
            let changed = spec.changes(1000.0, second);
            assert_eq!(spec.spares_some(), changed < 1000.0, "{spec}: {changed}");
        }
        let new = FaultSpec::Block { connections: Blocked::New, answer: Refusal::Drop };
        assert!(new.needs_openings() && new.spares_some());
        // 100 packets a second are 10 ms apart: of those that go at once, 63 % find one that is held for as long.
        let reorder = FaultSpec::Reorder { ratio: 0.5, hold: Duration::from_millis(10) };
        assert!((reorder.changes(100.0, second) - 31.6).abs() < 0.1);
    }
}
