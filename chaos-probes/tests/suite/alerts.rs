//! Which alerts fire, in the words of Alertmanager and of Prometheus.

use chaos_core::{
    model::{Probe, ProbeKind, probe::AlertSource},
    probe::{Observation, Outcome},
};

use crate::world::{Server, answer, here, open, probe, text};

fn alerts(source: AlertSource, url: &str) -> Probe {
    probe(ProbeKind::Alerts { source, url: text(url) })
}

async fn asked(source: AlertSource, status: &'static str, body: &'static str) -> (Observation, String) {
    let server = Server::start(move |_, _| answer(status, body)).await;
    let seen = open(&alerts(source, &server.url()), &here(&[], &[])).await.once().await;
    let request = server.requests.lock().unwrap()[0].clone();
    (seen, request.split_whitespace().nth(1).unwrap().to_owned())
}

fn firing(seen: &Observation) -> Vec<&str> {
    assert!(seen.labels.iter().all(|(name, _)| &**name == "alert"), "{seen:?}");
    seen.labels.iter().map(|(_, value)| &**value).collect()
}

#[tokio::test]
async fn alertmanager_lists_what_fires() {
    let body = r#"[
        {"annotations":{},"endsAt":"2030-01-01T00:00:00.000Z","fingerprint":"ab","receivers":[{"name":"web"}],
         "startsAt":"2026-01-01T00:00:00.000Z","status":{"inhibitedBy":[],"silencedBy":[],"state":"active"},
         "updatedAt":"2026-01-01T00:00:00.000Z","labels":{"alertname":"CheckoutErrors","severity":"critical","pod":"a"}},
        {"labels":{"alertname":"CheckoutErrors","pod":"b"},"status":{"state":"active"}},
        {"labels":{"alertname":"Silenced"},"status":{"state":"suppressed"}}]"#;
    let (seen, path) = asked(AlertSource::Alertmanager, "200 OK", body).await;
    assert_eq!((seen.outcome, firing(&seen)), (Outcome::Ok, vec!["CheckoutErrors", "Silenced"]));
    assert!(path.starts_with("/api/v2/alerts"), "{path}");
    assert!(firing(&asked(AlertSource::Alertmanager, "200 OK", "[]").await.0).is_empty());
}

#[tokio::test]
async fn prometheus_also_lists_what_is_about_to() {
    let body = r#"{"status":"success","data":{"alerts":[
        {"labels":{"alertname":"Slow"},"annotations":{},"state":"firing","activeAt":"2026-01-01T00:00:00Z","value":"1e+00"},
        {"labels":{"alertname":"Soon"},"annotations":{},"state":"pending","activeAt":"2026-01-01T00:00:00Z","value":"1e+00"}]}}"#;
    let (seen, path) = asked(AlertSource::Prometheus, "200 OK", body).await;
    assert_eq!((seen.outcome, firing(&seen)), (Outcome::Ok, vec!["Slow"]));
    assert!(path.starts_with("/api/v1/alerts"), "{path}");
}

#[tokio::test]
async fn nobody_to_ask_is_unknown_and_never_quiet() {
    for (status, body) in
        [("503 Service Unavailable", ""), ("200 OK", "{}"), ("404 Not Found", "no such page")]
    {
        let (seen, _) = asked(AlertSource::Alertmanager, status, body).await;
        assert_eq!(seen.outcome, Outcome::NotRun, "{status}: {seen:?}");
        assert!(seen.error.is_some());
    }
    let gone = alerts(AlertSource::Prometheus, "http://127.0.0.1:1/");
    assert_eq!(open(&gone, &here(&[], &[])).await.once().await.outcome, Outcome::NotRun);
}
