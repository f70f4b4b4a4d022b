//! What happens when.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::formula::Event;
use crate::span::{Span, Spanned};

/// The steps of a run, in order; always written out, also where the file only says `duration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Timeline {
    /// The steps.
    pub steps: Vec<Spanned<Step>>,
    /// Where it was written.
    pub span: Span,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Watch the healthy system.
    Baseline(Duration),
    /// Make a change, for the rest of the run.
    Make(Spanned<String>),
    /// Put a fault in place.
    Inject(Spanned<String>),
    /// Leave things as they are.
    Hold(Duration),
    /// Take away one fault, or all that are in place.
    Rollback(Option<Spanned<String>>),
    /// Watch the system recover.
    Watch(Duration),
}

impl Timeline {
    /// Returns the sum of the waits; what injecting and reverting take comes on top.
    pub fn planned(&self) -> Duration {
        self.steps
            .iter()
            .map(|s| match &s.value {
                Step::Baseline(d) | Step::Hold(d) | Step::Watch(d) => *d,
                Step::Make(_) | Step::Inject(_) | Step::Rollback(_) => Duration::ZERO,
            })
            .sum()
    }

    /// Returns the planned length of the baseline.
    pub fn baseline(&self) -> Duration {
        self.steps.iter().filter_map(|s| if let Step::Baseline(d) = s.value { Some(d) } else { None }).sum()
    }

    /// Returns the planned length of the watch after the rollback.
    pub fn watch(&self) -> Duration {
        self.steps.iter().filter_map(|s| if let Step::Watch(d) = s.value { Some(d) } else { None }).sum()
    }

    /// Returns how long a fault is planned to be in place.
    pub fn held(&self, fault: &str) -> Duration {
        let (mut active, mut total) = (false, Duration::ZERO);
        for step in &self.steps {
            match &step.value {
                Step::Inject(name) if name.value == fault => active = true,
                Step::Rollback(None) => active = false,
                Step::Rollback(Some(name)) if name.value == fault => active = false,
                Step::Hold(d) | Step::Watch(d) | Step::Baseline(d) if active => total += *d,
                Step::Baseline(_)
                | Step::Make(_)
                | Step::Inject(_)
                | Step::Hold(_)
                | Step::Rollback(_)
                | Step::Watch(_) => {}
            }
        }
        total
    }

    /// Returns the faults that are planned to be in place for some time, in the order in which they are first injected.
    pub fn injected(&self) -> impl Iterator<Item = &str> {
        let mut known = Vec::new();
        let injected = self.steps.iter().filter_map(|step| match &step.value {
            Step::Inject(name) => Some(name.value.as_str()),
            Step::Baseline(_) | Step::Make(_) | Step::Hold(_) | Step::Rollback(_) | Step::Watch(_) => None,
        });
        injected.filter(move |name| {
            let first = !known.contains(name) && !self.held(name).is_zero();
            if first {
                known.push(*name);
            }
            first
        })
    }

    /// Returns the faults that are in place when this one is injected, at any of its injections.
    pub fn below(&self, fault: &str) -> BTreeSet<&str> {
        let (mut active, mut below) = (Vec::new(), BTreeSet::new());
        for step in &self.steps {
            match &step.value {
                Step::Inject(name) if name.value == fault => below.extend(active.iter().copied()),
                Step::Inject(name) => active.push(name.value.as_str()),
                Step::Rollback(None) => active.clear(),
                Step::Rollback(Some(gone)) => active.retain(|name| *name != gone.value),
                Step::Baseline(_) | Step::Make(_) | Step::Hold(_) | Step::Watch(_) => {}
            }
        }
        below
    }

    /// Returns how long faults are planned to be in place: from the first injection to the first rollback.
    pub fn faulted(&self) -> Duration {
        let injected = self.steps.iter().skip_while(|s| !matches!(s.value, Step::Inject(_)));
        let until = injected.take_while(|s| !matches!(s.value, Step::Rollback(_)));
        until.filter_map(|s| s.value.lasting()).sum()
    }

    /// Returns how much of the timeline comes after an event, at its last time; `None` if it never happens.
    pub fn after(&self, event: &Event) -> Option<Duration> {
        let ends = |active: &[&str], gone: &dyn Fn(&str) -> bool| match event {
            Event::Ends(fault) => active.contains(&fault.as_str()) && gone(fault),
            Event::Rollback | Event::RollbackStarts => !active.is_empty() && active.iter().all(|f| gone(f)),
            Event::Starts(_) | Event::Made(_) => false,
        };
        let (mut active, mut left): (Vec<&str>, Option<Duration>) = (Vec::new(), None);
        for step in &self.steps {
            let happens = match &step.value {
                Step::Baseline(_) | Step::Hold(_) | Step::Watch(_) => false,
                Step::Make(name) => matches!(event, Event::Made(change) if *change == name.value),
                Step::Inject(name) => {
                    active.push(name);
                    matches!(event, Event::Starts(fault) if *fault == name.value)
                }
                Step::Rollback(which) => {
                    let gone = |fault: &str| which.as_ref().is_none_or(|name| name.value == fault);
                    let happens = ends(&active, &gone);
                    active.retain(|fault| !gone(fault));
                    happens
                }
            };
            left = if happens { Some(Duration::ZERO) } else { left };
            left = left.map(|left| left + step.value.lasting().unwrap_or_default());
        }
        // What is in place at the end is reverted there.
        if ends(&active, &|_| true) { Some(Duration::ZERO) } else { left }
    }
}

impl Step {
    /// Returns how long it waits; `None` if it does something.
    pub fn lasting(&self) -> Option<Duration> {
        match self {
            Step::Baseline(d) | Step::Hold(d) | Step::Watch(d) => Some(*d),
            Step::Make(_) | Step::Inject(_) | Step::Rollback(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_an_event() {
        let s = Duration::from_secs;
        let steps = [
            Step::Baseline(s(1)),
            Step::inject("a"),
            Step::Hold(s(2)),
            Step::inject("b"),
            Step::Hold(s(4)),
            Step::Rollback(Some("a".into())),
            Step::Hold(s(8)),
            Step::Rollback(None),
            Step::Watch(s(16)),
        ];
        let timeline = |steps: &[Step]| Timeline {
            steps: steps.iter().cloned().map(Into::into).collect(),
            span: Span::NONE,
        };
        let whole = timeline(&steps);
        assert_eq!(whole.injected().collect::<Vec<_>>(), ["a", "b"]);
        assert!(whole.below("a").is_empty());
        assert_eq!(whole.below("b"), ["a"].into());
        assert_eq!(whole.faulted(), s(6));
        assert_eq!(whole.after(&Event::Starts("a".into())), Some(s(30)));
        assert_eq!(whole.after(&Event::Starts("b".into())), Some(s(28)));
        assert_eq!(whole.after(&Event::Ends("a".into())), Some(s(24)));
        assert_eq!(whole.after(&Event::Ends("b".into())), Some(s(16)));
        assert_eq!(whole.after(&Event::Rollback), Some(s(16)));
        assert_eq!(whole.after(&Event::Starts("c".into())), None);
        assert_eq!(whole.after(&Event::Ends("c".into())), None);
        let cut = timeline(&steps[..7]);
        assert_eq!(cut.after(&Event::Rollback), Some(s(0)));
        assert_eq!(cut.after(&Event::Ends("b".into())), Some(s(0)));
        assert_eq!(timeline(&steps[..1]).after(&Event::Rollback), None);
    }
}
