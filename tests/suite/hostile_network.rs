//! Networks in which the obvious interface is not the one, or not the only one: every packet that was asked for meets the fault,
//! once, and what cannot be done is known when planning.

use chaos_tests::{
    Chaos, Ended, Network, World, is_stage, root_or_skip,
    scenario::{changed, machine},
    slot,
};

/// The server at 10.80.0.1, which the box reaches by routes.
const FAR_PROBE: (&str, &str) = ("http://10.88.0.2:8080/", "http://10.80.0.1:8080/");

/// Connections of their own, so that each one chooses its way and waits for it.
const FRESH: (&str, &str) =
    ("connections reuse 20, rate 100/s, timeout 2s", "connections fresh, rate 20/s, timeout 1s");

const SLOW: &str = "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n";
const WHOLE: &str = "    \"nothing is lost\": success(get) >= 90% during far\n";

/// Cut off whichever way its packets take.
const CUT: &str = "    \"cut off\": success(get) <= 5% during far observed\n";

/// Two namespaces, with two cables between them where asked for, and a server at 10.80.0.1 and 10.90.0.1 that is reached by routes.
fn network(cables: usize) -> Option<Network> {
    if !root_or_skip() {
        return None;
    }
    let network = Network::new();
    if cables == 2 {
        network.second_cable();
    }
    network.in_peer("ip address add 10.80.0.1/32 dev lo");
    network.in_peer("ip address add 10.90.0.1/32 dev lo");
    Some(network)
}

/// Runs an experiment on the box, and checks that the box is exactly the same afterwards.
fn run(network: &Network, changes: &[(&str, &str)], options: &[&str]) -> Ended {
    let _slot = slot();
    let chaos = Chaos::new();
    let named = [network.name.as_str()];
    let before = World::of(&chaos, &named);
    let file = chaos.file("machine.chaos", machine(&network.name, changes));
    let ended = chaos.call(&[&["run", &file], options].concat());
    before.assert_same(&chaos, &named);
    ended
}

/// Cuts the server at 10.80.0.1 off.
const LOSS: [(&str, &str); 5] =
    [FAR_PROBE, FRESH, ("delay 20ms on box", "loss 100% on box to 10.80.0.0/16"), (WHOLE, CUT), (SLOW, "")];

#[test]
fn a_more_specific_route_is_no_way_around() {
    let Some(network) = network(2) else { return };
    network.in_box("ip route add default via 10.88.0.2");
    network.in_box("ip route add 10.90.0.0/16 via 10.89.0.2");
    let probe = "  probe get = http GET \"http://10.80.0.1:8080/\" from box { connections fresh, rate 20/s, timeout 1s }";
    let other = probe.replace("get =", "other =").replace("10.80", "10.90");
    let cut = format!("{CUT}{}", CUT.replace("cut off", "second cut off").replace("get", "other"));
    let mut changes = LOSS;
    changes[2].1 = "loss 100% on box to 10.0.0.0/8";
    changes[3].1 = &cut;
    let both = format!("{probe}\n{other}");
    let ended = run(&network, &[&changes[..], &[(probe, &both)]].concat(), &[]);
    ended.exits(0).says("second cut off");
}

#[test]
fn spread_connections_are_all_caught() {
    let Some(network) = network(2) else { return };
    network.in_box("ip route add 10.80.0.0/16 nexthop via 10.88.0.2 nexthop via 10.89.0.2");
    network.in_box("sysctl -qw net.ipv4.fib_multipath_hash_policy=1");
    run(&network, &LOSS, &[]).exits(0);
}

#[test]
fn a_rule_for_some_ports_is_no_way_around() {
    let Some(network) = network(2) else { return };
    network.in_box("ip route add default via 10.88.0.2");
    network.in_box("ip route add default via 10.89.0.2 table 7");
    network.in_box("ip rule add ipproto tcp dport 8080 lookup 7");
    run(&network, &LOSS, &[]).exits(0);
}

#[test]
fn answers_that_come_another_way_are_caught() {
    let Some(network) = network(2) else { return };
    network.in_box("ip route add 10.80.0.0/16 via 10.88.0.2");
    // What the server sends to the box leaves by the other cable.
    network.in_peer("ip route replace 10.88.0.1/32 via 10.89.0.1 src 10.80.0.1");
    let mut changes = LOSS;
    changes[2].1 = "loss 100% on box from 10.80.0.0/16";
    run(&network, &changes, &[]).exits(0);
}

