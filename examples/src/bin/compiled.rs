//! An experiment from `.chaos` text, with a parameter set in code.
//!
//! `cargo run -p chaos-examples --bin compiled`; an ordinary user can, too, where the machine allows user namespaces.

use std::{error::Error, process::ExitCode, sync::Arc};

use chaos::{
    World,
    core::{
        journal::FileJournal,
        model::Experiment,
        outcome::{self, Verdict},
        report,
        run::{Control, RunEvent, What},
    },
    dsl,
};

/// The experiment; a file would be compiled with `chaos_dsl::compile_file`.
const TEXT: &str = r#"
param lost = 5% in 0% .. 30%

experiment "a lossy way to the API" {
  owner      "team-shop"
  hypothesis "losing {lost} of all packets costs users time, not answers"

  lab {
    host client
    host api { run http port 8080 { work 1ms } }
  }

  probe shop = http GET "http://api:8080/" from client {
    connections reuse 10
    rate        100/s
    timeout     2s
  }

  steady state over 1s { success(shop) >= 99% }

  fault lossy = loss lost on client to api

  timeline {
    baseline 1s
    inject   lossy
    hold     3s
    rollback
    watch    2s
  }

  abort when success(shop, over 1s) < 50% for 500ms

  expect {
    "nobody loses an answer": success(shop) >= 95% during lossy
    "it is over at once":     success(shop, over 500ms) settles to >= 99% within 1s after rollback
  }
}
"#;

/// Compiles the text, or says everything that is wrong with it.
fn compiled() -> Result<Vec<Experiment>, Box<dyn Error>> {
    let compiled = dsl::compile("shop.chaos", TEXT, &["lost=10%".to_owned()]);
    if compiled.is_ok() {
        return Ok(compiled.experiments);
    }
    let diagnostics = compiled.diagnostics.iter().map(|diagnostic| {
        let record = diagnostic.record(&compiled.sources);
        let place = record.primary.and_then(|label| Some((label.file?, label.start?)));
        let place = place.map(|(file, at)| format!("{file}:{}:{}: ", at.line, at.column));
        format!("{}{}", place.unwrap_or_default(), diagnostic.message)
    });
    Err(diagnostics.collect::<Vec<_>>().join("\n").into())
}

/// Plans, runs and reports one experiment, and says what happens to the fault meanwhile.
async fn run(experiment: &Experiment) -> Result<Verdict, Box<dyn Error>> {
    let world = World::of(experiment)?;
    let plan = world.plan(experiment, 7).await?;
    let folder = tempfile::tempdir()?;
    let runner = world
        .runner()
        .journal(Arc::new(FileJournal::create(folder.path().join("journal"))?))
        .on_event(Arc::new(|event: &RunEvent| {
            if let What::Part { id, state, .. } = &event.what {
                println!("{:6.2} s  {id}: {state:?}", event.at as f64 / 1e9);
            }
        }))
        .build()?;
    let finished = runner.run(&plan, Control::new()).await;
    world.close().await?;
    print!("{}", report::text::render(&finished.record));
    Ok(outcome::result(&finished.record).verdict)
}

fn main() -> ExitCode {
    if let Some(exit) = chaos::play() {
        return exit;
    }
    let outcome = chaos::become_able().map_err(Box::<dyn Error>::from).and_then(|()| {
        let runtime = tokio::runtime::Runtime::new()?;
        let mut worst = Verdict::Passed;
        for experiment in compiled()? {
            worst = worst.max(runtime.block_on(run(&experiment))?);
        }
        Ok(worst)
    });
    match outcome {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
