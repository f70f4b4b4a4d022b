use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    bundle::{load, samples},
    injector::Injector,
    judge::Standard,
    model::{Experiment, Function, Metric, Phase, Quantity, Unit},
    probe::{Observation, Outcome, Sample},
    report::json,
    run::{Control, Finished, Runner, event::SCHEMA_VERSION},
    testing::{self, World},
};

/// Runs in a scripted world, judged by the standard judge.
async fn finished(experiment: &Experiment) -> Finished {
    let world = World::new();
    let plan = testing::plan(experiment, &world).await.unwrap();
    let runner = Runner::builder()
        .inventory(Arc::new(world.clone()))
        .environment(Arc::new(world.clone()))
        .injector(Arc::new(world.clone()) as Arc<dyn Injector>)
        .probers(Arc::new(world.clone()))
        .journal(Arc::new(world.clone()))
        .id("r1")
        .build()
        .unwrap();
    runner.run(&plan, Control::new()).await
}

/// Keeps a run as the command does.
fn kept(run: &Finished) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("record.json"), document(run)).unwrap();
    std::fs::create_dir(folder.path().join("samples")).unwrap();
    for (probe, all) in &run.samples {
        let mut out = Vec::new();
        samples::write(all, &mut out).unwrap();
        std::fs::write(folder.path().join(format!("samples/{probe}.csv")), out).unwrap();
    }
    folder
}

fn document(run: &Finished) -> Vec<u8> {
    let mut out = Vec::new();
    json::write(&run.record, &mut out).unwrap();
    out
}

/// An experiment with a claim of every kind that depends on the samples.
fn experiment() -> Experiment {
    let second = Duration::from_secs(1);
    let fast = || Metric::latency("get", 0.5);
    testing::experiment().expect("fast", fast().at_most(second).during(Phase::Fault(None))).expect(
        "comes back",
        fast().over(second * 3).at_most(second).settles(second * 5, crate::model::Event::Rollback),
    )
}

#[tokio::test(start_paused = true)]
async fn the_same_record_gives_the_same_bytes() {
    let run = finished(&experiment()).await;
    assert_eq!(run.record.expectations.len(), 3);
    let folder = kept(&run);
    let mut again = load(folder.path()).unwrap();
    assert_eq!(again.samples, run.samples);
    // What was judged is not taken from the record.
    again.record.expectations.clear();
    judge(&mut again, &Standard::new());
    assert_eq!(String::from_utf8(document(&again)), String::from_utf8(document(&run)));
    assert_eq!(document(&again), std::fs::read(folder.path().join("record.json")).unwrap());
}

#[tokio::test(start_paused = true)]
async fn other_claims_are_judged_on_the_same_samples() {
    let run = finished(&experiment()).await;
    let mut again = run.clone();
    let mut with = testing::experiment();
    with.expectations.clear();
    with.confidence = 0.9;
    let with = with.expect(
        "no success",
        Metric::success("get").at_most(Quantity::ratio(0.5)).during(Phase::Fault(None)),
    );
    replace_claims(&mut again.record, &with).unwrap();
    judge(&mut again, &Standard::new());
    assert_eq!(again.record.expectations.len(), 1);
    assert_eq!(again.record.expectations[0].verdict, crate::judge::view::Verdict::Failed);
    assert_eq!(again.record.plan.experiment.confidence, 0.9);
    assert_eq!(again.record.marks, run.record.marks);
}

