//! A fault is watched while it holds: what others take away of it, and a runner that stood still, end the run, and no claim
//! passes over a fault that was not there.

use std::time::Duration;

use chaos_tests::{Chaos, Ended, Network, is_stage, root_or_skip, scenario::machine, slot, without_tcx};
use nix::sys::signal::Signal;

const LATENCY: (&str, &str) = ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", "");
const LONGER: (&str, &str) = ("hold     3s", "hold     12s");

/// Runs an experiment on the box, in whose hold something is done to the fault after a second.
fn meddled(network: &Network, fault: &str, backend: &str, meddle: impl FnOnce(&Network)) -> Ended {
    let _slot = slot();
    let chaos = Chaos::new();
    let changes = [("delay 20ms on box", fault), LATENCY, LONGER];
    let file = chaos.file("machine.chaos", machine(&network.name, &changes));
    let mut running = chaos.start(&["run", &file, "--backend", backend]);
    assert!(
        running.reaches(|what| is_stage(what, "hold")),
        "the fault was never in place: {}",
        running.end()
    );
    std::thread::sleep(Duration::from_secs(1));
    meddle(network);
    let ended = running.end();
    chaos.call(&["restore"]).exits(0).says("nothing to do");
    ended
}

/// What is done to a fault, and what is said of it.
fn lost(fault: &str, backend: &str, line: &str, said: &str) {
    if !root_or_skip() {
        return;
    }
    let network = Network::new();
    let ended = meddled(&network, fault, backend, |network| network.in_box(line));
    // What it did until then is not forgotten with its counters.
    ended.exits(4).says(said).keeps_quiet_about("matched no traffic");
}

#[test]
fn a_queue_that_somebody_removes() {
    lost(
        "bandwidth 1mbit on box",
        "tbf",
        "tc qdisc del dev eth0 root",
        "its queues on interface `eth0` were removed",
    );
}

#[test]
fn a_queue_that_somebody_replaces() {
    let replace = "tc qdisc replace dev eth0 root pfifo limit 100";
    lost("bandwidth 1mbit on box", "tbf", replace, "there is `pfifo");
}

#[test]
fn a_queue_that_somebody_sets_otherwise() {
    let change =
        "tc qdisc change dev eth0 parent c4a0:4 handle c4a1: tbf rate 10gbit burst 10mb latency 50ms";
    lost("bandwidth 1mbit on box", "tbf", change, "its queue on interface `eth0` was changed");
}

#[test]
fn the_filters_that_somebody_removes() {
    let filters = "tc filter del dev eth0 parent c4a0:";
    lost(
        "bandwidth 1mbit on box",
        "tbf",
        filters,
        "the filters that lead packets into its queue on interface `eth0` were removed",
    );
}

#[test]
fn filters_that_somebody_puts_before_them() {
    let filter = "tc filter add dev eth0 parent c4a0: prio 1 protocol ip u32 match u32 0 0 flowid c4a0:1";
    lost("bandwidth 1mbit on box", "tbf", filter, "or others put before them");
}

/// The same with a forwarder behind filters, as on a kernel without programs on interfaces.
fn lost_behind_filters(meddle: impl FnOnce(&Network), said: &str) {
    if !root_or_skip() {
        return;
    }
    let network = Network::new();
    let _slot = slot();
    let chaos = Chaos::new();
    let changes = [("delay 20ms on box", "delay 30ms on box to 10.88.0.2"), LATENCY, LONGER];
    let file = chaos.file("machine.chaos", machine(&network.name, &changes));
    let arguments = ["run", file.as_str(), "--backend", "forwarder"];
    let mut command = chaos.command(&arguments);
    without_tcx(&mut command);
    let mut running = chaos.start_prepared(command, arguments.join(" "));
    assert!(
        running.reaches(|what| is_stage(what, "hold")),
        "the fault was never in place: {}",
        running.end()
    );
    std::thread::sleep(Duration::from_secs(1));
    meddle(&network);
    running.end().exits(4).says(said).keeps_quiet_about("matched no traffic");
    chaos.call(&["restore"]).exits(0).says("nothing to do");
}

#[test]
fn the_hook_of_a_forwarder_that_somebody_removes() {
    let removed = "the filters on interface `eth0` that lead packets into it were removed";
    lost_behind_filters(|network| network.in_box("tc qdisc del dev eth0 clsact"), removed);
}

#[test]
fn filters_that_somebody_puts_before_those_of_a_forwarder() {
    let filter = "tc filter add dev eth0 egress prio 1 protocol ip u32 match u32 0 0 flowid 1:1";
    lost_behind_filters(
        |network| network.in_box(filter),
        "others put filters on interface `eth0` before those",
    );
}

