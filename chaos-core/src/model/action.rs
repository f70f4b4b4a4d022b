//! Faults and changes, and what they do, family by family.
//!
//! A family is a variant of [`Action`]; matches over it are exhaustive in every layer, so a new one shows where it lacks an
//! arm.

#![warn(clippy::wildcard_enum_match_arm)]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    formula::Comparison,
    lab::Program,
    names::NameFault,
    objects::ObjectFault,
    packets::{FaultSpec, Traffic},
    processes::ProcessFault,
    quantity::Quantity,
    target::Selector,
};
use crate::span::{Span, Spanned};

/// A named fault, which the timeline injects and rolls back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fault {
    /// Its name.
    pub name: Spanned<String>,
    /// What it does.
    pub action: Action,
    /// To whom.
    pub on: Selector,
    /// How it goes on while it is in place.
    pub course: Course,
    /// What shows that it had an effect; unproven, the run is stopped early and inconclusive.
    pub proven_by: Option<Comparison>,
    /// Where it was written.
    pub span: Span,
}

/// A named change: the timeline makes it once, and it stays to the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// Its name.
    pub name: Spanned<String>,
    /// What it does.
    pub action: Action,
    /// To whom.
    pub on: Selector,
    /// Where it was written.
    pub span: Span,
}

/// What a fault or a change does to its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It does something to packets.
    Packets(PacketFault),
    /// It does something to queries for names (DNS).
    Names(NameFault),
    /// It does something to objects of a cluster's API.
    Objects(ObjectFault),
    /// It does something to processes.
    Processes(ProcessFault),
    /// It runs another program on a lab host, instead of the one that the host has; allowed in a change, never in a fault.
    Program(Box<Program>),
    /// It does what an injector of the embedding harness does.
    Custom(Custom),
}

/// What happens to packets, and to which of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PacketFault {
    /// What happens to them; all of it, joined by `and`.
    pub specs: Vec<Spanned<FaultSpec>>,
    /// Which of them.
    pub traffic: Traffic,
}

/// What an injector of the embedding harness is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Custom {
    /// The name of the injector, as [`Injector::name`](crate::injector::Injector::name) returns it.
    pub injector: Spanned<String>,
    /// The settings, in the order of the file; what they mean, and which there are, is the injector's to say.
    pub settings: Vec<Setting>,
}

/// One setting of a custom action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Setting {
    /// Its name.
    pub key: Spanned<String>,
    /// Its value.
    pub value: SettingValue,
    /// Where it was written.
    pub span: Span,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingValue {
    /// A number with its unit.
    Quantity(Quantity),
    /// A string or a word.
    Text(String),
}

/// How a fault goes on while it is in place.
///
/// An injector is asked for what it does at one moment. Code that takes this for granted says so with
/// `let Course::Steady = …`, which no longer compiles once there is another course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// The same all the time.
    #[default]
    Steady,
}

impl Action {
    /// Returns what it does to packets, where it is about packets.
    pub fn packets(&self) -> Option<&PacketFault> {
        match self {
            Action::Packets(packets) => Some(packets),
            Action::Names(_)
            | Action::Objects(_)
            | Action::Processes(_)
            | Action::Program(_)
            | Action::Custom(_) => None,
        }
    }
}

impl Custom {
    /// Finds a setting.
    pub fn setting(&self, key: &str) -> Option<&SettingValue> {
        self.settings.iter().find(|setting| setting.key.value == key).map(|setting| &setting.value)
    }

    /// Returns the first setting whose key is none of these.
    pub fn unknown(&self, known: &[&str]) -> Option<&Setting> {
        self.settings.iter().find(|setting| !known.contains(&setting.key.as_str()))
    }
}

impl SettingValue {
    /// Returns the number, where it is one.
    pub fn as_quantity(&self) -> Option<Quantity> {
        match self {
            SettingValue::Quantity(quantity) => Some(*quantity),
            SettingValue::Text(_) => None,
        }
    }

    /// Returns the text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            SettingValue::Text(text) => Some(text),
            SettingValue::Quantity(_) => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Packets(packets) => {
                let specs: Vec<String> = packets.specs.iter().map(|spec| spec.to_string()).collect();
                f.write_str(&specs.join(" and "))
            }
            Action::Names(names) => write!(f, "{names}"),
            Action::Objects(objects) => write!(f, "{objects}"),
            Action::Processes(processes) => write!(f, "{processes}"),
            Action::Program(program) => write!(f, "run {program}"),
            Action::Custom(custom) => write!(f, "{custom}"),
        }
    }
}

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom \"{}\"", self.injector)?;
        if self.settings.is_empty() {
            return Ok(());
        }
        let settings: Vec<String> = self.settings.iter().map(ToString::to_string).collect();
        write!(f, " {{ {} }}", settings.join(", "))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            SettingValue::Quantity(quantity) => write!(f, "{} {quantity}", self.key),
            SettingValue::Text(text) => write!(f, "{} {text:?}", self.key),
        }
    }
}
