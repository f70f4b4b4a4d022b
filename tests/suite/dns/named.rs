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
