//! Faults on names: on all addresses that the target itself finds for them, and on nothing where it finds none.

use std::net::SocketAddr;

use chaos_tests::scenario::{LAB, changed};

use super::*;

fn connects(servers: &Servers, to: &'static str) -> bool {
    servers.network.inside(move || {
        let to: SocketAddr = to.parse().expect("it is an address");
        TcpStream::connect_timeout(&to, Duration::from_millis(500)).is_ok()
    })
}

#[test]
fn a_fault_on_a_name_is_on_its_addresses_of_both_families() {
    let Some(servers) = Servers::or_skip() else { return };
    // The search domain is put behind it, as for the box's own clients.
    let ended = servers.during("block box to \"store\":53 new reject", |_, _| {
        assert!(!connects(&servers, "10.88.0.2:53") && !connects(&servers, "[fd88::2]:53"));
        // Another port of the same addresses.
        assert!(connects(&servers, "10.88.0.2:8080"));
    });
    ended.exits(0).says("`store` is 10.88.0.2, fd88::2 there");
    assert!(connects(&servers, "10.88.0.2:53") && connects(&servers, "[fd88::2]:53"));
}

#[test]
fn a_name_of_the_hosts_file_is_one() {
    let Some(servers) = Servers::or_skip() else { return };
    servers.network.etc("hosts", "10.88.0.2 shelf\n");
    let chaos = Chaos::new();
    let file =
        chaos.file("named.chaos", experiment(&servers.network.name, "delay 20ms on box to \"shelf\":8080"));
    chaos
        .call(&["plan", &file])
        .exits(0)
        .says("other end `shelf` port 8080 (now 10.88.0.2), by the addresses");
    let _slot = slot();
    chaos.call(&["run", &file]).exits(0).says("`shelf` is 10.88.0.2 there");
}

#[test]
fn nothing_is_touched_for_a_name_without_an_address() {
    let Some(servers) = Servers::or_skip() else { return };
    let scene = Scene::on(&servers.network);
    let file = scene.file(
        "named.chaos",
        experiment(&servers.network.name, "block on box to [\"store\", \"nobody.example\"]:8080"),
    );
    for what in ["plan", "run"] {
        let ended = scene.call(&[what, &file]);
        assert_ne!(ended.code, Some(0), "{ended}");
        ended.says("`nobody.example`, which the fault is to be on, has no address at netns");
    }
    scene.assert_as_before();
}

#[test]
fn a_lab_host_finds_names_when_the_lab_stands() {
    if !lab_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let _slot = slot();
    // In quotes, and in full: a name that is looked up, and not the host that the file knows.
    let far = changed(LAB, &[("on api to client", "on api to \"client.\"")]);
    let file = chaos.file("named.chaos", far);
    chaos.call(&["plan", &file]).exits(0).says("other end `client.`, by the addresses");
    chaos.call(&["run", &file]).exits(0).says("`client.` is 10.");
    let lost = changed(LAB, &[("on api to client", "on api to \"nobody.example\"")]);
    let file = chaos.file("lost.chaos", lost);
    let ended = chaos.call(&["run", &file]);
    assert_ne!(ended.code, Some(0), "{ended}");
    ended.says("`nobody.example`, which the fault is to be on, has no address at host api");
}

/// Has the name `moving` stand for other addresses, or for none.
fn move_to(servers: &Servers, addresses: &[&str]) {
    let lines: String = addresses.iter().map(|address| format!("{address} moving.corp.example\n")).collect();
    servers.network.etc("moving", &lines);
    let pid = nix::unistd::Pid::from_raw(servers.dnsmasq.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGHUP).expect("the name server runs");
}

/// Whether a new connection fails or is slow.
fn is_hit(servers: &Servers, to: &'static str) -> bool {
    let begun = Instant::now();
    !connects(servers, to) || begun.elapsed() > Duration::from_millis(150)
}

/// Runs a fault on a name whose address changes and goes while the fault stands.
fn follows(fault: &str, backend: Option<&str>, prepare: impl FnOnce(&mut Command)) {
    let Some(servers) = Servers::or_skip() else { return };
    servers.network.in_peer("ip address add 10.88.0.3/24 dev eth0");
    let chaos = Chaos::new();
    let _slot = slot();
    let text = changed(&experiment(&servers.network.name, fault), &[("hold     5s", "hold     20s")]);
    let file = chaos.file("moving.chaos", text);
    let words = ["run", &file].into_iter().chain(backend.iter().flat_map(|name| ["--backend", name]));
    let mut command = chaos.command(&Vec::from_iter(words));
    prepare(&mut command);
    let mut running = chaos.start_prepared(command, format!("run moving.chaos: {fault}"));
    assert!(running.reaches(|what| is_stage(what, "hold")), "{}", running.end());
    let (first, second) = ("10.88.0.2:8080", "10.88.0.3:8080");
    assert!(is_hit(&servers, first) && !is_hit(&servers, second), "{fault}: before");
    move_to(&servers, &["10.88.0.3"]);
    let followed = wait_until(|| is_hit(&servers, second) && !is_hit(&servers, first));
    assert!(followed, "{fault}: {}", running.end());
    move_to(&servers, &[]);
    // More than a time to live later.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(is_hit(&servers, second) && !is_hit(&servers, first), "{fault}: without an address");
    let ended = running.end();
    ended
        .says("its addresses changed once, and it followed: `moving` is 10.88.0.3 there by now")
        .says("it stayed on the addresses that were known, because `moving`")
        .says("everything is as it was");
    assert!(!is_hit(&servers, second), "{fault}: after");
}

#[test]
fn a_program_on_the_interface_follows_a_name() {
    follows("block box to \"moving\":8080 new", None, |_| {});
}

#[test]
fn a_table_follows_a_name() {
    follows("block box to \"moving\":8080 new reject", None, |_| {});
}

#[test]
fn queues_follow_a_name() {
    follows("delay 200ms on box to \"moving\":8080", None, |_| {});
}

#[test]
fn a_forwarder_follows_a_name() {
    follows("delay 200ms on box to \"moving\":8080", Some("forwarder"), |_| {});
}

#[test]
fn filters_into_a_forwarder_follow_a_name() {
    follows("delay 200ms on box to \"moving\":8080", Some("forwarder"), without_tcx);
}
