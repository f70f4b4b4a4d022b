//! Hosts that find and reach each other.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use chaos_core::model::{Program, Ready};
use chaos_lab::HostHandle;

use crate::harness::{get, host, http, shell, six, up};

#[tokio::test(flavor = "multi_thread")]
async fn six_hosts_talk_by_name_and_address() {
    let started = Instant::now();
    let lab = up(six()).await;
    eprintln!("six hosts up in {:?}", started.elapsed());
    let client = &lab.host("client").unwrap().namespace;
    assert_eq!(lab.hosts().len(), 6);
    assert_eq!(lab.resolve("api").len(), 6);
    assert_eq!(lab.resolve("api-2.lab"), lab.host("api-2").unwrap().addresses);
    for address in lab.resolve("api") {
        assert_eq!(get(client, *address, 8080, "/").unwrap().status, 200, "{address}");
    }
    let gateway = lab.resolve("gw")[0];
    let served: BTreeSet<String> = (0..9)
        .map(|_| get(client, gateway, 80, "/").unwrap().header("x-served-by").unwrap().to_owned())
        .collect();
    assert_eq!(served.into_iter().collect::<Vec<_>>(), ["api-1", "api-2", "api-3"], "round robin over all");
    for program in lab.programs() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid)).unwrap();
        let rss = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        eprintln!("{} {} {rss}", program.host, program.what);
    }
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_of_a_host_is_its_own() {
    let lab = up(vec![host("a-name-beyond-fifteen-characters", Some(2), vec![])]).await;
    let first = &lab.hosts()[0];
    let links =
        first.namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let names: BTreeSet<&str> =
        links.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    // Some kernels put tunnel devices into every namespace; what matters is what the lab adds.
    assert!(names.contains("lo") && names.contains(first.interface), "{names:?}");
    let switch = lab.switch().run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    for host in lab.hosts() {
        assert!(switch.contains(&format!("{}:", host.switch_interface)), "{switch}");
    }
    let mine = std::fs::read_to_string("/proc/net/dev").unwrap();
    assert!(!mine.contains(&first.switch_interface), "nothing of the lab shows outside: {mine}");
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_data_goes_in_packets_of_the_wire() {
    let lab = up(vec![host("client", None, vec![]), host("api", None, vec![])]).await;
    let [client, api] = ["client", "api"].map(|name| lab.host(name).unwrap());
    for address in lab.resolve("api") {
        let to = SocketAddr::from((*address, 5201));
        let listener = api.namespace.run(move || TcpListener::bind(to)).unwrap().unwrap();
        let mut sending = client.namespace.run(move || TcpStream::connect(to)).unwrap().unwrap();
        let (mut arriving, _) = listener.accept().unwrap();
        let before = sent(client);
        let reading = std::thread::spawn(move || std::io::copy(&mut arriving, &mut std::io::sink()).unwrap());
        let bytes: u64 = 8 << 20;
        sending.write_all(&vec![7; bytes as usize]).unwrap();
        drop(sending);
        assert_eq!(reading.join().unwrap(), bytes);
        let packets = sent(client) - before;
        assert!(packets >= bytes / 1448, "{packets} packets for {bytes} bytes to {address}");
    }
    lab.down().await.unwrap();
}

/// How many packets a host has sent.
fn sent(host: &HostHandle) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
    let links = host.namespace.run(read).expect("root may enter it").expect("it can be read");
    let line = links.lines().find_map(|line| line.trim().strip_prefix(&format!("{}:", host.interface)));
    let count = line.and_then(|line| line.split_whitespace().nth(9)?.parse().ok());
    count.expect("the interface has a line of numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn real_programs_see_the_lab() {
    let look = "hostname; cat /etc/hosts /etc/resolv.conf; getent ahosts api; echo > /run/mine; sleep 1000";
    let lab = up(vec![
        host("client", None, vec![shell(look, Ready::After(Duration::from_millis(300)))]),
        host("api", Some(2), vec![]),
    ])
    .await;
    let output = lab.output("client", 0).await.unwrap();
    assert!(output.starts_with("client\n"), "{output}");
    assert!(output.contains("10.77.0.3 api-2 api-2.lab") && output.contains("search lab"), "{output}");
    let resolved = output.lines().filter(|l| l.contains("STREAM") && l.starts_with("10.77.0.")).count();
    assert_eq!(resolved, 2, "the C library finds both copies: {output}");
    assert!(!std::path::Path::new("/run/mine").exists());
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_library_asks_the_labs_dns() {
    let look = "getent ahosts api; getent hosts api-1.lab; getent hosts nobody || echo none; sleep 1000";
    let lab = up(vec![
        host("dns", None, vec![Program::Dns]),
        host("client", None, vec![shell(look, Ready::After(Duration::from_millis(300)))]),
        host("api", Some(2), vec![]),
    ])
    .await;
    let client = lab.output("client", 0);
    let output = client.await.unwrap();
    assert!(output.contains("10.77.0.3") && output.contains("10.77.0.4"), "{output}");
    assert!(output.trim_end().ends_with("none"), "{output}");
    lab.down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_hosts_come_up() {
    let started = Instant::now();
    let lab =
        up(vec![host("client", None, vec![]), host("api", Some(199), vec![http(Duration::ZERO, None)])])
            .await;
    let took = started.elapsed();
    let client = &lab.host("client").unwrap().namespace;
    let last = lab.host("api-199").unwrap();
    assert_eq!(get(client, last.addresses[1], 8080, "/").unwrap().header("x-served-by"), Some("api-199"));
    let going = Instant::now();
    lab.down().await.unwrap();
    eprintln!("200 hosts up in {took:?}, down in {:?}", going.elapsed());
    assert!(took < Duration::from_secs(60), "{took:?}");
}
