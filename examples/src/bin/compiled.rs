//! An experiment from `.chaos` text, with a parameter set in code.
//!
//! `cargo run -p chaos-examples --bin compiled`; an ordinary user can, too, where the machine allows user namespaces.

use std::{error::Error, process::ExitCode, sync::Arc};

use chaos_core::{
    injector::Injector,
    journal::FileJournal,
    model::Experiment,
    outcome::{self, Verdict},
    plan::plan,
    report,
    run::{Control, RunEvent, Runner, What},
};
use chaos_examples::roles;
use chaos_lab::{LabEnvironment, LabInventory};
use chaos_probes::StandardProbers;

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
    let compiled = chaos_dsl::compile("shop.chaos", TEXT, &["lost=10%".to_owned()]);
    if compiled.is_ok() {
        return Ok(compiled.experiments);
    }
    let told = compiled.diagnostics.iter().map(|diagnostic| {
        let record = diagnostic.record(&compiled.sources);
        let place = record.primary.and_then(|label| Some((label.file?, label.start?)));
        let place = place.map(|(file, at)| format!("{file}:{}:{}: ", at.line, at.column));
        format!("{}{}", place.unwrap_or_default(), diagnostic.message)
    });
    Err(told.collect::<Vec<_>>().join("\n").into())
}

/// Plans, runs and reports one experiment.
async fn run(experiment: &Experiment) -> Result<Verdict, Box<dyn Error>> {
    let lab = experiment.lab().ok_or("this program runs experiments in labs only")?;
    let injector = Arc::new(roles::injector()?);
    let injectors: [Arc<dyn Injector>; 1] = [injector.clone()];
    let plan = plan(experiment, &LabInventory::new(lab)?, &injectors, 7).await?;
    let folder = tempfile::tempdir()?;
    let journal = FileJournal::create(folder.path().join("journal"))?;
    let runner = Runner::builder()
        .environment(Arc::new(LabEnvironment::new(lab.clone(), roles::programs()?)))
        .injector(injector.clone())
        .probers(Arc::new(StandardProbers::new()))
        .journal(Arc::new(journal))
        .on_event(Arc::new(|event: &RunEvent| {
            if let What::Part { id, state, .. } = &event.what {
                println!("{:6.2} s  {id}: {state:?}", event.at as f64 / 1e9);
            }
        }))
        .build()?;
    let finished = runner.run(&plan, Control::new()).await;
    injector.close().await?;
    print!("{}", report::text::render(&finished.record));
    Ok(outcome::result(&finished.record).verdict)
}

fn main() -> ExitCode {
    if let Some(exit) = roles::play() {
        return exit;
    }
    let outcome = roles::become_able().and_then(|()| {
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