/// Runs an experiment in whose hold something changes after a second.
fn meanwhile(network: &Network, changes: &[(&str, &str)], change: impl FnOnce()) -> Ended {
    let _slot = slot();
    let chaos = Chaos::new();
    let file = chaos.file("machine.chaos", machine(&network.name, changes));
    let mut running = chaos.start(&["run", &file]);
    assert!(running.reaches(|what| is_stage(what, "hold")), "the fault was never in place");
    std::thread::sleep(std::time::Duration::from_secs(1));
    change();
    running.end()
}

#[test]
fn a_route_that_changes_while_the_fault_holds_is_followed() {
    let Some(network) = network(2) else { return };
    network.in_box("ip route add 10.80.0.0/16 via 10.88.0.2");
    let changes = [&LOSS[..], &[("hold     3s", "hold     8s")]].concat();
    meanwhile(&network, &changes, || network.in_box("ip route replace 10.80.0.0/16 via 10.89.0.2")).exits(0);
    network.in_box("tc qdisc show dev eth1");
}

#[test]
fn an_interface_that_appears_while_the_fault_holds_is_followed() {
    let Some(network) = network(1) else { return };
    network.in_box("ip route add 10.80.0.0/16 via 10.88.0.2");
    // By every mechanism that has to put something on the interface itself.
    let delay = [
        FAR_PROBE,
        FRESH,
        ("delay 20ms on box", "delay 200ms on box to 10.80.0.0/16"),
        (SLOW, "    \"still far\": p10(get.latency) >= 150ms during far observed\n"),
        ("hold     3s", "hold     8s"),
    ];
    meanwhile(&network, &delay, || {
        network.second_cable();
        network.in_box("ip route replace 10.80.0.0/16 via 10.89.0.2");
    })
    .exits(0);
}

#[test]
fn the_own_address_in_a_network_is_not_the_network() {
    let Some(network) = network(1) else { return };
    let delay = [FRESH, ("delay 20ms on box", "delay 20ms on box to 10.88.0.0/24")];
    run(&network, &delay, &[]).exits(0);
}

/// A delay of 40 ms that a connection meets once: each way has one packet of the box before the answer.
const ONCE: [(&str, &str); 4] = [
    ("delay 20ms on box", "delay 40ms on box"),
    (WHOLE, ""),
    (
        "http GET \"http://10.88.0.2:8080/\" from box { connections reuse 20, rate 100/s, timeout 2s }",
        "tcp \"10.98.0.2:8080\" from box { rate 20/s, timeout 1s }",
    ),
    (
        "p50(get.latency) >= 15ms during far observed",
        "p50(get.latency) >= baseline + 35ms during far observed\n    \"40ms, not 80\": p50(get.latency) <= baseline + 65ms during far observed",
    ),
];

#[test]
fn a_packet_in_a_vxlan_is_delayed_once() {
    let Some(network) = network(1) else { return };
    for (end, other) in [(1, 2), (2, 1)] {
        let at = |line: &str| match end {
            1 => network.in_box(line),
            _ => network.in_peer(line),
        };
        at(&format!("ip link add vx0 type vxlan id 42 remote 10.88.0.{other} dstport 4789 dev eth0"));
        at(&format!("ip address add 10.98.0.{end}/24 dev vx0"));
        at("ip link set vx0 addrgenmode none");
        at("ip link set vx0 up");
    }
    run(&network, &ONCE, &[]).exits(0);
    // Inside only, and outside and inside at once.
    let mut inside = ONCE;
    inside[0].1 = "delay 40ms on box to 10.98.0.2";
    run(&network, &inside, &[]).exits(0);
    inside[0].1 = "delay 40ms on box to 10.0.0.0/8";
    run(&network, &inside, &[]).exits(0);
}

#[test]
fn a_packet_of_a_macvlan_is_delayed_once() {
    let Some(network) = network(1) else { return };
    network.in_box("ip link add link eth0 name mv0 type macvlan mode bridge");
    network.in_box("ip address add 10.98.0.1/24 dev mv0");
    network.in_box("ip link set mv0 addrgenmode none");
    network.in_box("ip link set mv0 up");
    network.in_peer("ip address add 10.98.0.2/24 dev eth0");
    run(&network, &ONCE, &[]).exits(0);
}

