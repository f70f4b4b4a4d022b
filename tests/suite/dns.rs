//! Faults of DNS: what clients see of them, what they leave alone, and what is left when somebody dies.

mod message;
mod named;

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use chaos_tests::{
    Chaos, Ended, Network, Running, Scene, is_stage, lab_or_skip,
    scenario::{machine, quick, shipped},
    slot, wait_until, without_tcx,
};
use nix::sys::signal::Signal;

use self::message::{Answer, query, read};

/// A name server in the other namespace, known to the box; it ends with the test.
struct Servers {
    network: Arc<Network>,
    dnsmasq: Child,
}

const RESOLV: &str = "nameserver 10.88.0.2\nsearch corp.example\noptions timeout:2 attempts:1\n";
const SWITCH: &str = "hosts: files dns\n";

impl Servers {
    fn or_skip() -> Option<Servers> {
        if !std::path::Path::new("/usr/sbin/dnsmasq").exists() {
            println!("skipped: there is no dnsmasq");
            return None;
        }
        let network = Scene::network_or_skip()?;
        network.etc("resolv.conf", RESOLV);
        network.etc("nsswitch.conf", SWITCH);
        network.in_box("ip address add fd88::1/64 dev eth0 nodad");
        network.in_peer("ip address add fd88::2/64 dev eth0 nodad");
        let line = "dnsmasq -k -C /dev/null -R -h --local-ttl=1 --user=root --pid-file= \
                    --host-record=pay.example,10.1.1.1,fd71::1 --host-record=pay.corp.example,10.1.1.3 --host-record=store.corp.example,10.88.0.2,fd88::2 \
                    --host-record=other.example,10.1.1.2 --txt-record=pay.example,hello --local=/example/";
        // What this file says can change, see `move_to`.
        network.etc("moving", "10.88.0.2 moving.corp.example\n");
        let line = format!("{line} --addn-hosts=/etc/netns/{}/moving", network.name);
        let dnsmasq = network.start_in_peer(&line);
        let servers = Servers { network, dnsmasq };
        assert!(
            wait_until(|| servers.udp("other.example", 1, 200).is_some()),
            "the name server does not answer"
        );
        Some(servers)
    }

    fn socket(&self) -> UdpSocket {
        self.socket_to("0.0.0.0:0", "10.88.0.2:53")
    }

    fn socket_to(&self, from: &'static str, to: &'static str) -> UdpSocket {
        self.network.inside(move || {
            let socket = UdpSocket::bind(from).expect("a port is free");
            socket.connect(to).expect("there is a route");
            socket
        })
    }

    fn udp(&self, name: &str, kind: u16, patience_ms: u64) -> Option<Answer> {
        ask(&self.socket(), name, kind, patience_ms)
    }

    fn stream(&self) -> TcpStream {
        self.stream_to("10.88.0.2:53")
    }

    fn stream_to(&self, to: &'static str) -> TcpStream {
        self.network.inside(move || TcpStream::connect(to).expect("the server listens"))
    }

    /// Runs an experiment with a fault on the box, and does something while it holds.
    fn during(&self, fault: &str, what: impl FnOnce(&Chaos, &mut Running)) -> Ended {
        self.during_on(&Chaos::new(), fault, |_| {}, what)
    }

    /// The same, with a folder that the caller looks into, and a command that is prepared.
    fn during_on(
        &self,
        chaos: &Chaos,
        fault: &str,
        prepare: impl FnOnce(&mut Command),
        what: impl FnOnce(&Chaos, &mut Running),
    ) -> Ended {
        let _slot = slot();
        let file = chaos.file("dns.chaos", experiment(&self.network.name, fault));
        let mut command = chaos.command(&["run", &file]);
        prepare(&mut command);
        let mut running = chaos.start_prepared(command, "run dns.chaos".to_owned());
        let held = running.reaches(|what| is_stage(what, "hold"));
        if !held {
            panic!("the fault was never in place: {}", running.end());
        }
        what(chaos, &mut running);
        running.end()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}

fn experiment(network: &str, fault: &str) -> String {
    let changes = [
        ("delay 20ms on box", fault),
        ("    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n", ""),
        ("baseline 2s", "baseline 1s"),
        ("hold     3s", "hold     5s"),
        ("watch    2s", "watch    1s"),
    ];
    machine(network, &changes)
}

/// Asks over a datagram socket, with EDNS; none where nothing comes.
fn ask(socket: &UdpSocket, name: &str, kind: u16, patience_ms: u64) -> Option<Answer> {
    let asked = query(name, kind);
    socket.send(&asked).expect("there is a route");
    receive(socket, &asked, patience_ms)
}

fn receive(socket: &UdpSocket, asked: &[u8], patience_ms: u64) -> Option<Answer> {
    let until = Instant::now() + Duration::from_millis(patience_ms);
    let mut buffer = [0; 2048];
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        socket.set_read_timeout(Some(left)).expect("it is more than zero");
        if let Ok(length) = socket.recv(&mut buffer)
            && buffer[..2] == asked[..2]
        {
            return Some(read(asked, &buffer[..length]));
        }
    }
    None
}

