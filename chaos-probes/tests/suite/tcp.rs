use chaos_core::{
    model::{
        ProbeKind,
        probe::{Condition, Label, LabelSource},
    },
    probe::Outcome,
};
use tokio::net::TcpListener;

use crate::world::{here, open, probe, refused, text};

#[tokio::test]
async fn a_handshake_is_a_success() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tcp = probe(ProbeKind::Tcp { address: text(&format!("api:{port}")) });
    tcp.labels = vec![Label { name: text("peer"), source: LabelSource::Peer }];
    let prober = open(&tcp, &here(&[("api", &["127.0.0.1"])], &[])).await;
    for _ in 0..3 {
        let seen = prober.once().await;
        assert_eq!((seen.outcome, &seen.error), (Outcome::Ok, &None));
        assert!(seen.connect.is_some() && seen.dns.is_some());
        assert_eq!(&*seen.labels[0].1, "127.0.0.1");
        listener.accept().await.unwrap();
    }
    drop(listener);
    let seen = prober.once().await;
    assert_eq!(
        (seen.outcome, seen.error.as_deref()),
        (Outcome::Failed, Some("connection refused (127.0.0.1)"))
    );
}

#[tokio::test]
async fn what_can_never_work_does_not_open() {
    let tcp = |address: &str| probe(ProbeKind::Tcp { address: text(address) });
    assert_eq!(refused(&tcp("api"), &here(&[], &[])).await, "`api` has no port");
    let mut judged = tcp("127.0.0.1:1");
    judged.ok_when = Some(Condition::Status(vec![(200, 200)]));
    assert_eq!(refused(&judged, &here(&[], &[])).await, "a tcp probe has no answer to judge");
    let custom = probe(ProbeKind::Custom { prober: "queue".into() });
    assert_eq!(refused(&custom, &here(&[], &[])).await, "there is no prober `queue`");
}
