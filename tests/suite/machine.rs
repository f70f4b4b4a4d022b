//! Experiments on a network namespace of this machine, which is somebody else's and stays.

use chaos_tests::{Chaos, Ended, Network, World, root_or_skip, scenario::machine, slot};

const LATENCY: &str = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";

/// Runs an experiment on a namespace, and checks that it is exactly the same afterwards.
fn run(changes: &[(&str, &str)], options: &[&str]) -> Option<Ended> {
    if !root_or_skip() {
        return None;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let network = Network::new();
    let named = [network.name.as_str()];
    let before = World::of(&chaos, &named);
    let file = chaos.file("machine.chaos", machine(&network.name, changes));
    let ended = chaos.call(&[&["run", &file], options].concat());
    before.assert_same(&chaos, &named);
    if let Some(0 | 1 | 3 | 4) = ended.code {
        let record = ended.record();
        assert_eq!(record["restoration"]["state"], "restored", "{ended}");
        let parts = record["parts"].as_array().expect("a record has parts");
        assert!(!parts.is_empty() && parts.iter().all(|part| part["state"] == "reverted"), "{record}");
    }
    Some(ended)
}

#[test]
fn delay() {
    let Some(ended) = run(&[], &[]) else { return };
    ended.exits(0).says("far on netns");
}

#[test]
fn loss() {
    // A lost packet of an open connection comes again after 200 ms.
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "loss 20% on box"),
            // So many that one is free while others wait, and time for the last ones to get through.
            ("reuse 20", "reuse 300"),
            ("watch    2s", "watch    4s"),
            ("p50(get.latency) >= 15ms during", "p95(get.latency) >= 100ms during"),
            ("timeout 2s", "timeout 10s"),
        ],
        &[],
    ) else {
        return;
    };
    ended.exits(0).says("loss 20%");
}

#[test]
fn bandwidth() {
    // 100 answers and their acknowledgements a second take some 100 kbit/s, so a queue builds up.
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "bandwidth 64kbit burst 2kb on box"),
            ("    \"nothing is lost\": success(get) >= 90% during far\n", ""),
            ("p50(get.latency) >= 15ms during far observed", "p95(get.latency) >= 20ms during far observed"),
            ("timeout 2s", "timeout 10s"),
        ],
        &[],
    ) else {
        return;
    };
    ended.exits(0).says("bandwidth 64kbit");
}

#[test]
fn bandwidth_by_the_queue_of_the_kernel() {
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "bandwidth 64kbit burst 2kb on box"),
            ("    \"nothing is lost\": success(get) >= 90% during far\n", ""),
            ("p50(get.latency) >= 15ms during far observed", "p95(get.latency) >= 20ms during far observed"),
            ("timeout 2s", "timeout 10s"),
        ],
        &["--backend", "tbf"],
    ) else {
        return;
    };
    ended.exits(0).says("by tbf").says("agent-held");
}

#[test]
fn block_that_drops() {
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "block box to 10.88.0.2:8080 drop"),
            ("success(get) >= 90% during far", "success(get) <= 50% during far"),
            ("timeout 2s", "timeout 300ms"),
            (LATENCY, ""),
        ],
        &[],
    ) else {
        return;
    };
    ended.exits(0).says("block");
}

#[test]
fn block_that_rejects() {
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "block box to 10.88.0.2:8080 reject"),
            ("success(get) >= 90% during far", "success(get) <= 50% during far"),
            (LATENCY, ""),
        ],
        &[],
    ) else {
        return;
    };
    ended.exits(0).says("reject");
}

#[test]
fn several_faults_at_once() {
    let Some(ended) = run(
        &[
            ("delay 20ms on box", "delay 20ms jitter 5ms and loss 2% and duplicate 1% on box"),
            ("reuse 20", "reuse 300"),
            ("timeout 2s", "timeout 10s"),
        ],
        &[],
    ) else {
        return;
    };
    ended.exits(0).says("loss 2%").says("duplicate 1%").says("delay 20ms jitter 5ms");
}

#[test]
fn a_namespace_that_is_not_there_is_refused() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let file = chaos.file("nowhere.chaos", machine("chaos-e2e-nowhere", &[]));
    for command in ["plan", "run"] {
        chaos.call(&[command, &file]).exits(5).says("chaos-e2e-nowhere").says("/run/netns");
    }
    assert!(!chaos.out().exists(), "nothing was begun");
}

#[test]
fn a_plan_of_this_machine_touches_nothing() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let network = Network::new();
    let named = [network.name.as_str()];
    let before = World::of(&chaos, &named);
    for fault in
        ["delay 20ms on box", "bandwidth 64kbit on box", "block box to 10.88.0.2 reject", "loss 5% on box"]
    {
        let file = chaos
            .file("machine.chaos", machine(&network.name, &[("delay 20ms on box", fault), (LATENCY, "")]));
        chaos.call(&["plan", &file]).exits(0).says(&network.name);
    }
    assert_eq!(before.differences(&World::of(&chaos, &named)), "");
}