/// Asks over TCP; none where the connection ends or nothing comes.
fn ask_stream(stream: &mut TcpStream, name: &str, kind: u16, patience_ms: u64) -> Option<Answer> {
    let asked = query(name, kind);
    stream.set_read_timeout(Some(Duration::from_millis(patience_ms))).expect("it is more than zero");
    stream.write_all(&(asked.len() as u16).to_be_bytes()).ok()?;
    // The length has a segment of its own.
    std::thread::sleep(Duration::from_millis(5));
    stream.write_all(&asked).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).ok()?;
    Some(read(&asked, &answer))
}

/// Checks that other names, and other traffic, are as fast as ever.
fn others_are_untouched(servers: &Servers) {
    let socket = servers.network.socket();
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = servers.udp("other.example", 1, 1000).expect("another name is answered");
        assert_eq!((answer.code, &answer.addresses[..]), (0, &["10.1.1.2".to_owned()][..]));
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(100), "another name took {took:?}");
        let echo = chaos_tests::ping(&socket, Duration::from_millis(500)).expect("other traffic passes");
        assert!(echo < Duration::from_millis(100), "other traffic took {echo:?}");
    }
}

#[test]
fn answers_of_every_kind_over_udp_and_tcp() {
    let Some(servers) = Servers::or_skip() else { return };
    for (fault, code, addresses) in [
        ("dns nxdomain of \"pay.example\" on box", 3, &[][..]),
        ("dns servfail of \"pay.example\" on box", 2, &[]),
        ("dns refused of \"PAY.*\" on box", 5, &[]),
        ("dns answer \"pay.example\" with 10.9.9.9, fd99::9 on box", 0, &["10.9.9.9"]),
    ] {
        // Open before the fault is there.
        let (old_socket, mut old_stream) = (servers.socket(), servers.stream());
        assert_eq!(ask(&old_socket, "pay.example", 1, 1000).unwrap().addresses, ["10.1.1.1"]);
        let ended = servers.during(fault, |_, _| {
            for answer in [
                ask(&old_socket, "pay.example", 1, 1000),
                servers.udp("pAy.eXample", 1, 1000),
                ask_stream(&mut old_stream, "pay.example", 1, 1000),
                ask_stream(&mut servers.stream(), "pay.example", 1, 1000),
                ask(&servers.socket_to("[::]:0", "[fd88::2]:53"), "pay.example", 1, 1000),
                ask_stream(&mut servers.stream_to("[fd88::2]:53"), "pay.example", 1, 1000),
            ] {
                let answer = answer.unwrap_or_else(|| panic!("no answer under `{fault}`"));
                assert_eq!(
                    (answer.code, answer.addresses == *addresses),
                    (code, true),
                    "{fault}: {answer:?}"
                );
                assert!(answer.edns && !answer.truncated, "{fault}: {answer:?}");
            }
            let v6 = servers.udp("pay.example", 28, 1000).unwrap();
            assert_eq!(v6.addresses.len(), usize::from(code == 0), "{fault}");
            // A type without addresses, and a client that uses the C library.
            assert_eq!(servers.udp("pay.example", 16, 1000).unwrap().code, code, "{fault}");
            let (found, fine) = servers.network.asked("getent ahostsv4 pay.example");
            assert_eq!(fine, code == 0, "{fault}: {found}");
            assert!(code != 0 || found.contains("10.9.9.9"), "{fault}: {found}");
            others_are_untouched(&servers);
        });
        let ended =
            ended.exits(0).says("queries, answered").says("`pay.example`").says("everything is as it was");
        assert!(ended.said("forwarder"), "{ended}");
        assert_eq!(servers.udp("pay.example", 1, 1000).unwrap().addresses, ["10.1.1.1"], "{fault}");
    }
}

