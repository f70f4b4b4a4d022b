//! A run is seen, stopped and restored from machines that know nothing of it.

use std::fs;

use chaos_tests::{Chaos, Running, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::shop::Shop;

/// A run in its hold, and a machine that knows the cluster by another name.
struct Stage {
    shop: Shop,
    pod: String,
    before: String,
    running: Option<Running>,
    elsewhere: Chaos,
}

const CONTEXT: &str = "as-known-elsewhere";

impl Stage {
    fn or_skip() -> Option<Stage> {
        Some(Stage::on(Shop::or_skip()?))
    }

    fn on(shop: Shop) -> Stage {
        let pod = shop.pod("client");
        let before = shop.network(&pod);
        let file = shop.scenario("delay.chaos", &[("hold     10s", "hold     90s")]);
        let mut running = shop.start(&["run", &file]);
        running.until_stage("hold");
        let elsewhere = Chaos::new();
        let config = shop.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&config).expect("kubectl prints JSON");
        config["contexts"][0]["name"] = CONTEXT.into();
        config["current-context"] = CONTEXT.into();
        elsewhere.file("kubeconfig", config.to_string());
        let text = fs::read_to_string(shop.chaos.path().join(&file)).expect("the file is there");
        let context = shop.kubectl(&["config", "current-context"]);
        elsewhere.file("delay.chaos", text.replace(&format!("\"{context}\""), &format!("\"{CONTEXT}\"")));
        Stage { shop, pod, before, running: Some(running), elsewhere }
    }

    fn run(&self) -> String {
        self.running.as_ref().map(Running::run).expect("it runs")
    }

    /// Kills the runner, and its agent where this machine can.
    fn killed(&mut self) {
        let running = self.running.take().expect("it runs");
        if let Some(agent) = self.shop.agent_process(&self.pod) {
            nix::sys::signal::kill(agent, Signal::SIGKILL).expect("the agent is there");
        }
        running.signal(Signal::SIGKILL);
        running.end();
    }

    /// Starts the command on the other machine.
    fn there(&self, arguments: &[&str]) -> Running {
        let mut command = self.elsewhere.command(arguments);
        command.env("KUBECONFIG", self.elsewhere.path().join("kubeconfig"));
        self.elsewhere.start_prepared(command, arguments.join(" "))
    }

    /// Returns the pod's annotations of this program.
    fn announced(&self) -> Vec<Value> {
        let pod = self.shop.kubectl(&["-n", &self.shop.namespace, "get", "pod", &self.pod, "-o", "json"]);
        let pod: Value = serde_json::from_str(&pod).expect("kubectl prints JSON");
        let all = pod["metadata"]["annotations"].as_object().into_iter().flatten();
        let ours = all.filter(|(key, _)| key.starts_with("chaos-runner/"));
        ours.map(|(_, value)| serde_json::from_str(value.as_str().unwrap_or_default()).expect("it is JSON"))
            .collect()
    }

    fn leases(&self) -> Vec<Value> {
        let leases = self.shop.kubectl(&["-n", &self.shop.namespace, "get", "leases", "-o", "json"]);
        let leases: Value = serde_json::from_str(&leases).expect("kubectl prints JSON");
        leases["items"].as_array().cloned().unwrap_or_default()
    }

    /// Checks that nothing of the run is left, in the pod or around it.
    fn is_clean(&self) {
        assert_eq!(self.shop.network(&self.pod), self.before);
        assert!(self.announced().is_empty(), "{:?}", self.announced());
        assert!(self.leases().is_empty(), "{:?}", self.leases());
    }
}

#[test]
fn a_run_is_announced_on_its_pod_and_stopped_from_another_machine() {
    let Some(mut stage) = Stage::or_skip() else { return };
    let run = stage.run();
    let [notice] = &*stage.announced() else { panic!("{:?}", stage.announced()) };
    assert_eq!((notice["run"].as_str(), notice["owner"].as_str()), (Some(&*run), Some("team-shop")));
    assert!(notice["fault"].as_str().is_some_and(|fault| fault.contains("delay 50ms")), "{notice}");
    let context = stage.shop.kubectl(&["config", "current-context"]);
    assert_eq!(notice["stop"], format!("chaos stop {run} --cluster {context}"));
    assert!(notice["ends"].as_str().is_some_and(|at| at > "2026"), "{notice}");
    let [lease] = &*stage.leases() else { panic!("{:?}", stage.leases()) };
    assert_eq!(lease["spec"]["holderIdentity"], *run);

    // Whoever is alive is not restored.
    let refused = stage.there(&["restore", &run, "--cluster", CONTEXT]).end().exits(5);
    refused.says("still running").says(&format!("chaos stop {run} --cluster {CONTEXT}"));
    assert!(stage.shop.request(&stage.pod, "web").is_some_and(|took| took >= 0.05), "the delay is gone");
    stage
        .there(&["stop", "no-such-run", "--cluster", CONTEXT])
        .end()
        .exits(2)
        .says("no run `no-such-run`")
        .says(&run);

    stage.there(&["stop", &run, "--cluster", CONTEXT]).end().exits(0).says("of team-shop");
    let ended = stage.running.take().expect("it runs").end().exits(4);
    assert_eq!(ended.record()["restoration"]["state"], "restored", "{ended}");
    stage.is_clean();
}

