use super::{
    message::tests::query,
    packet::{
        ACK, FIN, PSH, RST, SYN,
        tests::{datagram, stream},
    },
    *,
};
use crate::forwarder::frame::OFFLOADS;

const MS: u64 = 1_000_000;

fn queries(effect: NameEffect, of: &str) -> (Queries, Arc<Mutex<Tally>>) {
    let tally = Arc::<Mutex<Tally>>::default();
    let asking = Asking { fault: NameFault::new(effect, of.to_owned()), search: vec!["lab".into()] };
    (Queries::new(asking, 7, Arc::clone(&tally)), tally)
}

fn fail(failure: NameFailure) -> NameEffect {
    NameEffect::Fail { failure, ratio: 1.0 }
}

fn delay(per: Per) -> NameEffect {
    NameEffect::Delay { delay: Duration::from_millis(500), jitter: Duration::ZERO, per }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

#[test]
fn datagrams_for_other_names_and_other_datagrams_pass() {
    let (mut queries, tally) = queries(fail(NameFailure::Nxdomain), "pay*");
    for payload in
        [query(1, "other.example", 1, &[]), query(1, "lab.pay", 28, &[]), b"no query".to_vec(), vec![]]
    {
        assert_eq!(queries.decide(0, &datagram(&payload)), Fate::Pass);
    }
    assert_eq!(queries.decide(0, b"no frame"), Fate::Pass);
    let Fate::Answer(answer, None) = queries.decide(0, &datagram(&query(9, "PAY.lab", 16, &[]))) else {
        panic!("not answered")
    };
    let answer = Packet::read(&answer).unwrap().payload;
    assert_eq!((answer[..2].to_vec(), answer[3] & 15), (vec![0, 9], 3));
    let tally = tally.lock().unwrap();
    assert_eq!((tally.seen, tally.meant, tally.changed), (3, 1, 1));
}

#[test]
fn a_share_of_the_queries_fails() {
    let (mut queries, tally) = queries(NameEffect::Fail { failure: NameFailure::Timeout, ratio: 0.3 }, "*");
    let dropped = (0..10_000)
        .filter(|n| queries.decide(0, &datagram(&query(*n as u16, "a", 1, &[]))) == Fate::Drop)
        .count();
    assert!((2_800..3_200).contains(&dropped), "{dropped}");
    let tally = tally.lock().unwrap();
    assert_eq!((tally.meant, tally.changed), (10_000, dropped as u64));
}

#[test]
fn queries_are_late_each_or_once_for_a_lookup() {
    let (mut each, _) = queries(delay(Per::Query), "pay");
    let (mut once, tally) = queries(delay(Per::Lookup), "pay");
    let asked = [(1, "pay.lab", 0), (28, "pay.lab", 3), (1, "pay", 501)];
    for (n, (kind, name, at)) in asked.into_iter().enumerate() {
        let frame = datagram(&query(n as u16, name, kind, &[]));
        assert_eq!(each.decide(at * MS, &frame), Fate::Hold((at + 500) * MS, true));
        let expected = if at < 500 { Fate::Hold(500 * MS, at == 0) } else { Fate::Pass };
        assert_eq!(once.decide(at * MS, &frame), expected, "{n}");
    }
    let tally = tally.lock().unwrap();
    assert_eq!((tally.meant, tally.changed, tally.lookups), (3, 3, 1));
    let line = tally.line(None);
    assert!(line.ends_with("`pay` 3 (A 2, AAAA 1)"), "{line}");
}

#[test]
fn a_stream_that_was_open_before_is_answered_and_ended_on_both_sides() {
    let (mut queries, _) = queries(fail(NameFailure::Servfail), "pay");
    let other = framed(&query(1, "other", 1, &[]));
    assert_eq!(queries.decide(0, &stream(100, 50, PSH | ACK, &other)), Fate::Pass);
    let asked = framed(&query(2, "pay", 1, &[]));
    let at = 100 + other.len() as u32;
    // In parts: what completes it is what counts.
    assert_eq!(queries.decide(0, &stream(at, 80, ACK, &asked[..2])), Fate::Pass);
    let last = stream(at + 2, 80, PSH | ACK, &asked[2..]);
    let Fate::Answer(back, Some(on)) = queries.decide(0, &last) else { panic!("not answered") };
    let answer = Packet::read(&back).unwrap();
    let tcp = answer.tcp.unwrap();
    let end = at + asked.len() as u32;
    assert_eq!((tcp.seq, tcp.ack, tcp.flags), (80, end, PSH | FIN | ACK));
    assert_eq!(answer.payload[..4], [0, asked.len() as u8 - 2, 0, 2]);
    let reset = Packet::read(&on).unwrap().tcp.unwrap();
    assert_eq!((reset.seq, reset.flags & RST), (at + 2, RST));
    // Sent again, it is answered again; the end is acknowledged; nothing reaches the server.
    assert_eq!(queries.decide(0, &last), Fate::Answer(back.clone(), None));
    assert_eq!(queries.decide(0, &stream(end, 80, ACK, &[])), Fate::Drop);
    let behind = 80 + answer.payload.len() as u32 + 1;
    let Fate::Answer(ended, None) = queries.decide(0, &stream(end, behind, FIN | ACK, &[])) else {
        panic!("the end is not acknowledged")
    };
    let ended = Packet::read(&ended).unwrap().tcp.unwrap();
    assert_eq!((ended.seq, ended.ack, ended.flags), (behind, end + 1, ACK));
    assert_eq!(queries.decide(0, &stream(end, behind, RST, &[])), Fate::Drop);
    assert_eq!(queries.decide(0, &stream(9, 0, SYN, &[])), Fate::Pass);
}

#[test]
fn an_answer_that_is_sent_again_goes_the_way_its_client_came_last() {
    let (mut queries, _) = queries(fail(NameFailure::Servfail), "pay");
    let mut asked = stream(100, 50, PSH | ACK, &framed(&query(2, "pay", 1, &[])));
    let Fate::Answer(first, Some(_)) = queries.decide(0, &asked) else { panic!("not answered") };
    let own = OFFLOADS + 6..OFFLOADS + 12;
    assert_eq!(first[OFFLOADS..OFFLOADS + 6], asked[own.clone()]);
    // The client moved behind another router, and asks again.
    asked[own.clone()].fill(3);
    let Fate::Answer(again, None) = queries.decide(0, &asked) else { panic!("not answered again") };
    assert_eq!(again[OFFLOADS..OFFLOADS + 6], asked[own]);
    assert_eq!(again[OFFLOADS + 12..], first[OFFLOADS + 12..]);
}

#[test]
fn a_stream_is_silent_from_a_query_on_that_vanished() {
    let (mut queries, _) = queries(fail(NameFailure::Timeout), "pay");
    let asked = framed(&query(2, "pay", 1, &[]));
    assert_eq!(queries.decide(0, &stream(99, 0, SYN, &[])), Fate::Pass);
    assert_eq!(queries.decide(0, &stream(100, 1, ACK, &[])), Fate::Pass);
    for _ in 0..2 {
        assert_eq!(queries.decide(0, &stream(100, 1, PSH | ACK, &asked)), Fate::Drop);
    }
    assert_eq!(queries.decide(0, &stream(100, 1, ACK, &[])), Fate::Pass);
}

#[test]
fn a_segment_is_held_once_however_often_it_is_sent() {
    let (mut queries, tally) = queries(delay(Per::Query), "pay");
    let two = [framed(&query(1, "pay", 1, &[])), framed(&query(2, "pay", 28, &[]))].concat();
    let segment = stream(u32::MAX - 10, 1, PSH | ACK, &two);
    assert_eq!(queries.decide(0, &segment), Fate::Hold(500 * MS, true));
    assert_eq!(queries.decide(200 * MS, &segment), Fate::Drop);
    assert_eq!(queries.decide(600 * MS, &segment), Fate::Pass);
    assert_eq!(tally.lock().unwrap().seen, 2);
}

#[test]
fn over_tcp_nothing_is_too_long() {
    let (mut queries, tally) = queries(fail(NameFailure::Truncate), "pay");
    let asked = query(2, "pay", 1, &[]);
    assert_eq!(queries.decide(0, &stream(1, 1, PSH | ACK, &framed(&asked))), Fate::Pass);
    let Fate::Answer(answer, None) = queries.decide(0, &datagram(&asked)) else { panic!("not answered") };
    assert_eq!(Packet::read(&answer).unwrap().payload[2] & 2, 2);
    let tally = tally.lock().unwrap();
    assert_eq!((tally.meant, tally.changed), (2, 1));
}

#[test]
fn whatever_comes_is_decided() {
    let (mut queries, _) = queries(fail(NameFailure::Refused), "*");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let asked = framed(&query(2, "pay.example", 1, &[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]));
    for n in 0..50_000_u32 {
        let mut frame = match n % 2 {
            0 => datagram(&asked[2..]),
            _ => stream(n, 1, PSH | ACK, &asked),
        };
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..frame.len());
            frame[at] = random.random();
        }
        frame.truncate(random.random_range(0..=frame.len()));
        queries.decide(u64::from(n), &frame);
    }
}