#[test]
fn a_cut_answer_has_its_client_ask_over_tcp() {
    let Some(servers) = Servers::or_skip() else { return };
    let ended = servers.during("dns truncate of \"pay.example\" on box", |_, _| {
        let answer = servers.udp("pay.example", 1, 1000).unwrap();
        assert!(answer.truncated && answer.addresses.is_empty(), "{answer:?}");
        let whole = ask_stream(&mut servers.stream(), "pay.example", 1, 1000).unwrap();
        assert_eq!(whole.addresses, ["10.1.1.1"]);
        let (found, fine) = servers.network.asked("getent ahostsv4 pay.example");
        assert!(fine && found.contains("10.1.1.1"), "{found}");
        others_are_untouched(&servers);
    });
    ended.exits(0).says("everything is as it was");
}

#[test]
fn a_query_vanishes_on_either_transport() {
    let Some(servers) = Servers::or_skip() else { return };
    let mut old = servers.stream();
    let ended = servers.during("dns timeout of \"pay.example\" on box", |_, _| {
        assert!(servers.udp("pay.example", 1, 700).is_none());
        assert!(ask_stream(&mut servers.stream(), "pay.example", 1, 500).is_none());
        assert!(ask_stream(&mut old, "pay.example", 1, 500).is_none());
        others_are_untouched(&servers);
    });
    ended.exits(0).says("dropped 3").says("everything is as it was");
}

#[test]
fn a_delay_is_as_long_as_asked_for_on_sockets_old_and_new() {
    let Some(servers) = Servers::or_skip() else { return };
    let (old_socket, mut old_stream) = (servers.socket(), servers.stream());
    let chaos = Chaos::new();
    let fault = "dns delay 300ms per query of \"pay.example\" on box";
    let ended = servers.during_on(
        &chaos,
        fault,
        |_| {},
        |_, _| {
            let timed = |what: &mut dyn FnMut() -> Option<Answer>| {
                let begun = Instant::now();
                assert_eq!(what().expect("it is late, and comes").addresses, ["10.1.1.1"]);
                let took = begun.elapsed();
                assert!((300..400).contains(&took.as_millis()), "{took:?}");
            };
            timed(&mut || ask(&old_socket, "pay.example", 1, 2000));
            timed(&mut || servers.udp("PAY.example", 1, 2000));
            timed(&mut || ask_stream(&mut old_stream, "pay.example", 1, 2000));
            timed(&mut || ask_stream(&mut servers.stream(), "pay.example", 1, 2000));
            others_are_untouched(&servers);
        },
    );
    let ended = ended.exits(0).says("asked for 300ms").says("everything is as it was");
    let effect = find(&ended.record(), "queries");
    assert_eq!(
        (&effect["unit"], &effect["met"], &effect["changed"]),
        (&"queries".into(), &4.into(), &4.into())
    );
    let added = effect["delay"]["nanos"].as_u64().expect("it was measured");
    assert!((300_000_000..301_000_000).contains(&added), "{added} ns were added");
}

/// Finds the effect that is counted in a unit.
fn find(value: &serde_json::Value, unit: &str) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) if map.get("unit").is_some_and(|found| found == unit) => value.clone(),
        serde_json::Value::Object(map) => {
            map.values().map(|v| find(v, unit)).find(|v| !v.is_null()).unwrap_or_default()
        }
        serde_json::Value::Array(all) => {
            all.iter().map(|v| find(v, unit)).find(|v| !v.is_null()).unwrap_or_default()
        }
        _ => serde_json::Value::Null,
    }
}

#[test]
fn a_lookup_of_the_c_library_waits_once_for_its_types_and_domains() {
    let Some(servers) = Servers::or_skip() else { return };
    let ended = servers.during("dns delay 400ms per lookup of \"missing\" on box", |_, _| {
        // A and AAAA in `corp.example`, and then of the bare name.
        let begun = Instant::now();
        servers.network.asked("getent ahosts missing");
        let took = begun.elapsed();
        assert!((400..700).contains(&took.as_millis()), "{took:?}");
    });
    ended.exits(0).says("in 1 lookups").says("`missing` 4 (A 2, AAAA 2)");
}

