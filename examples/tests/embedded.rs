//! Experiments as tests of another harness, and the examples as programs.

use std::{
    error::Error,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use chaos_agent::AgentInjector;
use chaos_core::{
    environment::Environment,
    injector::{Hold, Injector},
    journal::FileJournal,
    judge::view,
    model::{
        Event, Experiment, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
    },
    outcome::{self, Verdict},
    plan::plan,
    report,
    run::{Control, Record, Restoration, Runner},
    trouble::Trouble,
};
use chaos_examples::{pair::Pair, roles::injector_in_this_process};

/// Says why a test cannot run here.
fn skipped() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let reason = match Command::new("ip").arg("-V").output() {
        _ if !root => "network namespaces need root",
        Err(_) => "there is no `ip` program",
        Ok(_) => match chaos_faults::bpf::probe() {
            chaos_faults::bpf::Support::Yes => return false,
            chaos_faults::bpf::Support::No { .. } => "this kernel has no TCX links",
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
    let injector = Arc::new(injector_in_this_process());
    let before = state(&pair, &injector).await?;
    let injectors: [Arc<dyn Injector>; 1] = [injector.clone()];
    let plan = plan(&experiment, &*pair, &injectors, 7).await?;
    let parts: Vec<_> = plan.faults.iter().flat_map(|fault| &fault.parts).collect();
    assert!(parts.iter().all(|part| part.offer.hold == Hold::Kernel), "{parts:?}");
    let folder = tempfile::tempdir()?;
    let runner = Runner::builder()
        .environment(pair.clone())
        .injector(injector.clone())
        .probers(pair.clone())
        .journal(Arc::new(FileJournal::create(folder.path().join("journal"))?))
        .build()?;
    let finished = runner.run(&plan, Control::new()).await;
    assert_eq!(state(&pair, &injector).await?, before);
    injector.close().await?;
    assert_eq!(state(&pair, &injector_in_this_process()).await?, before);
    assert_eq!(finished.record.restoration, Restoration::Restored);
    println!("{}", report::text::render(&finished.record));
    Ok(finished.record)
}

/// Returns everything that the kernel says of both namespaces, but not what it counted.
async fn state(pair: &Pair, injector: &AgentInjector) -> Result<Vec<String>, Trouble> {
    let mut lines = Vec::new();
    for name in ["blue", "green"] {
        let place = pair.place(&Pair::object(name)).await?;
        let said = injector.evidence(&place).await;
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
    let pair = Pair::new().unwrap();
    let injectors: [Arc<dyn Injector>; 1] = [Arc::new(injector_in_this_process())];
    let mut experiment = lossy_echo(0.1, Duration::from_secs(1));
    experiment.faults[0].on = Selector::netns("red");
    let refused = plan(&experiment, &pair, &injectors, 7).await.unwrap_err();
    assert_eq!(refused.to_string(), "`netns \"red\"` is not one of this harness's namespaces");
    experiment.faults[0].name = "lossless".into();
    let refused = plan(&experiment, &pair, &injectors, 7).await.unwrap_err();
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
