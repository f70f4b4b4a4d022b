//! Which packets a fault is on.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{model::target::Selector, span::Span, which::Which};

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
