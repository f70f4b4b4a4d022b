//! Experiments as tests of another harness, and the examples as programs.

use std::{
    error::Error,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use chaos::{
    World, WorldBuilder,
    core::{
        environment::Environment,
        injector::Hold,
        judge::view,
        model::{
            Event, Experiment, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
        },
        outcome::{self, Verdict},
        report,
        run::{Record, Restoration},
        trouble::Trouble,
    },
    faults,
};
use chaos_examples::pair::Pair;

/// Says why a test cannot run here.
fn skipped() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let reason = match Command::new("ip").arg("-V").output() {
        _ if !root => "network namespaces need root",
        Err(_) => "there is no `ip` program",
        Ok(_) => match faults::bpf::probe() {
            faults::bpf::Support::Yes => return false,
            faults::bpf::Support::No { .. } => "this kernel has no TCX links",
        },
    };
    println!("skipped: {reason}");
    true
}

/// An echo service whose client loses packets, with the given claims.
fn lossy_echo(loss: f64, hold: Duration) -> Experiment {
    let (seconds, ms) = (Duration::from_secs, Duration::from_millis);
    let success = || Metric::success("echo");
    Experiment::new("lossy echo", "the echo service answers")
        .with_probe(
            Probe::custom("echo", "echo")
                .sent_from(Selector::netns("blue"))
                .at_rate(200.0)
                .with_timeout(ms(300)),
        )
        .with_steady_state(SteadyState::of(seconds(1), [success().at_least(Quantity::ratio(0.98))]))
        .with_fault(Fault::new("lossy", FaultSpec::loss(loss), Selector::netns("blue")))
        .with_timeline([
            Step::Baseline(seconds(1)),
            Step::inject("lossy"),
            Step::Hold(hold),
            Step::Rollback(None),
            Step::Watch(seconds(2)),
        ])
        .abort_when(success().over(ms(500)).below(Quantity::ratio(0.3)).lasting(ms(300)))
}

/// Runs an experiment on namespaces of its own, and proves that they are as before.
async fn run(experiment: Experiment) -> Result<Record, Box<dyn Error>> {
    let pair = Arc::new(Pair::new()?);
    let journals = tempfile::tempdir()?;
    let world = world(&pair).journals(journals.path()).build(&experiment)?;
    let before = state(&pair, &world).await?;
    let plan = world.plan(&experiment, 7).await?;
    let parts: Vec<_> = plan.faults.iter().flat_map(|fault| &fault.parts).collect();
    assert!(parts.iter().all(|part| part.offer.hold == Hold::Kernel), "{parts:?}");
    let finished = world.run(&plan).await?;
    assert_eq!(state(&pair, &world).await?, before);
    world.close().await?;
    assert_eq!(state(&pair, &self::world(&pair).build(&experiment)?).await?, before);
    assert_eq!(finished.record.restoration, Restoration::Restored);
    assert_eq!(std::fs::read_dir(journals.path())?.count(), 0, "nothing is owed, so no journal stays");
    println!("{}", report::text::render(&finished.record));
    Ok(finished.record)
}

/// The harness's world, with faults held by a thread of this process.
fn world(pair: &Arc<Pair>) -> WorldBuilder {
    World::builder().inventory(pair.clone()).environment(pair.clone()).probers(pair.clone())
}

/// Returns everything that the kernel says of both namespaces, but not what it counted.
async fn state(pair: &Pair, world: &World) -> Result<Vec<String>, Trouble> {
    let mut lines = Vec::new();
    for name in ["blue", "green"] {
        let place = pair.place(&Pair::object(name).id).await?;
        let said = world.injectors()[0].evidence(&place).await;
        assert!(said.iter().any(|line| line.starts_with("link ")), "{said:?}");
        lines.extend(said.iter().map(|line| line.split(" sent ").take(1).collect()));
    }
    Ok(lines)
}

fn verdicts(record: &Record) -> Vec<&view::Verdict> {
    record.expectations.iter().map(|expectation| &expectation.verdict).collect()
}

#[tokio::test]
async fn a_harness_runs_an_experiment_and_gets_its_verdict() {
    if skipped() {
        return;
    }
    let success = || Metric::success("echo");
    let experiment = lossy_echo(0.1, Duration::from_secs(3))
        .expect("most get an answer", success().at_least(Quantity::ratio(0.75)).during(Phase::Fault(None)))
        .expect(
            "it comes back",
            success()
                .over(Duration::from_millis(500))
                .at_least(Quantity::ratio(0.95))
                .settles(Duration::from_secs(1), Event::Rollback),
        );
    let record = run(experiment).await.unwrap();
    assert_eq!(outcome::result(&record).verdict, Verdict::Passed);
    let effect = record.parts[0].effect.as_ref().unwrap();
    assert!(effect.met > 300 && effect.changed > 10, "{effect:?}");
}

#[tokio::test]
async fn a_claim_that_does_not_hold_fails_and_everything_is_put_back() {
    if skipped() {
        return;
    }
    let all = Metric::success("echo").at_least(Quantity::ratio(0.99)).during(Phase::Fault(None));
    let record = run(lossy_echo(0.3, Duration::from_secs(2)).expect("nobody notices", all)).await.unwrap();
    assert_eq!(outcome::result(&record).verdict, Verdict::Failed);
    assert_eq!(verdicts(&record), [&view::Verdict::Failed]);
}

#[tokio::test]
async fn an_abort_condition_ends_the_fault_early() {
    if skipped() {
        return;
    }
    let record = run(lossy_echo(0.9, Duration::from_secs(60))).await.unwrap();
    assert_eq!(outcome::result(&record).verdict, Verdict::Aborted);
    assert!(record.ended < 30_000_000_000, "the fault was to be held for a minute");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_refused_before_anything_is_touched() {
    if skipped() {
        return;
    }
    let pair = Arc::new(Pair::new().unwrap());
    let mut experiment = lossy_echo(0.1, Duration::from_secs(1));
    let world = world(&pair).build(&experiment).unwrap();
    experiment.faults[0].on = Selector::netns("red");
    let refused = world.plan(&experiment, 7).await.unwrap_err();
    assert_eq!(refused.to_string(), "`netns \"red\"` is not one of this harness's namespaces");
    experiment.faults[0].name = "lossless".into();
    let refused = world.plan(&experiment, 7).await.unwrap_err();
    assert_eq!(refused.to_string(), "no fault is named `lossy`");
}

/// Runs an example, and returns what it printed.
fn example(executable: &str) -> Option<String> {
    if skipped() {
        return None;
    }
    let Output { status, stdout, stderr } = Command::new(executable).output().expect("cargo has built it");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    println!("{said}");
    Some(said)
}

#[test]
fn the_embedded_example_passes() {
    let Some(said) = example(env!("CARGO_BIN_EXE_embedded")) else { return };
    assert!(said.starts_with("will: "), "{said}");
    assert!(said.contains("PASSED  a lossy way to the echo service"), "{said}");
}

#[test]
fn the_lab_example_passes() {
    let Some(said) = example(env!("CARGO_BIN_EXE_lab")) else { return };
    assert!(said.starts_with("PASSED  a slow way to one host"), "{said}");
}

#[test]
fn the_compiled_example_passes() {
    let Some(said) = example(env!("CARGO_BIN_EXE_compiled")) else { return };
    assert!(said.contains("lossy/client/1: Active"), "{said}");
    assert!(said.contains("PASSED  a lossy way to the API"), "{said}");
}
