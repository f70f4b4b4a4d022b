use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use chaos_core::{
    model::{ProbeKind, probe::Condition},
    place::{Names, Order, Place},
    probe::{Observation, Outcome},
};
use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use crate::world::{Server, answer, here, http, open, probe, refused, text};

/// A DNS server that answers by script, over UDP and TCP on one port.
struct DnsServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(RecordType, bool)>>>,
}

type Script = dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync;

impl DnsServer {
    /// The script gets the query and whether it came over TCP, and returns the messages to send back.
    async fn start(script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> DnsServer {
        let script: Arc<Script> = Arc::new(script);
        let (udp, tcp) = one_port().await;
        let address = udp.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<(RecordType, bool)>>> = Arc::default();
        let (log, over_udp) = (asked.clone(), script.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = udp.recv_from(&mut buffer).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                log.lock().unwrap().push((query.queries[0].query_type(), false));
                for message in over_udp(&query, false) {
                    udp.send_to(&message, peer).await.unwrap();
                }
            }
        });
        let log = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let length = stream.read_u16().await.unwrap();
                let mut bytes = vec![0; usize::from(length)];
                stream.read_exact(&mut bytes).await.unwrap();
                let query = Message::from_vec(&bytes).unwrap();
                log.lock().unwrap().push((query.queries[0].query_type(), true));
                for message in script(&query, true) {
                    stream.write_u16(message.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&message).await.unwrap();
                }
            }
        });
        DnsServer { address, asked }
    }
}

/// Binds UDP and TCP to one port; a port free for one may be taken for the other.
async fn one_port() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP")
}

fn reply(query: &Message, code: ResponseCode, answers: Vec<RData>, ttl: u32) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.response_code = code;
    reply.add_query(query.queries[0].clone());
    for data in answers {
        reply.add_answer(Record::from_rdata(query.queries[0].name().clone(), ttl, data));
    }
    reply
}

fn success(query: &Message, answers: Vec<RData>) -> Vec<Vec<u8>> {
    vec![reply(query, ResponseCode::NoError, answers, 60).to_vec().unwrap()]
}

fn a(address: &str) -> RData {
    RData::A(rdata::A(address.parse().unwrap()))
}

fn dns(record: &str, name: &str, ok_when: Option<Condition>) -> chaos_core::model::Probe {
    let mut probe = probe(ProbeKind::Dns { record: record.into(), name: text(name), server: None });
    probe.ok_when = ok_when;
    probe
}

async fn ask(server: &DnsServer, record: &str, name: &str, ok_when: Option<Condition>) -> Observation {
    open(&dns(record, name, ok_when), &here(&[], &[server.address])).await.once().await
}

fn error(seen: &Observation) -> &str {
    assert_eq!(seen.outcome, Outcome::Failed, "{seen:?}");
    seen.error.as_deref().unwrap()
}

#[tokio::test]
async fn answers_are_judged() {
    let server = DnsServer::start(|query, _| success(query, vec![a("10.0.0.1"), a("10.0.0.2")])).await;
    assert_eq!(ask(&server, "A", "api.shop", None).await.outcome, Outcome::Ok);
    let answer = |text: &str| Some(Condition::Answer(text.into()));
    assert_eq!(ask(&server, "A", "api.shop", answer("10.0.0.2")).await.outcome, Outcome::Ok);
    assert_eq!(error(&ask(&server, "A", "api.shop", answer("10.0.0.9")).await), "no answer `10.0.0.9`");
    // The server's answer holds nothing of the kind that was asked for.
    assert_eq!(error(&ask(&server, "AAAA", "api.shop", None).await), "no records");
    assert!(server.asked.lock().unwrap().iter().all(|(_, tcp)| !tcp));
}

#[tokio::test]
async fn names_and_services_are_answers_too() {
    let server = DnsServer::start(|query, _| {
        let target = Name::from_ascii("Mail.Shop.").unwrap();
        success(
            query,
            vec![match query.queries[0].query_type() {
                RecordType::MX => RData::MX(rdata::MX::new(10, target)),
                RecordType::SRV => RData::SRV(rdata::SRV::new(1, 2, 25, target)),
                RecordType::PTR => RData::PTR(rdata::PTR(target)),
                RecordType::CNAME => RData::CNAME(rdata::CNAME(target)),
                RecordType::NS => RData::NS(rdata::NS(target)),
                RecordType::TXT => RData::TXT(rdata::TXT::new(vec!["v=1".into()])),
                other => panic!("{other} is asked for"),
            }],
        )
    })
    .await;
    for (record, name, expected) in [
        ("MX", "shop", "10 mail.shop"),
        ("MX", "shop", "mail.shop."),
        ("SRV", "_smtp._tcp.shop", "mail.shop:25"),
        ("PTR", "10.0.0.1", "mail.shop"),
        ("CNAME", "post.shop", "mail.shop"),
        ("NS", "shop", "mail.shop"),
        ("TXT", "shop", "v=1"),
    ] {
        let seen = ask(&server, record, name, Some(Condition::Answer(expected.into()))).await;
        assert_eq!(seen.outcome, Outcome::Ok, "{record} {expected}: {seen:?}");
    }
}

