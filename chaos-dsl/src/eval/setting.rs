//! What a formula may speak of: signals, phases and events.

use chaos_core::{time::Nanos, trouble::Trouble};

use crate::parse;

/// A signal that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// A value that is neither true nor false, where it has one: then it cannot stand on its own.
    pub number: Option<f64>,
}

impl Known {
    /// Returns a signal of true and false.
    #[must_use]
    pub fn boolean(name: impl Into<String>) -> Self {
        Known { name: name.into(), number: None }
    }

    /// Returns a signal of numbers.
    #[must_use]
    pub fn number(name: impl Into<String>) -> Self {
        Known { name: name.into(), number: Some(f64::NAN) }
    }
}

/// What a formula may speak of.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The signals.
    pub signals: Vec<Known>,
    /// The phases `[start, end)`; one name may stand several times.
    pub phases: Vec<(String, Nanos, Nanos)>,
    /// Events by name, beside those that follow from phases.
    pub events: Vec<(String, Nanos)>,
    /// One past the last instant there is: the end of what was recorded, or of the last phase.
    pub end: Nanos,
}

/// Phases in which no fault is in place.
const HEALTHY: [&str; 2] = ["baseline", "watch"];

impl Setting {
    /// Returns the setting of signals that end at `end`, one past their last instant.
    #[must_use]
    pub fn new(signals: impl IntoIterator<Item = Known>, end: Nanos) -> Self {
        Setting { signals: signals.into_iter().collect(), end, ..Setting::default() }
    }

    /// Adds phases, written `baseline=0s..30s,fault=30s..60s`; the last of them ends the setting.
    ///
    /// # Errors
    ///
    /// When they are not written so, or one ends before it starts.
    pub fn add_phases(&mut self, text: &str) -> Result<(), Trouble> {
        for phase in text.split(',').filter(|phase| !phase.trim().is_empty()) {
            let shape =
                || mistake(format!("`{phase}` is not a phase"), "write `NAME=START..END`: `fault=30s..60s`");
            let (name, stretch) = phase.split_once('=').ok_or_else(shape)?;
            let (start, end) = stretch.split_once("..").ok_or_else(shape)?;
            let name = name.trim();
            if name.is_empty() {
                return Err(shape());
            }
            let (start, end) = (length(start)?, length(end)?);
            if end <= start {
                return Err(mistake(
                    format!("the phase `{name}` ends before it starts"),
                    "write `START..END`",
                ));
            }
            self.phases.push((name.to_owned(), start, end));
        }
        if let Some(end) = self.phases.iter().map(|(_, _, end)| *end).max() {
            self.end = end;
        }
        Ok(())
    }

    /// Adds an event, written `deploy=12s`.
    ///
    /// # Errors
    ///
    /// When it is not written so.
    pub fn add_event(&mut self, text: &str) -> Result<(), Trouble> {
        let (name, at) = text
            .split_once('=')
            .filter(|(name, _)| !name.trim().is_empty())
            .ok_or_else(|| mistake(format!("`{text}` is not an event"), "write `NAME=TIME`: `deploy=12s`"))?;
        self.events.push((name.trim().to_owned(), length(at)?));
        Ok(())
    }

    /// Returns the stretches of a phase; `None` if there is no such phase.
    pub(super) fn phase(&self, name: &str) -> Option<Vec<(Nanos, Nanos)>> {
        let all = || self.phases.iter().map(|(_, start, end)| (*start, *end));
        let named: Vec<_> =
            self.phases.iter().filter(|(n, ..)| n == name).map(|(_, s, e)| (*s, *e)).collect();
        if !named.is_empty() {
            return Some(named);
        }
        match name {
            "whole run" => Some(vec![(all().map(|(start, _)| start).min().unwrap_or(0), self.end)]),
            // From the first injection to the first rollback.
            "fault" => {
                let faults = || self.faults();
                Some(vec![(faults().map(|(s, _)| s).min()?, faults().map(|(_, e)| e).min()?)])
            }
            _ => None,
        }
    }

    fn faults(&self) -> impl Iterator<Item = (Nanos, Nanos)> + '_ {
        self.phases.iter().filter(|(name, ..)| !HEALTHY.contains(&name.as_str())).map(|(_, s, e)| (*s, *e))
    }

    /// Returns the instants of `rollback`: the start of the watch, else the end of the last fault.
    pub(super) fn rollback(&self) -> Option<Nanos> {
        let watch = self.phases.iter().find(|(name, ..)| name == "watch").map(|(_, start, _)| *start);
        watch.or_else(|| self.rollback_starts())
    }

    /// Returns the instant at which the last fault ended.
    pub(super) fn rollback_starts(&self) -> Option<Nanos> {
        self.faults().map(|(_, end)| end).max()
    }

    /// Returns the instants of a named event.
    pub(super) fn event(&self, name: &str) -> Vec<Nanos> {
        let mut instants: Vec<Nanos> =
            self.events.iter().filter(|(event, _)| event == name).map(|(_, at)| *at).collect();
        if instants.is_empty() && name == "rollback" {
            instants.extend(self.rollback());
        }
        instants
    }
}

fn mistake(message: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble::unable(message).with_help(help)
}

fn length(text: &str) -> Result<Nanos, Trouble> {
    parse::duration(text.trim())
}