#[test]
fn what_a_killed_run_leaves_is_restored_from_another_machine() {
    let Some(mut stage) = Stage::or_skip() else { return };
    let run = stage.run();
    stage.killed();
    assert_eq!(stage.announced().len(), 1, "a killed run tidies nothing");
    let restored = stage.there(&["restore", "--cluster", CONTEXT, "--namespace", &stage.shop.namespace]);
    restored.end().exits(0).says(&format!("{run}: restored")).says("delay 50ms");
    stage.is_clean();
    // On its own machine as well, which has not heard of it.
    stage.shop.start(&["restore"]).end().exits(0);
    stage.is_clean();
    let again = stage.there(&["restore", "--cluster", CONTEXT, "--namespace", &stage.shop.namespace]);
    again.end().exits(0).says("nothing to do");
}

#[test]
fn a_record_that_was_forged_is_not_believed() {
    let Some(mut stage) = Stage::or_skip() else { return };
    let run = stage.run();
    stage.killed();
    let [lease] = &*stage.leases() else { panic!("{:?}", stage.leases()) };
    let annotations = lease["metadata"]["annotations"].as_object().expect("it has annotations");
    let (key, debt) = annotations.iter().find(|(key, _)| key.contains("/debt-")).expect("something is owed");
    let name = lease["metadata"]["name"].as_str().expect("it has a name");
    let debt = debt.as_str().unwrap_or_default();
    let write = |debt: &str| {
        let value = format!("{key}={debt}");
        stage.shop.kubectl(&["-n", &stage.shop.namespace, "annotate", "lease", name, "--overwrite", &value]);
    };
    // What is to be reverted in the pod would be reverted on the machine of whoever restores.
    let forged = debt.replace("\"injector\":\"pods\"", "\"injector\":\"network\"");
    assert_ne!(forged, debt);
    write(&forged);
    let refused = stage.there(&["restore", &run, "--cluster", CONTEXT]).end().exits(7);
    refused.says("is not believed: it is to be reverted by `network`, not in the cluster");
    write(debt);
    stage.there(&["restore", &run, "--cluster", CONTEXT]).end().exits(0).says("restored");
    stage.is_clean();
}

#[test]
fn a_killed_run_is_restored_on_its_own_machine_with_all_that_was_written_down() {
    let Some(mut stage) = Stage::or_skip() else { return };
    stage.killed();
    stage.shop.start(&["restore"]).end().exits(0);
    stage.is_clean();
}

#[test]
fn a_dead_run_of_which_something_stands_is_in_the_way_until_it_is_restored() {
    let Some(mut stage) = Stage::or_skip() else { return };
    let run = stage.run();
    stage.killed();
    if stage.shop.network(&stage.pod) == stage.before {
        println!("skipped: nothing outlives both runner and agent here");
        return;
    }
    let refused = stage.there(&["run", "delay.chaos"]).end().exits(5);
    let refused = refused.says(&format!("run `{run}` of team-shop, which is no longer alive"));
    refused.says(&format!("chaos restore {run} --cluster {CONTEXT}"));
    stage.there(&["restore", &run, "--cluster", CONTEXT]).end().exits(0).says("restored");
    stage.is_clean();
}

#[test]
fn a_dead_run_of_which_nothing_stands_gives_way() {
    let Some(mut stage) = Stage::or_skip() else { return };
    let run = stage.run();
    let running = stage.running.take().expect("it runs");
    running.signal(Signal::SIGKILL);
    running.end();
    assert!(wait_until(|| stage.shop.network(&stage.pod) == stage.before), "the fault outlives its runner");
    let mut next = stage.there(&["run", "delay.chaos"]);
    next.until_stage("baseline");
    let next_run = next.run();
    assert_ne!(next_run, run);
    let [lease] = &*stage.leases() else { panic!("{:?}", stage.leases()) };
    assert_eq!(lease["spec"]["holderIdentity"], *next_run);
    next.signal(Signal::SIGTERM);
    next.end().exits(4);
    stage.is_clean();
}

#[test]
fn all_runs_are_stopped_and_none_begins_until_that_is_released() {
    let Some(shop) = Shop::alone_or_skip() else { return };
    let mut stage = Stage::on(shop);
    let run = stage.run();
    let stopped = stage.there(&["stop", "--all", "--cluster", CONTEXT]).end().exits(0);
    stopped.says(&format!("asked `{run}`")).says("new runs are blocked");
    stage.running.take().expect("it runs").end().exits(4);
    stage.is_clean();
    let refused = stage.there(&["run", "delay.chaos"]).end();
    stage.there(&["stop", "--release", "--cluster", CONTEXT]).end().exits(0).says("may start again");
    let refused = refused.exits(5).says("new ones are blocked until that is released");
    refused.says(&format!("chaos stop --release --cluster {CONTEXT}"));
    assert_eq!(stage.shop.agents(&stage.pod).len(), 1, "the pod was touched");
    stage.there(&["stop", "--release", "--cluster", CONTEXT]).end().exits(0).says("nothing was blocked");
    let mut next = stage.there(&["run", "delay.chaos"]);
    next.until_stage("baseline");
    next.signal(Signal::SIGTERM);
    next.end().exits(4);
}
