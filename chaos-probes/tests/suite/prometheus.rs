//! Prometheus probes against the answers that a real server gives.

use chaos_core::{
    model::{
        Probe, ProbeKind, Unit,
        probe::{Scale, Take, Taken},
    },
    probe::Outcome,
};

use crate::world::{Server, answer, here, open, probe, refused, text};

fn query(url: &str, change: impl FnOnce(&mut ProbeKind)) -> Probe {
    let (query, url) = (text("sum(queue_depth)"), text(url));
    let mut kind = ProbeKind::Prometheus { query, url, take: None, scale: Scale::PLAIN, default: None };
    change(&mut kind);
    probe(kind)
}

async fn read(
    status: &'static str,
    body: &'static str,
    change: impl FnOnce(&mut ProbeKind),
) -> (Outcome, Option<f64>, String) {
    let server = Server::start(move |_, _| answer(status, body)).await;
    let seen = open(&query(&server.url(), change), &here(&[], &[])).await.once().await;
    (seen.outcome, seen.value, seen.error.map_or_else(String::new, |e| e.to_string()))
}

const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000.123,"42.5"]}]}}"#;
const NONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
const TWO: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"2"]}]}}"#;
const NAN: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#;

#[tokio::test]
async fn the_number_is_read_in_the_base_of_its_unit() {
    assert_eq!(read("200 OK", ONE, |_| {}).await, (Outcome::Ok, Some(42.5), String::new()));
    let scaled = read("200 OK", ONE, |kind| {
        let ProbeKind::Prometheus { scale, .. } = kind else { unreachable!() };
        *scale = Scale { unit: Unit::Seconds, factor: 1e-3 };
    });
    assert_eq!(scaled.await.1, Some(0.0425));
}

#[tokio::test]
async fn what_cannot_be_read_is_unknown_and_says_why() {
    let unread = |why: &str| (Outcome::NotRun, None, why.to_owned());
    assert_eq!(read("200 OK", NONE, |_| {}).await, unread("no series matches the query"));
    assert_eq!(read("200 OK", NAN, |_| {}).await, unread("the query gives NaN"));
    assert_eq!(read("503 Service Unavailable", "", |_| {}).await, unread("status 503"));
    assert_eq!(read("200 OK", "<html>", |_| {}).await, unread("the answer is not of the expected form"));
    let (outcome, _, why) = read("200 OK", TWO, |_| {}).await;
    assert!(outcome == Outcome::NotRun && why.contains("2 series") && why.contains("sum("), "{why}");
    let bad = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error"}"#;
    let (outcome, _, why) = read("400 Bad Request", bad, |_| {}).await;
    assert_eq!(
        (outcome, why.as_str()),
        (Outcome::NotRun, "bad_data: invalid parameter \"query\": 1:5: parse error")
    );
    let gone = open(&query("http://127.0.0.1:1/", |_| {}), &here(&[], &[])).await.once().await;
    assert_eq!((gone.outcome, gone.error.as_deref()), (Outcome::NotRun, Some("connection refused")));
}

#[tokio::test]
async fn an_answer_without_a_series_has_the_default_that_was_written() {
    let with = |body| {
        read("200 OK", body, |kind| {
            let ProbeKind::Prometheus { default, .. } = kind else { unreachable!() };
            *default = Some(0.0);
        })
    };
    assert_eq!(with(NONE).await, (Outcome::Ok, Some(0.0), String::new()));
    assert_eq!(with(NAN).await.0, Outcome::NotRun);
}

#[tokio::test]
async fn a_stretch_is_asked_for_in_the_query_and_paths_are_kept() {
    let server = Server::start(|_, _| answer("200 OK", ONE)).await;
    let probe = query(&format!("{}prom/", server.url()), |kind| {
        let ProbeKind::Prometheus { take, .. } = kind else { unreachable!() };
        let seconds = std::time::Duration::from_secs;
        *take = Some(Take { which: Taken::Max, over: seconds(60), step: seconds(5) });
    });
    assert_eq!(open(&probe, &here(&[], &[])).await.once().await.value, Some(42.5));
    let request = server.requests.lock().unwrap()[0].clone();
    let path = request.split_whitespace().nth(1).unwrap();
    assert_eq!(
        path,
        "/prom/api/v1/query?query=max_over_time%28%28sum%28queue_depth%29%29%5B60000ms%3A5000ms%5D%29"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let place = here(&[], &[]);
    let error = refused(&query("http://127.0.0.1:1/?a=b", |_| {}), &place).await;
    assert!(error.contains("paths of its own"), "{error}");
    let mut judged = query("http://127.0.0.1:1/", |_| {});
    judged.ok_when = Some(chaos_core::model::probe::Condition::Status(vec![(200, 200)]));
    assert!(refused(&judged, &place).await.contains("not judged"));
}
