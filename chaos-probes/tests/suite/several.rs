//! A host with several addresses, some of which do not answer.

use std::{net::SocketAddr, time::Duration};

use chaos_core::{
    model::{
        Connections, Probe, ProbeKind,
        probe::{Label, LabelSource},
    },
    probe::{Observation, Outcome},
};
use tokio::net::TcpListener;

use crate::world::{Server, answer, here, http, open, probe, text};

/// A server at 127.0.0.1, as one that only knows IPv4 is, and its port.
async fn web() -> (Server, u16) {
    let server = Server::start(|_, _| answer("200 OK", "")).await;
    let port = server.address.port();
    (server, port)
}

fn tcp(port: u16) -> Probe {
    let mut tcp = probe(ProbeKind::Tcp { address: text(&format!("api:{port}")) });
    tcp.labels = vec![Label { name: text("peer"), source: LabelSource::Peer }];
    tcp
}

fn fresh(port: u16) -> Probe {
    Probe { connections: Connections::Fresh, ..http("GET", &format!("http://api:{port}/"), &[]) }
}

fn ok(seen: &Observation) -> Option<&str> {
    assert_eq!(seen.outcome, Outcome::Ok, "{seen:?}");
    seen.error.as_deref()
}

/// A listener whose queue is full: it neither takes a connection nor refuses one.
fn silent(address: &str, port: u16) -> (socket2::Socket, Vec<std::net::TcpStream>) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), port);
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 16, "the queue has no end");
    }
    (listener, waiting)
}

#[tokio::test]
async fn a_server_of_one_family_is_found_at_a_name_of_both() {
    let (_server, port) = web().await;
    for addresses in [["127.0.0.1", "::1"], ["::1", "127.0.0.1"]] {
        for probe in [tcp(port), fresh(port), http("GET", &format!("http://api:{port}/"), &[])] {
            let prober = open(&probe, &here(&[("api", &addresses)], &[])).await;
            for _ in 0..10 {
                ok(&prober.once().await);
            }
        }
    }
    // `localhost` is both families, for programs that serve either.
    let prober = open(&http("GET", &format!("http://localhost:{port}/"), &[]), &here(&[], &[])).await;
    let seen = prober.once().await;
    assert_eq!(ok(&seen), Some("connection refused (::1); another address answered"));
}

#[tokio::test]
async fn a_dead_member_of_a_name_fails_nothing_and_is_reported() {
    let (_server, port) = web().await;
    let place = here(&[("api", &["127.0.0.1", "127.0.0.9"])], &[]);
    for probe in [tcp(port), fresh(port)] {
        let prober = open(&probe, &place).await;
        let mut reported = 0;
        for _ in 0..10 {
            let seen = prober.once().await;
            if let Some(error) = ok(&seen) {
                assert_eq!(error, "connection refused (127.0.0.9); another address answered");
                reported += 1;
            }
            // The label says who answered.
            assert!(seen.labels.iter().all(|(_, peer)| &**peer == "127.0.0.1"), "{seen:?}");
        }
        assert_eq!(reported, 5);
    }
}

#[tokio::test]
async fn a_silent_member_of_a_name_costs_a_moment() {
    let (_server, port) = web().await;
    let _silent = silent("127.0.0.9", port);
    let prober = open(&fresh(port), &here(&[("api", &["127.0.0.9", "127.0.0.1"])], &[])).await;
    let start = std::time::Instant::now();
    let seen = prober.once().await;
    assert_eq!(ok(&seen), Some("no answer within 250ms (127.0.0.9); another address answered"));
    assert!((0.25..0.9).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    assert!(seen.connect.unwrap() >= Duration::from_millis(250), "{seen:?}");
    // With the next turn the living one comes first, and nothing is said of the other.
    assert_eq!(ok(&prober.once().await), None);
}

#[tokio::test]
async fn whoever_refuses_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for probe in [tcp(port), fresh(port)] {
        let prober = open(&probe, &here(&[("api", &["127.0.0.9", "127.0.0.1", "::1"])], &[])).await;
        for _ in 0..3 {
            let seen = prober.once().await;
            let error = seen.error.as_deref();
            assert_eq!(
                (seen.outcome, error),
                (Outcome::Failed, Some("connection refused (127.0.0.1, 127.0.0.9, ::1)"))
            );
        }
    }
}