#[tokio::test]
async fn error_codes_are_failures() {
    for (code, expected) in [
        (ResponseCode::NXDomain, "NXDOMAIN"),
        (ResponseCode::ServFail, "SERVFAIL"),
        (ResponseCode::Refused, "REFUSED"),
    ] {
        let server =
            DnsServer::start(move |query, _| vec![reply(query, code, vec![], 0).to_vec().unwrap()]).await;
        assert_eq!(error(&ask(&server, "A", "api.shop", None).await), expected);
    }
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let server = DnsServer::start(|query, tcp| {
        let mut reply = reply(query, ResponseCode::NoError, vec![], 60);
        reply.metadata.truncation = !tcp;
        if tcp { success(query, vec![a("10.0.0.1")]) } else { vec![reply.to_vec().unwrap()] }
    })
    .await;
    assert_eq!(ask(&server, "A", "api.shop", None).await.outcome, Outcome::Ok);
    assert_eq!(*server.asked.lock().unwrap(), [(RecordType::A, false), (RecordType::A, true)]);
}

#[tokio::test]
async fn forged_answers_are_ignored() {
    let server = DnsServer::start(|query, _| {
        let mut wrong_id = reply(query, ResponseCode::NXDomain, vec![], 60);
        wrong_id.metadata.id ^= 1;
        let mut wrong_name = reply(query, ResponseCode::NXDomain, vec![], 60);
        wrong_name.queries[0].set_name(Name::from_ascii("other.").unwrap());
        let mut forged: Vec<_> = [wrong_id, wrong_name].iter().map(|m| m.to_vec().unwrap()).collect();
        forged.push(vec![1]);
        forged.extend(success(query, vec![a("10.0.0.1")]));
        forged
    })
    .await;
    assert_eq!(ask(&server, "A", "api.shop", None).await.outcome, Outcome::Ok);

    let only_forged = DnsServer::start(|query, _| {
        let mut wrong_id = reply(query, ResponseCode::NoError, vec![a("10.0.0.1")], 60);
        wrong_id.metadata.id ^= 1;
        vec![wrong_id.to_vec().unwrap()]
    })
    .await;
    let waits = ask(&only_forged, "A", "api.shop", None);
    assert!(tokio::time::timeout(Duration::from_millis(300), waits).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_refuses() {
    let nobody = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let prober = open(&dns("A", "api", None), &here(&[], &[nobody])).await;
    assert_eq!(error(&prober.once().await), "connection refused");
    assert_eq!(
        refused(&dns("A", "api", None), &here(&[], &[])).await,
        "there is no DNS server to ask at this machine"
    );
}

fn asks(server: &DnsServer, hosts: &[(&str, &[&str])], order: Order) -> Place {
    let mut place = here(hosts, &[server.address]);
    place.names = Arc::new(Names { order, ..(*place.names).clone() });
    place
}

#[tokio::test]
async fn http_with_fresh_connections_asks_for_its_server_each_time_however_long_the_answer_lives() {
    for (ttl, lookups) in [(60, 3), (0, 3)] {
        let web = Server::start(|_, _| answer("200 OK", "")).await;
        let dns = DnsServer::start(move |query, _| {
            let v4 = query.queries[0].query_type() == RecordType::A;
            let found = if v4 { vec![a("127.0.0.1")] } else { vec![] };
            vec![reply(query, ResponseCode::NoError, found, ttl).to_vec().unwrap()]
        })
        .await;
        let mut probe = http("GET", &format!("http://api.shop:{}/", web.address.port()), &[]);
        probe.connections = chaos_core::model::Connections::Fresh;
        let prober = open(&probe, &asks(&dns, &[], Order::HostsFirst)).await;
        for _ in 0..3 {
            let seen = prober.once().await;
            assert_eq!(seen.outcome, Outcome::Ok, "{seen:?}");
            assert!(seen.dns.is_some());
        }
        let count = |wanted| dns.asked.lock().unwrap().iter().filter(|(record, _)| *record == wanted).count();
        assert_eq!((count(RecordType::A), count(RecordType::AAAA)), (lookups, lookups), "ttl {ttl}");

        // A kept connection needs no lookup, be the answer as short-lived as it may.
        probe.connections = chaos_core::model::Connections::Reuse(1);
        let prober = open(&probe, &asks(&dns, &[], Order::HostsFirst)).await;
        let before = count(RecordType::A);
        for _ in 0..3 {
            assert_eq!(prober.once().await.outcome, Outcome::Ok);
        }
        assert_eq!(count(RecordType::A), before + 1);
    }
}

#[tokio::test]
async fn fixed_names_do_not_hide_a_server_that_is_preferred() {
    let web = Server::start(|_, _| answer("200 OK", "")).await;
    let dns =
        DnsServer::start(|query, _| vec![reply(query, ResponseCode::NXDomain, vec![], 0).to_vec().unwrap()])
            .await;
    let probe = http("GET", &format!("http://api:{}/", web.address.port()), &[]);
    let hosts: &[(&str, &[&str])] = &[("api", &["127.0.0.1"])];
    assert_eq!(open(&probe, &asks(&dns, hosts, Order::HostsFirst)).await.once().await.outcome, Outcome::Ok);
    let seen = open(&probe, &asks(&dns, hosts, Order::ServersFinal)).await.once().await;
    assert_eq!(error(&seen), "`api` does not resolve: NXDOMAIN");
}