#[test]
fn the_interfaces_of_a_forwarder_that_somebody_removes() {
    let remove = |network: &Network| {
        let listed = std::process::Command::new("ip").args(["-n", &network.name, "-o", "link"]).output();
        let listed = String::from_utf8(listed.expect("`ip` runs").stdout).unwrap();
        let near = listed.split_whitespace().find(|word| word.starts_with("chaos") && word.contains('@'));
        let near = near.unwrap_or_else(|| panic!("there is no interface of a forwarder: {listed}"));
        network.in_box(&format!("ip link del {}", near.split('@').next().unwrap()));
    };
    lost_behind_filters(remove, "the interface that packets of `eth0` are led to was removed");
}

#[test]
fn an_interface_that_goes_away_under_a_program() {
    lost("loss 5% on box", "tcx", "ip link del eth0", "interface `eth0` is gone");
}

#[test]
fn an_interface_that_goes_away_under_a_forwarder() {
    lost("delay 20ms on box", "forwarder", "ip link del eth0", "interface `eth0` is gone");
}

#[test]
fn an_interface_that_goes_away_under_a_queue() {
    lost("bandwidth 1mbit on box", "tbf", "ip link del eth0", "interface `eth0` is gone");
}

#[test]
fn a_namespace_whose_name_is_deleted() {
    if !root_or_skip() {
        return;
    }
    for (fault, backend) in [("loss 5% on box", "tcx"), ("block box to 10.88.0.9 reject", "nft")] {
        let network = Network::new();
        let ended = meddled(&network, fault, backend, |network| {
            let delete = std::process::Command::new("ip").args(["netns", "del", &network.name]).status();
            assert!(delete.expect("`ip` runs").success());
        });
        assert_ne!(ended.code, Some(0), "{ended}");
        ended.says("its network namespace is gone from");
    }
}

#[test]
fn a_table_of_ours_survives_a_flush() {
    if !root_or_skip() {
        return;
    }
    let network = Network::new();
    let ended = meddled(&network, "block box to 10.88.0.2:9 reject", "nft", |network| {
        network.in_box("nft flush ruleset")
    });
    // It met nothing, which is another matter; it stood to the end.
    assert!(!ended.said("was deleted"), "{ended}");
    ended.exits(3).says("everything is as it was");
}

#[test]
fn a_runner_that_stood_still_claims_nothing() {
    if !root_or_skip() {
        return;
    }
    // In the middle of the hold, and past its end.
    for (hold, still) in [("hold     12s", 4), ("hold     3s", 6)] {
        let network = Network::new();
        let _slot = slot();
        let chaos = Chaos::new();
        let changes = [("delay 20ms on box", "loss 5% on box"), LATENCY, ("hold     3s", hold)];
        let file = chaos.file("machine.chaos", machine(&network.name, &changes));
        let mut running = chaos.start(&["run", &file]);
        assert!(running.reaches(|what| is_stage(what, "hold")), "the fault was never in place");
        std::thread::sleep(Duration::from_secs(1));
        running.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_secs(still));
        running.signal(Signal::SIGCONT);
        let ended = running.end();
        let record = ended.record();
        let kind = record["abort"]["kind"].as_str().unwrap_or_default().to_owned();
        assert!(matches!(kind.as_str(), "stalled" | "lost"), "{kind}: {ended}");
        ended.exits(4);
        chaos.call(&["restore"]).exits(0).says("nothing to do");
    }
}

#[test]
fn a_process_that_ends() {
    if !root_or_skip() {
        return;
    }
    let network = Network::new();
    let _slot = slot();
    let chaos = Chaos::new();
    // The namespace outlives it.
    let sitting = chaos.path().join("chaos-ends");
    std::fs::copy("/bin/sleep", &sitting).unwrap();
    let mut inside = std::process::Command::new("ip");
    let mut inside = inside.args(["netns", "exec", &network.name]).arg(&sitting).arg("120").spawn().unwrap();
    let netns = format!("netns \"{}\"", network.name);
    let text = machine(&network.name, &[("delay 20ms on box", "loss 5% on box"), LATENCY, LONGER])
        .replace(&netns, "process \"chaos-ends\"")
        .replace("at most 1 hosts", "at most 1 processes");
    let file = chaos.file("process.chaos", text);
    let mut running = chaos.start(&["run", &file]);
    let held = running.reaches(|what| is_stage(what, "hold"));
    std::thread::sleep(Duration::from_secs(1));
    inside.kill().unwrap();
    inside.wait().unwrap();
    let ended = running.end();
    assert!(held, "the fault was never in place: {ended}");
    ended.exits(4).says("process chaos-ends").says("is gone");
    chaos.call(&["restore"]).exits(0).says("nothing to do");
}
