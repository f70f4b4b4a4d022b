//! TLS: https and tls probes against real handshakes, good and bad.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use chaos_core::{
    model::{
        Probe, ProbeKind,
        probe::{Condition, Connections, Trust},
    },
    probe::{Observation, Outcome},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::world::{here, http, open, probe, refused, text};

/// 2050-01-01, when good certificates end.
const END: u64 = 2_524_608_000;

/// An authority that exists for one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: tempfile::NamedTempFile,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // An authority of the same name with another key would be a forger, not a stranger.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let mut pem = tempfile::NamedTempFile::new().unwrap();
        pem.write_all(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::File(text(self.pem.path().to_str().unwrap()))
    }

    /// Makes a server's configuration for a name, with a certificate that ends at the start of a year.
    pub(crate) fn server(&self, name: &str, end: i32, protocols: &[&str]) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Serves HTTP over TLS on loopback; returns the port.
async fn serve(config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(config.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    request.push(byte);
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

fn https(port: u16, trust: Trust) -> Probe {
    Probe { trust, ..http("GET", &format!("https://api.example:{port}/"), &[]) }
}

fn tls(port: u16, name: Option<&str>, trust: Trust) -> Probe {
    let (address, name) = (text(&format!("127.0.0.1:{port}")), name.map(text));
    Probe { trust, ..probe(ProbeKind::Tls { address, name }) }
}

async fn once(probe: &Probe) -> Observation {
    open(probe, &here(&[("api.example", &["127.0.0.1"])], &[])).await.once().await
}

fn failed(seen: &Observation, why: &str) {
    assert_eq!((seen.outcome, seen.error.as_deref()), (Outcome::Failed, Some(why)), "{seen:?}");
}

#[tokio::test]
async fn https_is_http_with_a_handshake_that_has_a_time_of_its_own() {
    let authority = Authority::new();
    let port = serve(authority.server("api.example", 2050, &["h2", "http/1.1"])).await;
    let prober = open(&https(port, authority.trust()), &here(&[("api.example", &["127.0.0.1"])], &[])).await;
    let first = prober.once().await;
    assert_eq!((first.outcome, first.status), (Outcome::Ok, Some(200)), "{first:?}");
    assert!(first.connect.is_some() && first.tls.is_some() && first.ttfb.is_some(), "{first:?}");
    assert_eq!(first.value, None);
    let second = prober.once().await;
    assert_eq!((second.outcome, second.connect, second.tls), (Outcome::Ok, None, None), "{second:?}");
    let fresh = Probe { connections: Connections::Fresh, ..https(port, authority.trust()) };
    assert!(once(&fresh).await.tls.is_some());
}

#[tokio::test]
async fn a_bad_certificate_fails_and_says_what_is_wrong() {
    let authority = Authority::new();
    let expired = serve(authority.server("api.example", 2021, &[])).await;
    failed(&once(&https(expired, authority.trust())).await, "tls: certificate expired");
    let other = serve(authority.server("other.example", 2050, &[])).await;
    failed(&once(&https(other, authority.trust())).await, "tls: certificate for another name");
    let good = serve(authority.server("api.example", 2050, &[])).await;
    let stranger = Authority::new();
    failed(&once(&https(good, stranger.trust())).await, "tls: certificate from an unknown issuer");
    // One that speaks first, and no TLS.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"220 mail.example ready\r\n").await;
        }
    });
    let seen = once(&tls(port, None, authority.trust())).await;
    assert_eq!(seen.outcome, Outcome::Failed, "{seen:?}");
    assert!(seen.error.as_deref().is_some_and(|e| e.starts_with("tls: ")), "{seen:?}");
}

#[tokio::test]
async fn a_tls_probe_reads_how_long_the_certificate_is_valid() {
    let authority = Authority::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let good = serve(authority.server("api.example", 2050, &[])).await;
    let seen = once(&tls(good, Some("api.example"), authority.trust())).await;
    assert_eq!(seen.outcome, Outcome::Ok, "{seen:?}");
    assert!(seen.connect.is_some() && seen.tls.is_some());
    assert!((seen.value.unwrap() - (END as f64 - now)).abs() < 60.0, "{seen:?}");
    failed(&once(&tls(good, None, authority.trust())).await, "tls: certificate for another name");
    // What is wrong with a certificate does not hide when it ends.
    let expired = serve(authority.server("api.example", 2021, &[])).await;
    let seen = once(&tls(expired, Some("api.example"), authority.trust())).await;
    failed(&seen, "tls: certificate expired");
    assert!(seen.value.unwrap() < -86_400.0, "{seen:?}");
}

#[tokio::test]
async fn a_tls_probe_can_ask_for_days() {
    let authority = Authority::new();
    let good = serve(authority.server("api.example", 2050, &[])).await;
    let with = |seconds: f64| Probe {
        ok_when: Some(Condition::DaysLeft(seconds)),
        ..tls(good, Some("api.example"), authority.trust())
    };
    assert_eq!(once(&with(86_400.0)).await.outcome, Outcome::Ok);
    let seen = once(&with(1e12)).await;
    let why = seen.error.as_deref().unwrap();
    assert!(seen.outcome == Outcome::Failed && why.starts_with("certificate valid for "), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused() {
    let place = here(&[], &[]);
    let missing = refused(&tls(1, None, Trust::File(text("/nonexistent/ca.pem"))), &place).await;
    assert!(missing.contains("`/nonexistent/ca.pem` cannot be used"), "{missing}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let empty = Trust::File(text(empty.path().to_str().unwrap()));
    assert!(refused(&tls(1, None, empty), &place).await.contains("there is none"));
}
