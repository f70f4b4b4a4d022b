//! Judging a run of an hour: what was measured a thousand times each second against claims of every kind.
//!
//! `cargo run --release -p chaos-benches -- judge [--assert]`

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use chaos_core::{
    judge::{
        Standard,
        border::Judge as _,
        view::{Mark, PhaseSpan, RunView, Samples, Verdict},
    },
    model::{
        Correction, Event, Experiment, Fault, FaultSpec, Metric, Phase, Predicate, Probe, Quantity, Selector,
        formula::Claim,
    },
    probe::{Observation, Sample},
};

use crate::{
    Claims, Failure,
    statistic::{middle, rounds, timed},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often the run is judged.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many requests were sent each second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
}

const SECOND: i64 = 1_000_000_000;
/// The baseline, the fault and the watch, in seconds.
const PHASES: [i64; 3] = [600, 2400, 600];
const AIM: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("judging a run of an hour", assert);
    let measured = measure(options, &mut claims);
    claims.finish(measured)
}

fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let samples = samples(options.rate);
    let [baseline, fault, watch] = PHASES.map(|seconds| seconds * SECOND);
    let (rollback, end) = (baseline + fault, baseline + fault + watch);
    let span = |phase, start, end| PhaseSpan { phase, start, end };
    let slow = || Phase::Fault(Some("slow".into()));
    let phases = [
        span(Phase::Baseline, 0, baseline),
        span(Phase::Fault(None), baseline, rollback),
        span(slow(), baseline, rollback),
        span(Phase::Watch, rollback, end),
        span(Phase::WholeRun, 0, end),
    ];
    let marks = [
        Mark { event: Event::Starts("slow".into()), at: baseline },
        Mark { event: Event::Rollback, at: rollback },
    ];
    let (exercised, idle) = (BTreeMap::from([("slow".to_owned(), true)]), BTreeMap::new());
    let view = RunView {
        samples: &samples,
        phases: &phases,
        marks: &marks,
        end,
        aborted: None,
        exercised: &exercised,
        idle: &idle,
    };
    let seconds = Duration::from_secs;
    let always = |metric: Metric, least: f64| Claim::Always {
        predicate: Predicate::Compare(metric.over(seconds(10)).at_least(Quantity::ratio(least))),
        during: slow(),
    };
    let experiment = Experiment::new("an hour", "judged in seconds")
        .with_probe(Probe::tcp("get", "10.0.0.1:80").at_rate(f64::from(options.rate)))
        .with_fault(Fault::new("slow", FaultSpec::delay(seconds(1)), Selector::here()))
        .expect("served", Metric::success("get").at_least(Quantity::ratio(0.99)).during(slow()))
        .expect("fast", Metric::latency("get", 0.999).at_most(seconds(1)).during(slow()))
        .expect("as before", Metric::latency("get", 0.95).at_most_baseline_plus(seconds(1)).during(slow()))
        .expect("always", always(Metric::success("get"), 0.9))
        .expect(
            "comes back",
            Metric::latency("get", 0.99)
                .over(seconds(10))
                .at_most(seconds(1))
                .settles(seconds(60), Event::Rollback),
        );
    let count = samples["get"].len();
    let mut judge = |what: &str, experiment: &Experiment| -> Result<(), Failure> {
        let mut taken = Vec::new();
        for _ in 0..options.rounds {
            let (judged, time) = timed(|| Standard::new().judge(experiment, &view));
            if let Some(open) = judged.iter().find(|j| j.verdict != Verdict::Passed) {
                return Err(format!("`{}` should pass: {}", open.name, open.measured).into());
            }
            taken.push(time.as_secs_f64());
        }
        let met = middle(&taken) < AIM.as_secs_f64();
        claims.aim(what, rounds(&taken, " s"), "< 2 s", met);
        Ok(())
    };
    judge(&format!("5 claims on {count} samples"), &experiment)?;
    let together = Experiment { correction: Correction::Holm, ..experiment };
    judge("the same, with Holm's correction", &together)
}

/// Answers of some milliseconds, of which one in a thousand fails, the same in every run.
fn samples(rate: u32) -> Samples {
    let (from, mut state): (Arc<str>, u64) = ("client".into(), 7);
    let count = PHASES.iter().sum::<i64>() * i64::from(rate);
    let sample = |n: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = state >> 33;
        Sample {
            intended: n * SECOND / i64::from(rate),
            late: Duration::ZERO,
            latency: Duration::from_micros(1_000 + random % 20_000),
            from: from.clone(),
            observation: if random % 1000 == 1 { Observation::failed("refused") } else { Observation::ok() },
        }
    };
    Samples::from([("get".to_owned(), (0..count).map(sample).collect())])
}
