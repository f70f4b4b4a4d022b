//! Claims on constructed runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::{
    judge::view::{Mark, PhaseSpan},
    model::{
        Claim, Connections, Event, Expectation, Field, Function, Metric, Probe, ProbeKind, Quantity, Unit,
        Vantage,
        formula::{Bound, Op},
        metric::Filter,
    },
    probe::{Observation, Sample},
};

mod forms;
mod holm;
mod properties;
mod statistic;
mod steady;
mod temporal;
mod timeline;

/// Seconds as nanoseconds.
pub(super) fn at(seconds: f64) -> Nanos {
    (seconds * 1e9).round() as Nanos
}

pub(super) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn sample(intended: Nanos, latency: Duration, observation: Observation) -> Sample {
    Sample { intended, late: Duration::ZERO, latency, from: "client".into(), observation }
}

/// An answer of the constructed service.
pub(super) enum Reply {
    Ok(f64),
    Failed,
    TimedOut,
    NotRun,
    Nothing,
}

impl Reply {
    pub(super) fn sample(self, intended: Nanos) -> Option<Sample> {
        let plain = |outcome| Observation { outcome, ..Observation::ok() };
        let millisecond = ms(1);
        Some(match self {
            Reply::Ok(milliseconds) => {
                sample(intended, Duration::from_secs_f64(milliseconds / 1e3), Observation::ok())
            }
            Reply::Failed => sample(intended, millisecond, Observation::failed("refused")),
            Reply::TimedOut => sample(intended, secs(1), plain(crate::probe::Outcome::TimedOut)),
            Reply::NotRun => sample(intended, millisecond, plain(crate::probe::Outcome::NotRun)),
            Reply::Nothing => return None,
        })
    }
}

/// A run with a baseline of 10 s, a fault `lossy` of 30 s, a rollback of 1 s and a watch of 90 s.
pub(super) struct Run {
    pub(super) experiment: Experiment,
    pub(super) samples: Samples,
    pub(super) phases: Vec<PhaseSpan>,
    pub(super) marks: Vec<Mark>,
    pub(super) end: Nanos,
    pub(super) aborted: Option<Nanos>,
    pub(super) exercised: BTreeMap<String, bool>,
    pub(super) idle: BTreeMap<String, String>,
}

pub(super) const FAULT: f64 = 10.0;
pub(super) const ROLLBACK: f64 = 41.0;
pub(super) const END: f64 = 131.0;

pub(super) fn lossy() -> Phase {
    Phase::Fault(Some("lossy".into()))
}

pub(super) fn starts() -> Event {
    Event::Starts("lossy".into())
}

impl Run {
    /// A run with a measurement every 10 ms, answered by `serve`, which gets the second of the run.
    pub(super) fn new(serve: impl Fn(f64) -> Reply) -> Run {
        Run::every(0.01, serve)
    }

    pub(super) fn every(step: f64, serve: impl Fn(f64) -> Reply) -> Run {
        let count = (END / step).ceil() as u32;
        let second = |n: u32| f64::from(n) * step;
        let samples = (0..count).filter_map(|n| serve(second(n)).sample(at(second(n)))).collect();
        Run::with(samples, 1.0 / step)
    }

    pub(super) fn with(samples: Vec<Sample>, rate: f64) -> Run {
        let span = |phase, start: f64, end: f64| PhaseSpan { phase, start: at(start), end: at(end) };
        let mark = |event, seconds: f64| Mark { event, at: at(seconds) };
        let mut experiment = crate::testing::experiment();
        experiment.expectations.clear();
        experiment.probes = vec![Probe {
            name: "get".into(),
            kind: ProbeKind::Custom { prober: "scripted".into() },
            from: Vantage::Runner,
            rate,
            timeout: secs(1),
            connections: Connections::Fresh,
            ok_when: None,
            labels: Vec::new(),
            trust: Default::default(),
            span: Span::NONE,
        }];
        Run {
            experiment,
            samples: Samples::from([("get".to_owned(), samples)]),
            phases: vec![
                span(Phase::Baseline, 0.0, FAULT),
                span(Phase::Fault(None), FAULT, 40.0),
                span(lossy(), FAULT, 40.0),
                span(Phase::Watch, ROLLBACK, END),
                span(Phase::WholeRun, 0.0, END),
            ],
            marks: vec![
                mark(starts(), FAULT),
                mark(Event::RollbackStarts, 40.0),
                mark(Event::Ends("lossy".into()), ROLLBACK),
                mark(Event::Rollback, ROLLBACK),
            ],
            end: at(END),
            aborted: None,
            exercised: BTreeMap::from([("lossy".to_owned(), true)]),
            idle: BTreeMap::new(),
        }
    }

