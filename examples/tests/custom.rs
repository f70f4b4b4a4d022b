//! A harness that brings an injector and a prober of its own, and a text that names both.

use std::{
    error::Error,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use chaos::{
    World,
    faults::{MachineEnvironment, MachineInventory},
    probes::StandardProbers,
};
use chaos_core::{
    injector::Injector,
    journal::FileJournal,
    model::Experiment,
    outcome::{self, Verdict},
    plan::{self, Plan, PlanError},
    report,
    run::{Control, Restoration, Runner},
};
use chaos_examples::queue::{Orders, Queue, Slow};

const TEXT: &str = r#"
param stall = 40ms in 0ms .. 1s

experiment "a slow queue" {
  owner      "team-shop"
  hypothesis "a queue that takes longer loses no order"
  blast radius { at most 1 host }

  probe order = custom "queue" { rate 50/s }

  steady state over 1s { success(order) >= 99% }

  fault slow = custom "queue" on here {
    by   stall
    mode steady
    proven by p50(order.latency) >= baseline + 20ms
  }

  timeline {
    baseline 1s
    inject   slow
    hold     3s
    rollback
    watch    2s
  }

  abort when success(order, over 1s) < 50% for 500ms

  expect {
    "no order is lost": success(order) >= 90% during slow
    "it is slow":       p50(order.latency) >= 30ms during slow
    "it is over":       p50(order.latency, over 500ms) <= 20ms within 1s after rollback
  }
}
"#;

fn experiment(text: &str) -> Experiment {
    let mut compiled = chaos::dsl::compile("queue.chaos", text, &[]);
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    compiled.experiments.remove(0)
}

async fn plan(text: &str, injectors: &[Arc<dyn Injector>]) -> Result<Plan, PlanError> {
    plan::plan(&experiment(text), &MachineInventory, injectors, 7).await
}

#[tokio::test]
async fn a_text_names_what_the_harness_brings() -> Result<(), Box<dyn Error>> {
    let queue = Arc::new(Queue::default());
    let injector: Arc<dyn Injector> = Arc::new(Slow(queue.clone()));
    let plan = plan(TEXT, std::slice::from_ref(&injector)).await?;
    let shown = report::plan::render(&plan);
    assert!(shown.contains("let every order take 40ms longer"), "{shown}");
    let folder = tempfile::tempdir()?;
    let runner = Runner::builder()
        .inventory(Arc::new(MachineInventory))
        .environment(Arc::new(MachineEnvironment))
        .injector(injector)
        .probers(Arc::new(StandardProbers::new().with("queue", Arc::new(Orders(queue.clone())))))
        .journal(Arc::new(FileJournal::create(folder.path().join("journal"))?))
        .build()?;
    let finished = runner.run(&plan, Control::new()).await;
    let text = report::text::render(&finished.record);
    println!("{text}");
    assert_eq!(finished.record.restoration, Restoration::Restored);
    assert_eq!(outcome::result(&finished.record).verdict, Verdict::Passed);
    assert!(text.contains("custom \"queue\" { by 40ms, mode \"steady\" }"), "{text}");
    assert!(text.contains("orders took longer"), "{text}");
    assert_eq!(queue.slow.load(SeqCst), 0);
    Ok(())
}

#[tokio::test]
async fn an_injector_refuses_settings_that_it_does_not_know() {
    let injector: Arc<dyn Injector> = Arc::new(Slow(Arc::default()));
    let text = TEXT.replace("mode steady", "depth 3");
    let error = plan(&text, &[injector]).await.unwrap_err();
    assert_eq!(error.to_string(), "`slow` cannot be injected on this machine: there is no setting `depth`");
    assert_eq!(error.help().unwrap(), "there is `by` and `mode`");
}

#[tokio::test]
async fn without_its_parts_the_plan_says_which_there_are() {
    let experiment = experiment(TEXT);
    let world = World::of(&experiment).unwrap();
    let error = world.plan(&experiment, 7).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no prober `queue`");
    assert_eq!(error.help().unwrap(), "the harness has registered none");
    let error = plan(TEXT, &[]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`slow` cannot be injected on this machine: no injector is named `queue`, and none was given to the runner"
    );
}
