//! What a fault did, and what that is counted in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::FaultSpec;

/// What an injector measured of a fault's effect since it was injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Measured {
    /// What is counted.
    pub unit: Unit,
    /// How many the fault's match looked at, where that is counted.
    pub seen: Option<u64>,
    /// How many of them met the fault: were delayed, dropped, doubled, damaged, limited.
    pub met: u64,
    /// How many the fault changed in the way that was asked for: of 100 packets that met a loss of 1 %, one. A fault that
    /// changed none was not exercised.
    pub changed: u64,
    /// Each of several effects that were asked for together; empty where there is but one, or nothing tells them apart.
    #[serde(default)]
    pub each: Vec<Done>,
    /// How many matched while what carries out the fault had stalled, and went on as if there were none.
    #[serde(default)]
    pub bypassed: u64,
    /// The mean delay that was really added.
    pub delay: Option<Duration>,
    /// One line for people.
    pub line: String,
}

impl Measured {
    /// Returns the measurement of a fault that met nothing.
    pub fn nothing(unit: Unit) -> Self {
        Measured {
            unit,
            seen: None,
            met: 0,
            changed: 0,
            each: Vec::new(),
            bypassed: 0,
            delay: None,
            line: String::new(),
        }
    }
}

/// When what was reverted was whole again, which may be later than the revert: a workload that has its replicas back still starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recovered {
    /// How long after the revert began.
    pub after: Duration,
    /// How much of that the revert itself took.
    pub calls: Duration,
}

/// What one effect of a fault did, such as its loss or its delay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {
    /// The effect that was asked for.
    pub spec: FaultSpec,
    /// How many it changed; `None` where its mechanism does not count that.
    pub changed: Option<u64>,
}

/// What an effect is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Packets.
    Packets,
    /// Connections that were opened, and datagrams where there are none.
    Connections,
    /// Questions for a name.
    Queries,
    /// Requests of a protocol such as HTTP.
    Requests,
    /// Objects of an API.
    Objects,
    /// Processes.
    Processes,
    /// How often it acted, where that is all there is to count.
    Times,
}

impl Unit {
    /// Returns the word for several of them.
    pub fn plural(self) -> &'static str {
        match self {
            Unit::Packets => "packets",
            Unit::Connections => "connections",
            Unit::Queries => "queries",
            Unit::Requests => "requests",
            Unit::Objects => "objects",
            Unit::Processes => "processes",
            Unit::Times => "times",
        }
    }

    /// Says of a fault that nothing met it, behind its name.
    pub fn met_none(self) -> &'static str {
        match self {
            Unit::Packets | Unit::Connections => "matched no traffic",
            Unit::Queries => "matched no query",
            Unit::Requests => "matched no request",
            Unit::Objects => "changed no object",
            Unit::Processes => "matched no process",
            Unit::Times => "had no effect",
        }
    }

    /// Says what a number of them were.
    pub fn met(self, met: u64, changed: u64) -> String {
        match self {
            Unit::Times => format!("it acted {met} times, {changed} of them with an effect"),
            Unit::Packets
            | Unit::Connections
            | Unit::Queries
            | Unit::Requests
            | Unit::Objects
            | Unit::Processes => format!("matched {met} {}, changed {changed}", self.plural()),
        }
    }
}
