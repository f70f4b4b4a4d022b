//! Each probe in figures, phase by phase, for people; verdicts are judged on the samples themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    monitor::quantile,
    record::{PhaseSpan, PhaseSummary, ProbeSummary},
};
use crate::judge::view::Samples;
use crate::probe::{Outcome, Sample};

/// The most kinds of errors that a summary names.
const MOST_ERRORS: usize = 5;

/// Sums up every probe; samples belong to the phase of their intended start.
pub(crate) fn probes(samples: &Samples, phases: &[PhaseSpan]) -> Vec<ProbeSummary> {
    samples
        .iter()
        .map(|(probe, samples)| {
            let from: BTreeSet<&str> = samples.iter().map(|s| &*s.from).collect();
            let mut errors = BTreeMap::<&str, u64>::new();
            for error in samples.iter().filter_map(|s| s.observation.error.as_deref()) {
                *errors.entry(error).or_default() += 1;
            }
            let mut errors: Vec<(String, u64)> = errors.into_iter().map(|(e, n)| (e.to_owned(), n)).collect();
            errors.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            errors.truncate(MOST_ERRORS);
            ProbeSummary {
                probe: probe.clone(),
                from: from.into_iter().map(str::to_owned).collect(),
                phases: phases.iter().map(|p| phase(samples, p)).collect(),
                samples: samples.len() as u64,
                errors,
            }
        })
        .collect()
}

fn phase(samples: &[Sample], span: &PhaseSpan) -> PhaseSummary {
    let within: Vec<&Sample> =
        samples.iter().filter(|s| (span.start..span.end).contains(&s.intended)).collect();
    let count = |outcome| within.iter().filter(|s| s.observation.outcome == outcome).count() as u64;
    let (ok, failed, timed_out, not_run) =
        (count(Outcome::Ok), count(Outcome::Failed), count(Outcome::TimedOut), count(Outcome::NotRun));
    let mut latencies: Vec<Duration> = within
        .iter()
        .filter(|s| matches!(s.observation.outcome, Outcome::Ok | Outcome::TimedOut))
        .map(|s| s.latency)
        .collect();
    let mut late: Vec<Duration> = within.iter().map(|s| s.late).collect();
    let taken = ok + failed + timed_out;
    PhaseSummary {
        phase: span.phase.clone(),
        count: taken + not_run,
        ok,
        failed,
        timed_out,
        not_run,
        success: (taken > 0).then(|| ok as f64 / taken as f64),
        p50: quantile(&mut latencies, 0.5),
        p90: quantile(&mut latencies, 0.9),
        p95: quantile(&mut latencies, 0.95),
        p99: quantile(&mut latencies, 0.99),
        max: latencies.iter().copied().max(),
        late_p99: quantile(&mut late, 0.99),
    }
}