#[test]
fn a_packet_of_a_bridge_is_delayed_once() {
    let Some(network) = network(1) else { return };
    network.in_box("ip link add br0 type bridge");
    network.in_box("ip link set br0 addrgenmode none");
    network.in_box("ip link set br0 up");
    network.in_box("ip link set eth0 master br0");
    network.in_box("ip address add 10.98.0.1/24 dev br0");
    network.in_peer("ip address add 10.98.0.2/24 dev eth0");
    run(&network, &ONCE, &[]).exits(0);
}

#[test]
fn a_tunnel_that_nobody_reads_is_no_obstacle() {
    let Some(network) = network(1) else { return };
    network.in_box("ip tuntap add tun0 mode tun");
    network.in_box("ip address add 10.99.0.1/24 dev tun0");
    network.in_box("ip link set tun0 up");
    run(&network, &[], &[]).exits(0);
}

#[test]
fn destinations_inside_and_outside_of_a_tunnel_are_refused_when_planning() {
    let Some(network) = network(1) else { return };
    network.in_box("ip route add default via 10.88.0.2");
    network.in_box("ip tuntap add tun0 mode tun");
    network.in_box("ip address add 10.99.0.1/24 dev tun0");
    network.in_box("ip link set tun0 up");
    let chaos = Chaos::new();
    let wide = machine(&network.name, &[("delay 20ms on box", "loss 5% on box to 10.0.0.0/8"), (SLOW, "")]);
    let file = chaos.file("machine.chaos", wide);
    chaos.call(&["plan", &file]).exits(5).says("`tun0`").says("`eth0`").says("twice");
}

#[test]
fn a_root_qdisc_of_somebody_else_is_left_alone_by_another_backend() {
    let Some(network) = network(1) else { return };
    network.in_box("tc qdisc add dev eth0 root tbf rate 1gbit burst 100k latency 50ms");
    run(&network, &[], &[]).exits(0).says("forwarder");
    let limit = [
        ("delay 20ms on box", "bandwidth 64kbit burst 2kb on box"),
        (WHOLE, ""),
        ("p50(get.latency) >= 15ms", "p95(get.latency) >= 20ms"),
        ("timeout 2s", "timeout 10s"),
    ];
    run(&network, &limit, &[]).exits(0).says("forwarder");
    let chaos = Chaos::new();
    let file = chaos.file("machine.chaos", machine(&network.name, &limit));
    chaos.call(&["plan", &file, "--backend", "tbf"]).exits(5).says("already has the root qdisc `tbf");
}

#[test]
fn what_stays_on_the_loopback_is_refused_when_planning() {
    let Some(network) = network(1) else { return };
    let chaos = Chaos::new();
    for own in ["127.0.0.1", "10.88.0.1"] {
        let fault = format!("delay 20ms on box to {own}");
        let file =
            chaos.file("machine.chaos", machine(&network.name, &[("delay 20ms on box", &fault), (SLOW, "")]));
        chaos.call(&["plan", &file, "--backend", "forwarder"]).exits(5).says("stays on the loopback");
    }
    let nowhere = [("delay 20ms on box", "delay 20ms on box to 203.0.113.9"), (SLOW, "")];
    let file = chaos.file("machine.chaos", machine(&network.name, &nowhere));
    chaos.call(&["plan", &file]).exits(5).says("no interface that is up leads to 203.0.113.9");
}

#[test]
fn a_limit_above_the_delay_of_a_link_is_planned_as_it_can_be_done() {
    if !root_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let lab = changed(
        chaos_tests::scenario::LAB,
        &[
            (
                "    host api { run http port 8080 }\n",
                "    host api { run http port 8080 }\n    link client <-> api delay 5ms\n",
            ),
            ("delay 20ms on api to client", "bandwidth 64kbit burst 2kb on api to client"),
            (WHOLE, ""),
            ("p50(get.latency) >= 15ms", "p95(get.latency) >= 20ms"),
            ("timeout 2s", "timeout 10s"),
        ],
    );
    let file = chaos.file("lab.chaos", lab);
    chaos.call(&["plan", &file]).exits(0);
    chaos.call(&["run", &file]).exits(0);
}
