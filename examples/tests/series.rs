//! A harness that makes many runs: the cells of a matrix, and the trials of a search for the breaking point.

use std::{error::Error, path::Path, sync::Arc};

use chaos::{Scenario, World, Worlds};
use chaos_core::{
    outcome::Verdict,
    report::{Format, Reports},
    search::Conclusion,
    series::{Series, matrix},
};
use chaos_examples::queue::{Orders, Queue, Slow};

/// A queue that nobody minds as long as an order takes less than 100 ms.
const EXPERIMENT: &str = r#"
experiment "a slow queue" {
  owner      "team-shop"
  hypothesis "nobody minds a queue that takes {stall} longer"
  blast radius { at most 1 host }

  probe order = custom "queue" { rate 50/s }

  steady state over 500ms { success(order) >= 99% }

  fault slow = custom "queue" on here { by stall }

  timeline {
    baseline 600ms
    inject   slow
    hold     1s
    rollback
    watch    600ms
  }

  abort when success(order, over 1s) < 50% for 500ms

  expect {
    "an order is quick": p50(order.latency) <= 100ms during slow observed
  }
}
"#;

/// Writes a file; returns it compiled, with worlds that hold a queue of their own.
fn scenario(folder: &Path, text: &str) -> (Scenario, Worlds) {
    let path = folder.join("queue.chaos");
    std::fs::write(&path, text).expect("there is room for a file");
    let scenario = Scenario::read(&path, &chaos::dsl::Given::default());
    assert!(scenario.compiled.is_ok(), "{:#?}", scenario.compiled.diagnostics);
    let worlds = Worlds::wired(|experiment| {
        let queue = Arc::new(Queue::default());
        World::builder()
            .injector(Arc::new(Slow(queue.clone())))
            .prober("queue", Arc::new(Orders(queue)))
            .build(experiment)
    });
    let worlds = worlds.sources(scenario.compiled.sources.clone());
    (scenario, worlds)
}

#[tokio::test]
async fn a_search_finds_where_the_queue_is_too_slow() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let text = format!("search stall in 0ms .. 400ms to within 80ms\n{EXPERIMENT}");
    let (scenario, worlds) = scenario(folder.path(), &text);
    let mut search = scenario.search(folder.path(), 7)?;
    let mut levels = Vec::new();
    search.drive(|level| scenario.at(level), &worlds, |_, trial| levels.push(trial.level)).await?;
    search.keep(Some("queue.chaos"))?;
    let record = search.record();
    let Some(Conclusion::Found { point, .. }) = &record.conclusion else { panic!("{record:#?}") };
    assert!((point.value - 0.1).abs() <= 0.08, "{point}: {levels:?}");
    for trial in &record.trials {
        let run = search.folder().join(trial.run.as_ref().expect("every trial was a run"));
        assert!(run.join("record.json").is_file(), "{}", run.display());
        assert!(run.join("scenario/queue.chaos").is_file());
        // A trial that does not hold is not a failure of the search, and nothing in its folder says so to a CI system.
        let xml =
            std::fs::read_dir(&run)?.flatten().any(|file| file.path().extension() == Some("xml".as_ref()));
        assert!(!xml, "{}", run.display());
    }
    let junit = std::fs::read_to_string(search.folder().join("junit.xml"))?;
    assert!(junit.contains("failures=\"0\"") && junit.contains("errors=\"0\""), "{junit}");
    // The file must be the same for all trials.
    std::fs::write(&scenario.path, text.replace("100ms", "50ms"))?;
    let error = scenario.at(*point).expect_err("it is another file now");
    assert_eq!(error.to_string(), "the file was changed while it was searched");
    Ok(())
}

#[tokio::test]
async fn a_matrix_has_one_table_of_its_cells() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let text = format!("each stall in [20ms, 200ms] {{\n{EXPERIMENT}}}\n");
    let (scenario, worlds) = scenario(folder.path(), &text);
    let out = folder.path().join("nightly");
    let (table, runs, kept) = matrix(&scenario.compiled.experiments, &out, 7, None, &worlds).await;
    kept?;
    let verdicts: Vec<Verdict> = table.cells.iter().map(|cell| cell.verdict).collect();
    assert_eq!(verdicts, [Verdict::Passed, Verdict::Failed]);
    for cell in &table.cells {
        assert!(out.join(&cell.run).join("junit.xml").is_file());
    }
    // Every format of the table, of a matrix as of anything else.
    let series = Series::Matrix(Box::new(table), runs.ran);
    let junit = Format::named("junit").expect("it is in the table of formats");
    let text = junit.document(&Reports { all: series.reported(None), several: false })?;
    assert_eq!(text, std::fs::read_to_string(out.join("junit.xml"))?);
    Ok(())
}