#[test]
fn without_programs_on_interfaces_filters_lead_queries_and_answers() {
    let Some(servers) = Servers::or_skip() else { return };
    let chaos = Chaos::new();
    let mut old = servers.stream();
    let fault = "dns nxdomain of \"pay.example\" on box";
    let ended = servers.during_on(&chaos, fault, without_tcx, |_, _| {
        for answer in [
            servers.udp("pay.example", 1, 1000),
            ask_stream(&mut old, "pay.example", 1, 1000),
            ask(&servers.socket_to("[::]:0", "[fd88::2]:53"), "pay.example", 1, 1000),
            ask_stream(&mut servers.stream_to("[fd88::2]:53"), "pay.example", 1, 1000),
        ] {
            assert_eq!(answer.expect("it is answered").code, 3);
        }
        others_are_untouched(&servers);
    });
    ended.exits(0).says("agent-held").says("answered 4").says("everything is as it was");
    assert_eq!(servers.udp("pay.example", 1, 1000).unwrap().addresses, ["10.1.1.1"]);
}

#[test]
fn names_that_nobody_asks_for_decide_nothing() {
    let Some(servers) = Servers::or_skip() else { return };
    let ended = servers.during("dns servfail of \"nobody.example\" on box", |_, _| {
        servers.udp("pay.example", 1, 1000).unwrap();
    });
    ended.exits(3).says("matched no query").says("`pay.example` 1 (A 1)");
}

#[test]
fn a_server_of_its_own_is_refused_before_anything_is_touched() {
    let Some(servers) = Servers::or_skip() else { return };
    for own in ["127.0.0.53", "10.88.0.1", "::1"] {
        servers.network.etc("resolv.conf", &format!("nameserver {own}\n"));
        let chaos = Chaos::new();
        let file = chaos.file("dns.chaos", experiment(&servers.network.name, "dns timeout of \"*\" on box"));
        let planned = chaos.call(&["plan", &file]);
        assert_ne!(planned.code, Some(0), "{planned}");
        planned.says(own).says("stay on the loopback").says("resolv.conf");
    }
}

#[test]
fn whoever_dies_leaves_nothing() {
    let Some(servers) = Servers::or_skip() else { return };
    for (runner, agent) in [(true, false), (false, true), (true, true)] {
        let scene = Scene::on(&servers.network);
        let fault = "dns delay 300ms per query of \"pay.example\" on box";
        let file = scene.file("dns.chaos", experiment(&servers.network.name, fault));
        let mut running = scene.start(&["run", &file]);
        running.until(|what| is_stage(what, "hold"));
        let begun = Instant::now();
        servers.udp("pay.example", 1, 2000).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(300), "the fault is not there");
        if agent {
            assert!(scene.signal_agents(Signal::SIGKILL));
        }
        if runner {
            running.signal(Signal::SIGKILL);
        }
        running.end();
        scene.assert_as_before();
        let begun = Instant::now();
        servers.udp("pay.example", 1, 2000).unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(200), "{took:?} after runner {runner} agent {agent}");
        scene.call(&["restore"]).exits(0);
    }
}

#[test]
fn an_agent_that_hangs_lets_queries_through() {
    let Some(servers) = Servers::or_skip() else { return };
    let ended = servers.during("dns timeout of \"pay.example\" on box", |chaos, _| {
        assert!(servers.udp("pay.example", 1, 300).is_none());
        assert!(chaos.signal_agents(Signal::SIGSTOP));
        std::thread::sleep(Duration::from_millis(260));
        let answer = servers.udp("pay.example", 1, 500);
        chaos.signal_agents(Signal::SIGCONT);
        assert_eq!(answer.expect("it passes").addresses, ["10.1.1.1"]);
    });
    assert_ne!(ended.code, Some(0), "{ended}");
    assert_eq!(servers.udp("pay.example", 1, 1000).unwrap().addresses, ["10.1.1.1"]);
}

#[test]
fn slow_names_are_felt_by_those_who_ask() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let _slot = slot();
    let file = chaos.file("dns.chaos", quick("dns.chaos"));
    chaos.call(&["run", &file]).exits(0).says("PASSED").says("everything is as it was");
    // What holds for kept connections is violated where each request resolves.
    let promise = "p95(asking.latency) <= baseline + 100ms during slow_names";
    let broken =
        shipped("dns.chaos", &[("p95(asking.latency) >= baseline + 400ms during slow_names", promise)]);
    let file = chaos.file("broken.chaos", broken);
    let ended = chaos.call(&["run", &file]).exits(1).says("FAILED");
    assert!(ended.said("✓ kept connections notice nothing"), "{ended}");
}