    /// Ends the fault early: everything after the abort comes sooner.
    pub(super) fn abort(mut self, seconds: f64) -> Run {
        self.aborted = Some(at(seconds));
        let sooner = at(40.0) - at(seconds);
        for span in &mut self.phases {
            match span.phase {
                Phase::Fault(_) => span.end -= sooner,
                Phase::Watch => span.start -= sooner,
                Phase::Baseline | Phase::WholeRun => {}
            }
        }
        for mark in self.marks.iter_mut().filter(|mark| mark.event != starts()) {
            mark.at -= sooner;
        }
        self
    }

    pub(super) fn view(&self) -> RunView<'_> {
        RunView {
            samples: &self.samples,
            phases: &self.phases,
            marks: &self.marks,
            end: self.end,
            aborted: self.aborted,
            exercised: &self.exercised,
            idle: &self.idle,
        }
    }

    /// Judges one claim.
    pub(super) fn judge(&self, claim: Claim) -> Judged {
        let mut experiment = self.experiment.clone();
        // Before what the experiment claims beside it.
        experiment.expectations.insert(0, Expectation { name: "claim".into(), claim, span: Span::NONE });
        let mut judged = Standard::new().judge(&experiment, &self.view());
        assert_eq!(judged, Standard::new().judge(&experiment, &self.view()), "judging is pure");
        let text = serde_json::to_string(&judged).unwrap();
        let read: Vec<Judged> = serde_json::from_str(&text).unwrap();
        // Numbers lose their last bit in JSON.
        assert_eq!((&read[0].verdict, &read[0].measured), (&judged[0].verdict, &judged[0].measured));
        assert_eq!(read[0].findings.len(), judged[0].findings.len());
        judged.remove(0)
    }

    /// Judges one claim and returns its only finding.
    pub(super) fn finding(&self, claim: Claim) -> Finding {
        let mut judged = self.judge(claim);
        assert_eq!(judged.findings.len(), 1);
        judged.findings.remove(0)
    }
}

pub(super) fn metric(function: Function, over: Option<Duration>) -> Metric {
    Metric {
        function,
        probe: "get".into(),
        field: Field::Latency,
        filter: Vec::new(),
        over,
        span: Span::NONE,
    }
}

pub(super) fn compare(metric: Metric, op: Op, bound: Bound) -> Comparison {
    Comparison { metric, op, bound, span: Span::NONE }
}

pub(super) fn constant(value: f64, unit: Unit) -> Bound {
    Bound::Constant(Quantity::new(value, unit))
}

pub(super) fn success(over: Option<Duration>, op: Op, share: f64) -> Comparison {
    compare(metric(Function::Success, over), op, constant(share, Unit::Ratio))
}

pub(super) fn latency(function: Function, op: Op, milliseconds: f64) -> Comparison {
    compare(metric(function, None), op, constant(milliseconds / 1e3, Unit::Seconds))
}

pub(super) fn during(comparison: Comparison, during: Phase) -> Claim {
    Claim::Statistic { comparison, during, observed: false, confidence: None }
}

pub(super) fn passed(finding: &Finding) {
    assert_eq!(finding.outcome, Outcome::Passed, "{finding:#?}");
}

pub(super) fn failed(finding: &Finding) {
    assert_eq!(finding.outcome, Outcome::Failed, "{finding:#?}");
}

/// Asserts that a finding is undecided, for these reasons, and which way it leans.
pub(super) fn open(finding: &Finding, because: &[crate::verdict::Reason], leaning: crate::verdict::Leaning) {
    match &finding.outcome {
        Outcome::Inconclusive { reasons, leaning: leans, .. } => {
            assert_eq!((reasons.as_slice(), *leans), (because, leaning), "{finding:#?}");
            assert_eq!(finding.reasons.len(), because.len());
        }
        _ => panic!("{finding:#?}"),
    }
}

/// Returns the whole of a name in a short time.
pub(super) fn name(text: &str) -> Arc<str> {
    text.into()
}

pub(super) fn filter(label: &str, values: &[&str], negated: bool) -> Filter {
    Filter {
        label: label.into(),
        variable: None,
        values: values.iter().map(|v| (*v).to_owned()).collect(),
        negated,
    }
}
