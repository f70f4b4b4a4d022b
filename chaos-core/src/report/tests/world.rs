//! Reports of records that real runs in a scripted world have left, judged by the standard judge.

use std::{sync::Arc, time::Duration};

use crate::{
    outcome::{Verdict, result},
    report::{json, junit, markdown, plan, text},
    run::{Control, Policy, Record, Runner},
    testing::{self, Door, Mishap, Reply, World},
};

async fn run(world: &World) -> Record {
    let plan = testing::plan(&testing::experiment(), world).await.unwrap();
    assert!(plan::render(&plan).contains("inject second"));
    let world = Arc::new(world.clone());
    let policy = Policy { revert_patience: Duration::from_secs(2), ..Policy::default() };
    let runner = Runner::builder()
        .inventory(world.clone())
        .environment(world.clone())
        .injector(world.clone())
        .probers(world.clone())
        .journal(world.clone())
        .policy(policy)
        .restore_command("chaos restore 1")
        .build()
        .unwrap();
    let record = runner.run(&plan, Control::new()).await.record;
    everywhere(&record);
    record
}

/// Every report speaks of the same verdict.
fn everywhere(record: &Record) {
    let verdict = result(record).verdict;
    let words = verdict.words().to_uppercase();
    assert!(text::render(record).starts_with(&words));
    assert!(markdown::render(record, None).lines().next().unwrap().contains(&words));
    let mut out = Vec::new();
    json::write(record, &mut out).unwrap();
    let read = json::read(std::str::from_utf8(&out).unwrap()).unwrap();
    super::document::assert_same(&read, record);
    let mut out = Vec::new();
    junit::write([record], &mut out).unwrap();
    let xml = String::from_utf8(out).unwrap();
    assert!(xml.contains(&format!(r#"name="verdict" value="{verdict}""#)));
    // How close it was is reported everywhere alike, where there is something to report.
    let overall = result(record);
    assert_eq!(
        overall.closest.is_some(),
        record.expectations.iter().any(|e| e.findings.iter().any(|f| f.normalised.is_some()))
    );
    if let Some(closest) = &overall.closest {
        let flat = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(text::render(record)).contains(&closest.sentence), "{}", text::render(record));
        assert!(markdown::render(record, None).contains(if closest.margin < 0.0 {
            "- worst miss: "
        } else {
            "- tightest: "
        }));
        assert!(xml.contains(r#"name="closest-call""#));
        assert_eq!(read.result.closest.as_ref().map(|c| &c.sentence), Some(&closest.sentence));
    }
    assert_eq!(xml.contains(r#"name="confidence""#), overall.confidence.is_some());
    let red = xml.contains("<failure ") || xml.contains("<error ");
    assert_eq!(red, verdict != Verdict::Passed, "{xml}");
}

#[tokio::test(start_paused = true)]
async fn a_good_run_passes() {
    let record = run(&World::new()).await;
    assert_eq!(result(&record).verdict, Verdict::Passed, "{}", text::render(&record));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_under_the_fault_fails() {
    let world = World::new();
    let requests = std::sync::atomic::AtomicU32::new(0);
    world.serve(move |in_place| {
        let n = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bad = in_place.iter().any(|p| p.starts_with("first")) && n.is_multiple_of(4);
        if bad { Reply::failed(Duration::from_millis(1)) } else { Reply::ok(Duration::from_millis(1)) }
    });
    let record = run(&world).await;
    assert_eq!(result(&record).verdict, Verdict::Failed, "{}", text::render(&record));
}

#[tokio::test(start_paused = true)]
async fn what_breaks_altogether_is_aborted() {
    let world = World::new();
    world.serve(|in_place| {
        let broken = in_place.iter().any(|p| p.starts_with("second"));
        if broken { Reply::failed(Duration::from_millis(1)) } else { Reply::ok(Duration::from_millis(1)) }
    });
    let record = run(&world).await;
    assert_eq!(result(&record).verdict, Verdict::Aborted, "{}", text::render(&record));
}

#[tokio::test(start_paused = true)]
async fn what_was_broken_before_is_refused() {
    let world = World::new();
    world.serve(|_| Reply::failed(Duration::from_millis(1)));
    let record = run(&world).await;
    assert_eq!(result(&record).verdict, Verdict::Refused, "{}", text::render(&record));
    assert!(text::render(&record).contains("success(get"), "{}", text::render(&record));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_met_nothing_is_inconclusive() {
    let world = World::new();
    world.meet(0);
    let record = run(&world).await;
    assert_eq!(result(&record).verdict, Verdict::Inconclusive, "{}", text::render(&record));
    assert!(text::render(&record).contains("matched no traffic"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_outranks_it_all() {
    let world = World::new();
    world.mishap(Door::Revert, 0..10_000, Mishap::Fail);
    let record = run(&world).await;
    assert_eq!(result(&record).verdict, Verdict::NotRestored, "{}", text::render(&record));
    assert!(text::render(&record).contains("finish it with: chaos restore 1"));
}
