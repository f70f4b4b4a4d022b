use std::time::Duration;

use chaos_core::{
    model::probe::{Condition, Connections, HeaderValue, Label, LabelSource},
    probe::{Observation, Outcome, Probers, Progress, Stream},
    run::load,
    time::Clock,
};
use chaos_probes::StandardProbers;
use tokio::net::TcpListener;

use crate::world::{Server, Step, answer, here, http, open, refused, text};

fn error(seen: &Observation) -> &str {
    assert_eq!(seen.outcome, Outcome::Failed, "{seen:?}");
    seen.error.as_deref().expect("a failure has a reason")
}

#[tokio::test]
async fn reuse_opens_one_connection_for_many_requests() {
    let server = Server::start(|_, _| answer("200 OK", "hello")).await;
    let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
    let first = prober.once().await;
    assert_eq!((first.outcome, first.status, &first.error), (Outcome::Ok, Some(200), &None));
    assert!(first.connect.is_some() && first.ttfb.is_some(), "{first:?}");
    for _ in 0..20 {
        let seen = prober.once().await;
        assert_eq!((seen.outcome, seen.connect, seen.dns), (Outcome::Ok, None, None));
    }
    assert_eq!(server.accepted(), 1);
    assert_eq!(server.requests.lock().unwrap().len(), 21);
}

#[tokio::test]
async fn fresh_opens_one_connection_per_request_and_says_so() {
    let server = Server::start(|_, _| answer("200 OK", "hello")).await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.connections = Connections::Fresh;
    let prober = open(&probe, &here(&[], &[])).await;
    for _ in 0..10 {
        assert!(prober.once().await.connect.is_some());
    }
    assert_eq!(server.accepted(), 10);
    assert!(server.requests.lock().unwrap().iter().all(|request| request.contains("connection: close")));
}

#[tokio::test]
async fn requests_beyond_the_connections_wait_for_one() {
    let server = Server::start(|_, _| {
        [vec![Step::Wait(Duration::from_millis(50))], answer("200 OK", "")].into_iter().flatten().collect()
    })
    .await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.connections = Connections::Reuse(2);
    let prober = open(&probe, &here(&[], &[])).await;
    let start = std::time::Instant::now();
    for _ in 0..2 {
        let all = (0..5).map(|_| prober.once());
        assert!(futures_util::future::join_all(all).await.iter().all(|seen| seen.outcome == Outcome::Ok));
    }
    assert_eq!(server.accepted(), 2);
    // Two at a time.
    assert!(start.elapsed() >= Duration::from_millis(6 * 50));
}

#[tokio::test]
async fn one_connection_serves_all_addresses_of_a_name() {
    let first = Server::start(|_, _| answer("200 OK", "")).await;
    let port = first.address.port();
    let listener = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let second = Server::on(listener, |_, _| answer("200 OK", ""));
    let mut probe = http("GET", &format!("http://api:{port}/"), &[]);
    probe.connections = Connections::Reuse(1);
    let prober = open(&probe, &here(&[("api", &["127.0.0.1", "127.0.0.2"])], &[])).await;
    for _ in 0..6 {
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
        assert_eq!(sockets_with(port), 1);
    }
    assert_eq!((first.accepted(), second.accepted()), (3, 3));
}

#[tokio::test]
async fn an_overloaded_server_gets_no_more_connections_and_the_load_ends_in_time() {
    // Answers 40 requests a second, and is asked for 1,000.
    let server = Server::start(|_, _| {
        [vec![Step::Wait(Duration::from_millis(100))], answer("200 OK", "")].into_iter().flatten().collect()
    })
    .await;
    let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
    let timeout = Duration::from_secs(1);
    let stream = Stream { from: "here".into(), first: 0, rate: 1000.0, timeout, limit: 4096 };
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let (clock, mut samples) = (Clock::start(), Vec::new());
    let driving = load::drive(&*prober, &stream, clock, stopping, |sample| samples.push(sample));
    let watching = async {
        let mut most = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            most = most.max(sockets_with(server.address.port()));
        }
        stop.send_replace(true);
        most
    };
    let ((), most) = futures_util::future::join(driving, watching).await;
    let (ended, last) = (clock.now(), samples.iter().map(|sample| sample.intended).max().unwrap());
    assert!((1..=4).contains(&most), "{most}");
    assert!(samples.len() >= 1900, "{}", samples.len());
    let seconds = |nanos: i64| nanos as f64 / 1e9;
    // On a machine with other work it is seen a little later; without a bound it takes minutes.
    assert!(seconds(ended - last) < 10.0, "{} s after the last start", seconds(ended - last));
    let late = samples.iter().filter(|sample| sample.observation.outcome == Outcome::TimedOut).count();
    assert!(late > samples.len() / 2, "{late} of {} timed out", samples.len());
    // What waited for a connection has waited since it was due.
    let mut answered: Vec<_> =
        samples.iter().filter(|s| s.observation.outcome == Outcome::Ok).map(|s| s.latency).collect();
    answered.sort();
    assert!(answered[answered.len() / 2] > Duration::from_millis(300), "{answered:?}");
}

