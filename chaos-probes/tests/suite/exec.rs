//! Commands: their success, their number, and that nothing of them is left.

use std::{sync::Arc, time::Duration};

use chaos_core::{
    model::{
        Probe, ProbeKind, Unit,
        probe::{Condition, Scale},
    },
    probe::{Observation, Outcome, Prober, Probers},
};
use chaos_probes::StandardProbers;

use crate::world::{here, probe, refused};

fn exec(words: &[&str]) -> Probe {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    probe(ProbeKind::Exec { words, scale: Scale::PLAIN })
}

async fn prober(probe: &Probe) -> Arc<dyn Prober> {
    StandardProbers::new().allow_exec().open(probe, &here(&[], &[])).await.unwrap().each().unwrap()
}

async fn once(probe: &Probe) -> Observation {
    prober(probe).await.once().await
}

#[tokio::test]
async fn nothing_is_run_unless_it_is_allowed() {
    let error = refused(&exec(&["true"]), &here(&[], &[])).await;
    assert_eq!(error, "the probe `p` runs a command, which needs your permission");
}

#[tokio::test]
async fn a_command_succeeds_and_prints_a_number() {
    let seen = once(&exec(&["echo", "depth:", "12.5 of 20"])).await;
    assert_eq!((seen.outcome, seen.value), (Outcome::Ok, Some(12.5)), "{seen:?}");
    let mut scaled = exec(&["echo", "250"]);
    let ProbeKind::Exec { scale, .. } = &mut scaled.kind else { unreachable!() };
    *scale = Scale { unit: Unit::Seconds, factor: 1e-3 };
    assert_eq!(once(&scaled).await.value, Some(0.25));
    // No shell: what a shell would do something with is a word like any other.
    assert_eq!(once(&exec(&["echo", "$((1+1))", ";", "7"])).await.value, Some(7.0));
}

#[tokio::test]
async fn what_fails_says_how() {
    let why = |seen: Observation| (seen.outcome, seen.error.map_or_else(String::new, |e| e.to_string()));
    assert_eq!(why(once(&exec(&["false"])).await), (Outcome::Failed, "exit 1".into()));
    assert_eq!(
        why(once(&exec(&["sh", "-c", "kill -9 $$"])).await),
        (Outcome::Failed, "ended by a signal".into())
    );
    let absent = why(once(&exec(&["/nonexistent/program"])).await);
    assert_eq!(
        absent,
        (Outcome::NotRun, "`/nonexistent/program` cannot be started: entity not found".into())
    );
    let mut judged = exec(&["echo", "all well"]);
    judged.ok_when = Some(Condition::OutputContains("well".into()));
    assert_eq!(once(&judged).await.outcome, Outcome::Ok);
    judged.ok_when = Some(Condition::OutputContains("bad".into()));
    assert_eq!(why(once(&judged).await), (Outcome::Failed, "output does not contain `bad`".into()));
    let mut other = exec(&["sh", "-c", "exit 3"]);
    other.ok_when = Some(Condition::Exit(3));
    assert_eq!(once(&other).await.outcome, Outcome::Ok);
}

fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name in parentheses stands the state; a zombie lives no more.
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn giving_up_kills_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", file.display());
    let hanging = prober(&exec(&["sh", "-c", &script])).await;
    let running = tokio::spawn(async move { hanging.once().await });
    until("the command runs", || file.exists()).await;
    let pids = std::fs::read_to_string(&file).unwrap();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.iter().filter(|pid| lives(pid)).count(), 2);
    running.abort();
    until("the whole group ends", || !pids.iter().any(|pid| lives(pid))).await;
}
