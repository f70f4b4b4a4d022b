//! An experiment built in code, on network namespaces of this program's own, with its own prober.
//!
//! `cargo run -p chaos-examples --bin embedded`, as root.

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use chaos::{
    World,
    core::{
        journal::FileJournal,
        model::{
            Event, Experiment, Fault, FaultSpec, Metric, Phase, Probe, Quantity, Selector, SteadyState, Step,
        },
        outcome::{self, Verdict},
        report,
        run::Control,
    },
};
use chaos_examples::pair::Pair;

/// Says what is done and what is believed.
fn experiment() -> Experiment {
    let (seconds, ms, share) = (Duration::from_secs, Duration::from_millis, Quantity::ratio);
    let success = || Metric::success("echo");
    Experiment::new("a lossy way to the echo service", "one in ten datagrams lost costs one answer in ten")
        .at_most_hosts(1)
        .with_probe(
            Probe::custom("echo", "echo")
                .sent_from(Selector::netns("blue"))
                .at_rate(200.0)
                .with_timeout(ms(300)),
        )
        .with_steady_state(SteadyState::of(seconds(1), [success().at_least(share(0.99))]))
        .with_fault(Fault::new(
            "lossy",
            FaultSpec::loss(0.1).to(Selector::netns("green")),
            Selector::netns("blue"),
        ))
        .with_timeline([
            Step::Baseline(seconds(1)),
            Step::inject("lossy"),
            Step::Hold(seconds(3)),
            Step::Rollback(None),
            Step::Watch(seconds(2)),
        ])
        .abort_when(success().over(seconds(1)).below(share(0.5)).lasting(ms(500)))
        .expect("most get an answer", success().at_least(share(0.8)).during(Phase::Fault(None)))
        .expect("some get none", success().at_most(share(0.97)).during(Phase::Fault(None)))
        .expect(
            "it is over at once",
            success().over(ms(500)).at_least(share(0.99)).settles(seconds(1), Event::Rollback),
        )
}

/// Plans, runs and reports it.
async fn run() -> Result<Verdict, Box<dyn Error>> {
    let experiment = experiment();
    let pair = Arc::new(Pair::new()?);
    let world = World::builder()
        .inventory(pair.clone())
        .environment(pair.clone())
        .probers(pair)
        .build(&experiment)?;
    let plan = world.plan(&experiment, 7).await?;
    for part in plan.faults.iter().flat_map(|fault| &fault.parts) {
        println!("will: {} ({}, {})", part.offer.does.join("; "), part.offer.backend, part.offer.hold);
    }
    // The undo of each fault is written down before the fault touches anything.
    let folder = tempfile::tempdir()?;
    let journal = FileJournal::create(folder.path().join("journal"))?;
    let runner = world.runner().journal(Arc::new(journal)).build()?;
    let control = Control::new();
    let ctrl_c = control.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            ctrl_c.stop();
        }
    });
    let finished = runner.run(&plan, control).await;
    world.close().await?;
    print!("{}", report::text::render(&finished.record));
    Ok(outcome::result(&finished.record).verdict)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
