//! A harness that brings an injector and a prober of its own, and a text that names both.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use chaos::{
    World,
    faults::{MachineEnvironment, MachineInventory},
    probes::StandardProbers,
};
use chaos_core::{
    injector::{Ask, Hold, Injector, Measured, Offer, Undo, Unit},
    journal::FileJournal,
    model::{Action, Experiment, Probe},
    outcome::{self, Verdict},
    place::Place,
    plan::{self, Plan, PlanError},
    probe::{Observation, Opened, Prober, Probers},
    report,
    run::{Control, Restoration, Runner},
    trouble::Trouble,
};

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

/// What this harness tests: a queue, which can be made slow.
#[derive(Debug, Default)]
struct Queue {
    /// By how many milliseconds.
    slow: AtomicU64,
    /// How many orders it took while it was.
    met: AtomicU64,
}

impl Queue {
    async fn order(&self) {
        let slow = self.slow.load(SeqCst);
        self.met.fetch_add(u64::from(slow > 0), SeqCst);
        tokio::time::sleep(Duration::from_millis(slow)).await;
    }
}

/// Opens the probe `custom "queue"`, and is it.
#[derive(Clone)]
struct Orders(Arc<Queue>);

#[async_trait]
impl Prober for Orders {
    async fn once(&self) -> Observation {
        self.0.order().await;
        Observation::ok()
    }
}

#[async_trait]
impl Probers for Orders {
    async fn open(&self, _probe: &Probe, _place: &Place) -> Result<Opened, Trouble> {
        Ok(Opened::Each(Arc::new(self.clone())))
    }
}

/// Does the fault `custom "queue"`.
struct Slow(Arc<Queue>);

fn denied(message: String, help: &str) -> Trouble {
    Trouble::unable(message).with_help(help)
}

#[async_trait]
impl Injector for Slow {
    fn name(&self) -> &str {
        "queue"
    }

    fn handles(&self, action: &Action) -> bool {
        matches!(action, Action::Custom(_))
    }

    async fn offer(&self, ask: &Ask) -> Result<Vec<Offer>, Trouble> {
        let custom =
            ask.work.custom().ok_or_else(|| denied("it does nothing else".into(), "write `custom`"))?;
        if let Some(unknown) = custom.unknown(&["by", "mode"]) {
            return Err(denied(format!("there is no setting `{}`", unknown.key), "there is `by` and `mode`"));
        }
        let by = custom.setting("by").and_then(|value| value.as_quantity()?.as_duration());
        let by = by.ok_or_else(|| denied("it has to know by how much".into(), "write `by 100ms`"))?;
        Ok(vec![Offer {
            backend: "queue".into(),
            ask: ask.clone(),
            // The queue is part of this process.
            hold: Hold::Environment,
            does: vec![format!("let every order take {by:?} longer")],
            undoes: "let orders take as long as before".into(),
            because: Vec::new(),
        }])
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let before = self.0.slow.load(SeqCst);
        Ok(Undo {
            id: id.into(),
            injector: self.name().into(),
            offer: offer.clone(),
            site: place.site.clone(),
            deadline,
            state: before.into(),
            line: format!("let orders take {before} ms longer, as before"),
        })
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let custom = undo.offer.ask.work.custom();
        let by = custom.and_then(|custom| custom.setting("by")?.as_quantity()?.as_duration());
        let by = by.ok_or_else(|| Trouble::unable("it has to know by how much"))?;
        self.0.slow.store(by.as_millis() as u64, SeqCst);
        Ok(())
    }

    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let before = undo.state.as_u64().ok_or_else(|| Trouble::unable("the record holds no number"))?;
        self.0.slow.store(before, SeqCst);
        Ok(())
    }

    async fn effect(&self, _undo: &Undo) -> Result<Measured, Trouble> {
        let met = self.0.met.load(SeqCst);
        let line = format!("{met} orders took longer");
        Ok(Measured { met, changed: met, line, ..Measured::nothing(Unit::Requests) })
    }
}

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
