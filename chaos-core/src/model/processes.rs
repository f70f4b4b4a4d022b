//! What can happen to processes.

#![warn(clippy::wildcard_enum_match_arm)]

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{non_empty::NonEmpty, which::Which};

/// What happens to which processes of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProcessFault {
    /// What happens to them.
    pub effect: ProcessEffect,
    /// Those of these names; any means each program of a lab host, and is nothing for a machine.
    pub named: Which<String>,
}

/// What happens to a process. Exhaustive matches over this enum find what a new one lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessEffect {
    /// It is stopped (SIGSTOP), and goes on at the end.
    Pause,
    /// It is ended at once (SIGKILL).
    Kill,
    /// It is asked to end (SIGTERM), and may take its time.
    Terminate,
}

impl ProcessEffect {
    /// Returns the word that it begins with in the language.
    pub fn word(self) -> &'static str {
        match self {
            ProcessEffect::Pause => "pause",
            ProcessEffect::Kill | ProcessEffect::Terminate => "kill",
        }
    }

    /// Returns the name of the signal that does it.
    pub fn signal(self) -> &'static str {
        match self {
            ProcessEffect::Pause => "SIGSTOP",
            ProcessEffect::Kill => "SIGKILL",
            ProcessEffect::Terminate => "SIGTERM",
        }
    }

    /// Returns whether processes end of it, and nothing is put back.
    pub fn ends(self) -> bool {
        match self {
            ProcessEffect::Pause => false,
            ProcessEffect::Kill | ProcessEffect::Terminate => true,
        }
    }

    /// Returns what the language says behind the target, where the word does not say it all.
    fn with(self) -> &'static str {
        match self {
            ProcessEffect::Pause | ProcessEffect::Kill => "",
            ProcessEffect::Terminate => " with SIGTERM",
        }
    }
}

impl ProcessFault {
    /// Makes one for the processes of a name.
    pub fn named(effect: ProcessEffect, name: impl Into<String>) -> Self {
        ProcessFault { effect, named: Which::These(NonEmpty::one(name.into())) }
    }

    /// Makes one for each program of a lab host.
    pub fn each(effect: ProcessEffect) -> Self {
        ProcessFault { effect, named: Which::Any }
    }
}

impl ProcessFault {
    /// Says it with where the processes are, as a file would.
    pub fn on(&self, target: &impl fmt::Display) -> String {
        let target = target.to_string();
        let (word, with) = (self.effect.word(), self.effect.with());
        match &self.named {
            Which::Any => format!("{word} {target}{with}"),
            // `pause process "nginx"` says both.
            Which::These(names) if target == format!("process \"{}\"", names.first()) => self.to_string(),
            Which::These(_) => format!("{word}{} on {target}{with}", self.which()),
        }
    }

    /// Says which processes.
    pub fn which(&self) -> String {
        match &self.named {
            Which::Any => " processes".to_owned(),
            Which::These(names) => names.iter().map(|name| format!(" process \"{name}\"")).collect(),
        }
    }
}

impl fmt::Display for ProcessFault {
    /// Says it without where the processes are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.effect.word(), self.which(), self.effect.with())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_on_processes_read_as_they_are_written() {
        let fault = ProcessFault::named(ProcessEffect::Pause, "nginx");
        assert_eq!(fault.to_string(), "pause process \"nginx\"");
        assert_eq!(fault.on(&"process \"nginx\""), "pause process \"nginx\"");
        assert_eq!(fault.on(&"api-*"), "pause process \"nginx\" on api-*");
        assert_eq!(ProcessFault::each(ProcessEffect::Pause).on(&"api"), "pause api");
        assert_eq!(ProcessFault::each(ProcessEffect::Pause).to_string(), "pause processes");
        let ended = ProcessFault::named(ProcessEffect::Terminate, "nginx");
        assert_eq!(ended.on(&"api"), "kill process \"nginx\" on api with SIGTERM");
        assert_eq!(ended.to_string(), "kill process \"nginx\" with SIGTERM");
        assert_eq!(ProcessFault::each(ProcessEffect::Kill).on(&"api"), "kill api");
        let written = serde_json::to_string(&fault).unwrap();
        assert_eq!(written, r#"{"effect":"pause","named":{"these":["nginx"]}}"#);
        assert_eq!(serde_json::from_str::<ProcessFault>(&written).unwrap(), fault);
    }
}