#[tokio::test]
async fn hundreds_of_requests_fit_into_one_task() {
    // A task that does so much at once runs out of its share of the runtime again and again.
    let server = Server::start(|_, _| answer("200 OK", "hello")).await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.connections = Connections::Reuse(300);
    let prober = open(&probe, &here(&[], &[])).await;
    for _ in 0..3 {
        let all = futures_util::future::join_all((0..300).map(|_| prober.once()));
        let seen = tokio::time::timeout(Duration::from_secs(20), all).await.expect("no request hangs");
        assert!(seen.iter().all(|seen| seen.outcome == Outcome::Ok));
    }
    // Those that come after an answer use its connection.
    assert!(server.accepted() <= 300, "{}", server.accepted());
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_not_used_again() {
    let server =
        Server::start(|_, _| [answer("200 OK", "x"), vec![Step::Close]].into_iter().flatten().collect())
            .await;
    let prober = open(&http("POST", &server.url(), &[]), &here(&[], &[])).await;
    for _ in 0..5 {
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.accepted(), 5);
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_where_repeating_is_safe() {
    // The second request on a connection finds it closed, or reset.
    let second: [fn() -> Vec<Step>; 2] = [|| vec![Step::Close], || vec![Step::Reset]];
    for stale in second {
        let script = move |_, number| if number == 0 { answer("200 OK", "") } else { stale() };
        let server = Server::start(script).await;
        let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
        let again = prober.once().await;
        assert_eq!((again.outcome, again.connect.is_some()), (Outcome::Ok, true), "{again:?}");
        assert_eq!(server.accepted(), 2);

        // Sent twice, a POST might count twice: the failure is reported.
        let server = Server::start(script).await;
        let prober = open(&http("POST", &server.url(), &[]), &here(&[], &[])).await;
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
        assert!(
            ["connection closed before an answer", "connection reset"].contains(&error(&prober.once().await))
        );
        assert_eq!(server.accepted(), 1);
    }
    // Where the answer has begun, the request is not repeated either.
    let half = |_, number| {
        if number == 0 { answer("200 OK", "") } else { vec![Step::Write("HTTP/1.1 2"), Step::Close] }
    };
    let server = Server::start(half).await;
    let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
    assert_eq!(prober.once().await.outcome, Outcome::Ok);
    assert_eq!(error(&prober.once().await), "connection closed in the middle of an answer");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn failures_have_few_words() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let prober = open(&http("GET", &format!("http://{nobody}/"), &[]), &here(&[], &[])).await;
    let (one, two) = (prober.once().await, prober.once().await);
    assert_eq!(error(&one), "connection refused");
    assert!(std::sync::Arc::ptr_eq(one.error.as_ref().unwrap(), two.error.as_ref().unwrap()));

    type Case = (fn() -> Vec<Step>, &'static str);
    let cases: [Case; 6] = [
        (|| vec![Step::Close], "connection closed before an answer"),
        (|| vec![Step::Reset], "connection reset"),
        (|| vec![Step::Write("HTTP/1.1 200 O"), Step::Close], "connection closed in the middle of an answer"),
        (
            || {
                vec![
                    Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
                    Step::Wait(Duration::from_millis(50)),
                    Step::Reset,
                ]
            },
            "connection reset",
        ),
        (
            || vec![Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), Step::Close],
            "connection closed in the middle of an answer",
        ),
        (|| vec![Step::Write("SSH-2.0-OpenSSH\r\n\r\n")], "malformed answer"),
    ];
    for (script, expected) in cases {
        let server = Server::start(move |_, _| script()).await;
        let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
        assert_eq!(error(&prober.once().await), expected);
        // A fresh connection that fails is not tried again.
        assert_eq!(server.accepted(), 1, "{expected}");
    }
}

#[tokio::test]
async fn a_slow_body_counts_after_the_first_byte() {
    let server = Server::start(|_, _| {
        vec![
            Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc"),
            Step::Wait(Duration::from_millis(1500)),
            Step::Write("def"),
        ]
    })
    .await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.ok_when = Some(Condition::BodyContains("cd".into()));
    let start = std::time::Instant::now();
    let seen = open(&probe, &here(&[], &[])).await.once().await;
    assert_eq!(seen.outcome, Outcome::Ok, "{seen:?}");
    assert!(start.elapsed() >= Duration::from_millis(1500));
    assert!(seen.ttfb.unwrap() < Duration::from_millis(1000), "{seen:?}");
}

#[tokio::test]
async fn chunked_bodies_are_read_to_their_end() {
    let server = Server::start(|_, _| {
        vec![
            Step::Write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Step::Wait(Duration::from_millis(20)),
            Step::Write("3\r\ndef\r\n0\r\n\r\n"),
        ]
    })
    .await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.ok_when = Some(Condition::BodyContains("abcdef".into()));
    let prober = open(&probe, &here(&[], &[])).await;
    for _ in 0..3 {
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn status_decides_by_default() {
    let server =
        Server::start(|_, number| answer(["200 OK", "302 Found", "404 Not Found", "503 Busy"][number], ""))
            .await;
    let prober = open(&http("GET", &server.url(), &[]), &here(&[], &[])).await;
    assert_eq!(prober.once().await.outcome, Outcome::Ok);
    assert_eq!(prober.once().await.outcome, Outcome::Ok);
    assert_eq!(error(&prober.once().await), "status 404");
    let last = prober.once().await;
    assert_eq!((error(&last), last.status), ("status 503", Some(503)));
    // An unwelcome status breaks no connection.
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn conditions_look_at_body_and_header() {
    let server = Server::start(|_, _| answer("503 Busy", "try again later")).await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.ok_when = Some(Condition::All(vec![
        Condition::Status(vec![(503, 503)]),
        Condition::BodyContains("again".into()),
        Condition::Header("X-Served-By".into(), "api-1".into()),
    ]));
    assert_eq!(open(&probe, &here(&[], &[])).await.once().await.outcome, Outcome::Ok);
    probe.ok_when = Some(Condition::BodyContains("never".into()));
    assert_eq!(error(&open(&probe, &here(&[], &[])).await.once().await), "body does not contain `never`");
}

#[tokio::test]
async fn labels_come_from_header_status_and_peer() {
    let server = Server::start(|_, _| answer("404 Not Found", "")).await;
    let mut probe = http("GET", &server.url(), &[]);
    let label = |name: &str, source| Label { name: text(name), source };
    probe.labels = vec![
        label("backend", LabelSource::Header("X-Served-By".into())),
        label("missing", LabelSource::Header("x-other".into())),
        label("code", LabelSource::Status),
        label("peer", LabelSource::Peer),
    ];
    let seen = open(&probe, &here(&[], &[])).await.once().await;
    let mut labels: Vec<_> = seen.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    labels.sort_unstable();
    assert_eq!(labels, [("backend", "api-1"), ("code", "404"), ("peer", "127.0.0.1")]);
}

#[tokio::test]
async fn who_is_asked_is_known_of_a_request_that_nobody_answers() {
    // It takes connections, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://api:{}/", listener.local_addr().unwrap().port());
    let place = here(&[("api", &["127.0.0.1"])], &[]);
    for connections in [Connections::Fresh, Connections::Reuse(1)] {
        let mut probe = http("GET", &url, &[]);
        probe.connections = connections;
        probe.labels = vec![Label { name: text("peer"), source: LabelSource::Peer }];
        let prober = open(&probe, &place).await;
        let (first, second) = (Progress::default(), Progress::default());
        let both = async { tokio::join!(prober.attempt(&first), prober.attempt(&second)) };
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), both).await.is_err());
        assert_eq!(first.waited_for(), "answer");
        let waits = if connections == Connections::Fresh { "answer" } else { "free connection of the probe" };
        assert_eq!(second.waited_for(), waits);
        // Also one that waits for the connection of another: it would have been sent there.
        let known = [(std::sync::Arc::from("peer"), std::sync::Arc::from("127.0.0.1"))];
        assert_eq!(first.labels(), known, "{connections:?}");
        let again = Progress::default();
        let waiting = async { tokio::join!(prober.attempt(&first), prober.attempt(&again)) };
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), waiting).await.is_err());
        assert_eq!(again.labels(), known, "{connections:?}");
    }
}

