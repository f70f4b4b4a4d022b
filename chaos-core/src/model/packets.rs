//! What can happen to packets, and to which of them.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    quantity::{Quantity, Unit, format_seconds},
    target::Selector,
};
use crate::{span::Span, which::Which};

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

/// Which of a target's packets a fault applies to; by default all that it sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Traffic {
    /// Which way, as seen from the target.
    pub direction: Way,
    /// The other end.
    pub peers: Which<Destination>,
    /// Ports at either end.
    pub ports: Which<Ports>,
    /// The transport protocol.
    pub protocol: Option<Protocol>,
}

/// Which way, as seen from the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// What it sends.
    #[default]
    Egress,
    /// What it receives.
    Ingress,
    /// Both.
    Both,
}

/// The other end of the traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Destination {
    /// Who.
    pub who: Who,
    /// Their port, or ports.
    pub port: Option<Ports>,
    /// Where it was written.
    pub span: Span,
}

/// A port, or all from one to another: `80`, `8000-8100`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Returns the ports from one to another, both included; none where the first is greater than the last.
    pub fn between(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Ports { first, last })
    }

    /// Returns the lowest.
    pub fn first(self) -> u16 {
        self.first
    }

    /// Returns the highest.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Returns whether a port is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Returns the ports that are in both; none where no port is.
    pub fn common(self, other: Self) -> Option<Self> {
        Ports::between(self.first.max(other.first), self.last.min(other.last))
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Ports { first: port, last: port }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        ports.to_string()
    }
}

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let ports = match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Ports::between(first, last),
            _ => None,
        };
        ports.ok_or_else(|| format!("`{text}` is neither a port nor a range of ports"))
    }
}

/// Who the other end is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Objects of the scope; their addresses are resolved when planning.
    Objects(Selector),
    /// An address or a network.
    Network {
        /// The address.
        address: IpAddr,
        /// How many leading bits count.
        prefix: u8,
    },
    /// All addresses of a name, as the place of the object knows it, from when the fault is injected.
    Name(String),
}

/// A transport protocol.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6, but never neighbour discovery.
    Icmp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_or_a_range_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Ports>(text.into());
        for text in ["80", "8000-8100", "0-65535"] {
            let ports = read(text).unwrap();
            assert_eq!(serde_json::to_value(ports).unwrap(), text);
        }
        for text in ["", "-", "80-", "8100-8000", "65536", "80,443", "a"] {
            assert!(read(text).is_err(), "{text}");
        }
        let (low, high) = (Ports::between(1, 100).unwrap(), Ports::between(80, 443).unwrap());
        assert_eq!(low.common(high), Ports::between(80, 100));
        assert_eq!(low.common(443.into()), None);
        assert!(low.contains(1) && low.contains(100) && !low.contains(101));
    }
}
