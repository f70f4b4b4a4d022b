//! An experiment in a lab: hosts that exist for the run only, each with its own network and real servers.
//!
//! `cargo run -p chaos-examples --bin lab`; an ordinary user can, too, where the machine allows user namespaces.

use std::{error::Error, process::ExitCode, time::Duration};

use chaos::{
    World,
    core::{
        model::{
            Event, Experiment, Fault, FaultSpec, Host, Lab, Metric, Phase, Probe, Program, Quantity,
            Selector, SteadyState, Step,
        },
        outcome::{self, Verdict},
        report,
    },
};

/// Declares the hosts.
fn lab() -> Lab {
    let http = Program::Http { port: 8080, work: Duration::from_millis(1), capacity: None, status: 200 };
    Lab::from_iter([Host::new("client"), Host::new("api").copies(2).running(http)])
}

/// Says what is done and what is believed.
fn experiment() -> Experiment {
    let (seconds, ms, share) = (Duration::from_secs, Duration::from_millis, Quantity::ratio);
    let (success, p50) = (|| Metric::success("slow"), |probe| Metric::latency(probe, 0.5));
    let get = |name, url| Probe::http_get(name, url).sent_from(Selector::hosts("client")).at_rate(50.0);
    Experiment::new("a slow way to one host", "who asks the other host notices nothing")
        .in_lab(lab())
        .at_most_hosts(1)
        .with_probe(get("slow", "http://api-1:8080/"))
        .with_probe(get("other", "http://api-2:8080/"))
        .with_steady_state(SteadyState::of(seconds(1), [success().at_least(share(0.99))]))
        .with_fault(Fault::new(
            "late",
            FaultSpec::delay(ms(100)).to(Selector::hosts("api-1")),
            Selector::hosts("client"),
        ))
        .with_timeline([
            Step::Baseline(seconds(1)),
            Step::inject("late"),
            Step::Hold(seconds(4)),
            Step::Rollback(None),
            Step::Watch(seconds(2)),
        ])
        .abort_when(success().over(seconds(1)).below(share(0.5)).lasting(ms(500)))
        .expect("nobody gets an error", success().at_least(share(0.9)).during(Phase::Fault(None)))
        .expect("the one is slow", p50("slow").at_least(ms(180)).during(Phase::Fault(None)))
        .expect("the other is not", p50("other").at_most_baseline_plus(ms(90)).during(Phase::Fault(None)))
        .expect(
            "it is over at once",
            p50("slow").over(ms(500)).at_most(ms(90)).settles(seconds(1), Event::Rollback),
        )
}

/// Plans, runs and reports it.
async fn run() -> Result<Verdict, Box<dyn Error>> {
    let experiment = experiment();
    let world = World::of(&experiment)?;
    let plan = world.plan(&experiment, 7).await?;
    let finished = world.run(&plan).await?;
    print!("{}", report::text::render(&finished.record));
    Ok(outcome::result(&finished.record).verdict)
}

fn main() -> ExitCode {
    if let Some(exit) = chaos::play() {
        return exit;
    }
    let outcome = chaos::become_able()
        .map_err(Into::into)
        .and_then(|()| tokio::runtime::Runtime::new().map_err(Into::into))
        .and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