#[tokio::test]
async fn addresses_of_a_name_take_turns() {
    let mut servers = vec![Server::start(|_, _| answer("200 OK", "")).await];
    let port = servers[0].address.port();
    for last in [2, 3] {
        let listener =
            TcpListener::bind(("127.0.0.1".replace(".1", &format!(".{last}")), port)).await.unwrap();
        servers.push(Server::on(listener, |_, _| answer("200 OK", "")));
    }
    let place = here(&[("api", &["127.0.0.1", "127.0.0.2", "127.0.0.3"])], &[]);
    let prober = open(&http("GET", &format!("http://api:{port}/"), &[]), &place).await;
    for _ in 0..30 {
        assert_eq!(prober.once().await.outcome, Outcome::Ok);
    }
    for server in &servers {
        assert_eq!((server.accepted(), server.requests.lock().unwrap().len()), (1, 10));
        assert!(server.requests.lock().unwrap()[0].contains(&format!("host: api:{port}")));
    }
    let unknown = refused(&http("GET", "http://web/", &[]), &place).await;
    assert_eq!(unknown, "`web` has no address at this machine, and there is no DNS server to ask");
}

#[tokio::test]
async fn secrets_reach_the_server_and_nothing_else() {
    let server = Server::start(|_, _| answer("200 OK", "")).await;
    let probe = http("GET", &server.url(), &[("authorization", HeaderValue::SecretEnv("TOKEN".into()))]);
    let probers = StandardProbers::new().secrets(|name| (name == "TOKEN").then(|| "hunter2".to_owned()));
    let seen = probers.open(&probe, &here(&[], &[])).await.unwrap().each().unwrap().once().await;
    assert!(server.requests.lock().unwrap()[0].contains("authorization: hunter2"));
    let shown = format!("{seen:?} {probe:?} {probers:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let missing = refused(&probe, &here(&[], &[])).await;
    assert!(missing.contains("environment variable `TOKEN`"), "{missing}");
}

/// Returns how many connections to a port this process has: what another test's starting child has a copy of is not ours.
fn sockets_with(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let hex = format!(":{port:04X}");
    // Established (01) or waiting for our close (08), with this port at the far end.
    let inodes: std::collections::BTreeSet<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[2].ends_with(&hex) && ["01", "08"].contains(&fields[3]))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let names = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    names.filter(|name| inodes.contains(&*name.to_string_lossy())).count()
}