#[tokio::test(start_paused = true)]
async fn claims_of_what_the_run_had_not_are_refused_and_change_nothing() {
    let run = finished(&experiment()).await;
    let share = Quantity::ratio(0.5);
    let claim = |metric: Metric, phase| metric.at_least(share).during(phase);
    let with = testing::experiment()
        .expect("probe", claim(Metric::success("put"), Phase::Watch))
        .expect("phase", claim(Metric::success("get"), Phase::Fault(Some("third".into()))))
        .expect(
            "event",
            Metric::success("get")
                .over(Duration::from_secs(3))
                .at_least(share)
                .settles(Duration::from_secs(5), crate::model::Event::Ends("third".into())),
        );
    let mut record = run.record.clone();
    let errors = replace_claims(&mut record, &with).unwrap_err();
    let said: Vec<String> =
        errors.iter().map(|e| format!("{e}; {}", e.help.clone().unwrap_or_default())).collect();
    assert_eq!(
        said,
        [
            "the run had no probe `put`; it had `get`",
            "the run had no fault `third`; it had `first`, `second`",
            "the run had no fault `third`; it had `first`, `second`",
        ]
    );
    assert_eq!(record, run.record);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_that_phase_has_no_claim_about_it() {
    let mut short = testing::experiment();
    short.timeline.steps.remove(0);
    let run = finished(&short).await;
    let mut record = run.record.clone();
    let mut with = testing::experiment();
    with.expectations.clear();
    let with =
        with.expect("x", Metric::success("get").at_least(Quantity::ratio(0.5)).during(Phase::Baseline));
    let errors = replace_claims(&mut record, &with).unwrap_err();
    assert_eq!(errors[0].message, "the run had no baseline");
}

/// Changes what was kept, and returns why it cannot be read any more.
async fn spoiled(spoil: impl FnOnce(&std::path::Path)) -> String {
    let folder = kept(&finished(&testing::experiment()).await);
    spoil(folder.path());
    let error = load(folder.path()).unwrap_err();
    let place = folder.path().display().to_string();
    format!("{error}; {}", error.help().unwrap_or_default()).replace(&place, "RUN")
}

fn edit(path: &std::path::Path, change: impl FnOnce(String) -> String) {
    std::fs::write(path, change(std::fs::read_to_string(path).unwrap())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_spoiled_is_named() {
    let said = spoiled(|f| std::fs::remove_file(f.join("record.json")).unwrap()).await;
    assert!(said.starts_with("`RUN` is not the folder of a run"), "{said}");
    let said = spoiled(|f| {
        std::fs::remove_file(f.join("record.json")).unwrap();
        std::fs::write(f.join("journal.jsonl"), "").unwrap();
    })
    .await;
    assert!(said.starts_with("the run in `RUN` left no record"), "{said}");
    let of_version = |version: u32| {
        let (now, then) = (format!("\"version\": {SCHEMA_VERSION}"), format!("\"version\": {version}"));
        spoiled(move |f| edit(&f.join("record.json"), |t| t.replacen(&now, &then, 1)))
    };
    let said = of_version(99).await;
    assert!(said.contains("is of version 99") && said.ends_with("newer `chaos`"), "{said}");
    let said = of_version(0).await;
    assert!(said.ends_with("the `chaos` that has run it"), "{said}");
    let said = spoiled(|f| edit(&f.join("record.json"), |t| t[..t.len() / 2].to_owned())).await;
    assert!(said.contains("is not the record of a run") && said.contains("its end is missing"), "{said}");
    let said = spoiled(|f| std::fs::remove_file(f.join("samples/get.csv")).unwrap()).await;
    assert!(said.starts_with("the samples of probe `get` are missing"), "{said}");
    let said = spoiled(|f| {
        edit(&f.join("samples/get.csv"), |t| t.lines().take(5).map(|l| format!("{l}\n")).collect());
    })
    .await;
    assert!(said.contains("holds 4;"), "{said}");
    let said = spoiled(|f| edit(&f.join("samples/get.csv"), |t| t.replacen(",ok,", ",fine,", 1))).await;
    assert!(said.contains("line 2: `fine` is not valid in the column `outcome`"), "{said}");
    let said = spoiled(|f| edit(&f.join("samples/get.csv"), |t| t.replacen("late_ms", "late", 1))).await;
    assert!(said.contains("its columns are `intended_s,late,"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_run_stays_as_it_is() {
    let mut sick = testing::experiment();
    // The probe is sent 20 times a second.
    let busy = Metric::new(Function::Rate, "get").over(Duration::from_secs(5));
    sick.steady_state.predicates = vec![busy.above(Quantity::new(1000.0, Unit::PerSecond)).into()];
    let run = finished(&sick).await;
    assert!(run.record.is_refused());
    let mut again = run.clone();
    judge(&mut again, &Standard::new());
    assert_eq!(again.record, run.record);
}

fn text() -> impl Strategy<Value = Arc<str>> {
    "[a-z0-9 =%,;\"\n\t\\PC]{0,12}".prop_map(Into::into)
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![(0_u64..10_000_000_000).prop_map(Duration::from_nanos), Just(Duration::ZERO)]
}

prop_compose! {
    fn sample()(
        intended in -5_000_000_000_i64..1_000_000_000_000_000,
        times in prop::array::uniform2(time()),
        parts in prop::array::uniform5(prop::option::of(time())),
        from in text(),
        outcome in prop::sample::select(vec![Outcome::Ok, Outcome::Failed, Outcome::TimedOut, Outcome::NotRun]),
        status in prop::option::of(any::<u16>()),
        value in prop::option::of(any::<f64>().prop_filter("NaN equals nothing", |v| !v.is_nan())),
        labels in prop::collection::vec(("[a-z_]{1,6}".prop_map(Arc::<str>::from), text()), 0..3),
        error in prop::option::of(text().prop_filter("an error says something", |t| !t.is_empty())),
    ) -> Sample {
        let [late, latency] = times;
        let [wait, dns, connect, tls, ttfb] = parts;
        let observation = Observation { outcome, wait, dns, connect, tls, ttfb, status, value, labels, error };
        Sample { intended, late, latency, from, observation }
    }
}

proptest! {
    #[test]
    fn samples_come_back_as_they_were(all in prop::collection::vec(sample(), 0..20)) {
        let mut out = Vec::new();
        samples::write(&all, &mut out).unwrap();
        prop_assert_eq!(samples::read(out.as_slice()).unwrap(), all);
    }

    #[test]
    fn reading_anything_never_panics(text in "\\PC{0,200}", tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut input = samples::COLUMNS.join(",").into_bytes();
        input.push(b'\n');
        input.extend(text.into_bytes());
        input.extend(tail);
        let _ = samples::read(input.as_slice());
    }
}

#[test]
fn no_samples_are_a_file_all_the_same() {
    let mut out = Vec::new();
    samples::write(&[], &mut out).unwrap();
    assert_eq!(samples::read(out.as_slice()).unwrap(), []);
}