#[tokio::test]
async fn dropped_requests_leave_no_connection() {
    let server = Server::start(|_, _| vec![Step::Wait(Duration::from_secs(600))]).await;
    let mut probe = http("GET", &server.url(), &[]);
    probe.connections = Connections::Reuse(100);
    let prober = open(&probe, &here(&[], &[])).await;
    for batch in 0..10 {
        let all = futures_util::future::join_all((0..100).map(|_| prober.once()));
        // Some are dropped while they connect, most while they wait for an answer.
        let time = Duration::from_millis(if batch % 2 == 0 { 1 } else { 50 });
        assert!(tokio::time::timeout(time, all).await.is_err());
    }
    assert!(server.accepted() >= 500, "{}", server.accepted());
    assert_eq!(sockets_with(server.address.port()), 0);
}

#[tokio::test]
async fn waiting_for_a_connection_of_its_own_is_a_part_of_its_own() {
    let server = Server::start(|_, _| {
        let mut steps = vec![Step::Wait(Duration::from_millis(300))];
        steps.extend(answer("200 OK", ""));
        steps
    })
    .await;
    let mut one = http("GET", &server.url(), &[]);
    one.connections = Connections::Reuse(1);
    let prober = open(&one, &here(&[], &[])).await;
    let (first, second) = tokio::join!(prober.once(), prober.once());
    let (short, long) = (first.wait.unwrap(), second.wait.unwrap());
    assert!(short < Duration::from_millis(100), "{first:?}");
    assert!(long >= Duration::from_millis(250) && long < Duration::from_millis(600), "{second:?}");
    // Who is late is said by what was waited for when the time was over.
    let (waiting, answered) = (Progress::default(), Progress::default());
    let soon = Duration::from_millis(150);
    let both = async { tokio::join!(prober.attempt(&answered), prober.attempt(&waiting)) };
    assert!(tokio::time::timeout(soon, both).await.is_err());
    assert_eq!((answered.waited_for(), waiting.waited_for()), ("answer", "free connection of the probe"));
    one.connections = Connections::Fresh;
    assert_eq!(open(&one, &here(&[], &[])).await.once().await.wait, None);
}
