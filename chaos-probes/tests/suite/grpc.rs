//! gRPC health checks against a real HTTP/2 server.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use chaos_core::{
    model::{Probe, ProbeKind, probe::Connections},
    probe::{Observation, Outcome},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, header::HeaderMap, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    tls::Authority,
    world::{here, open, probe, text},
};

/// What the server says of a service: the number of its status, or the code of an error.
type Health = fn(&str) -> Result<u8, u32>;

async fn answer(
    request: Request<Incoming>,
    health: Health,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let message = request.into_body().collect().await.unwrap().to_bytes();
    // Frame, then field 1 of type bytes with its length.
    let service = message.get(7..).map_or(String::new(), |name| String::from_utf8(name.to_vec()).unwrap());
    let said = health(&service);
    let status = said.map_or_else(|code| code, |_| 0).to_string();
    let frame = said.map_or(Bytes::new(), |number| vec![0, 0, 0, 0, 2, 8, number].into());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let body = Full::new(frame).with_trailers(async move { Some(Ok(trailers)) }).boxed();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, health: Health) {
    tokio::spawn(async move {
        let service = service_fn(move |request| answer(request, health));
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    });
}

async fn serve(tls: Option<Arc<rustls::ServerConfig>>, health: Health) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => speak(stream, health),
                Some(config) => {
                    if let Ok(stream) = TlsAcceptor::from(config.clone()).accept(stream).await {
                        speak(stream, health);
                    }
                }
            }
        }
    });
    port
}

fn health(port: u16, service: &str) -> Probe {
    let address = text(&format!("api.example:{port}"));
    probe(ProbeKind::Grpc { address, service: service.into(), secure: false })
}

async fn once(probe: &Probe) -> Observation {
    let prober = open(probe, &here(&[("api.example", &["127.0.0.1"])], &[])).await;
    tokio::time::timeout(Duration::from_secs(20), prober.once()).await.unwrap()
}

fn status(seen: &Observation) -> Vec<(&str, &str)> {
    seen.labels.iter().map(|(name, value)| (&**name, &**value)).collect()
}

const ALL: Health = |service| match service {
    "" | "ready" => Ok(1),
    "down" => Ok(2),
    "odd" => Ok(0),
    "secret" => Err(7),
    _ => Err(5),
};

#[tokio::test]
async fn serving_is_a_success_and_all_else_has_a_name() {
    let port = serve(None, ALL).await;
    let whole = once(&health(port, "")).await;
    assert_eq!((whole.outcome, status(&whole)), (Outcome::Ok, vec![("status", "SERVING")]), "{whole:?}");
    assert!(whole.connect.is_some() && whole.ttfb.is_some() && whole.tls.is_none());
    assert_eq!(once(&health(port, "ready")).await.outcome, Outcome::Ok);
    for (service, label, why) in [
        ("down", "NOT_SERVING", "not serving"),
        ("odd", "UNKNOWN", "its health is unknown to the server"),
        ("other", "SERVICE_UNKNOWN", "the server knows no service `other`"),
        ("secret", "PERMISSION_DENIED", "grpc status PERMISSION_DENIED"),
    ] {
        let seen = once(&health(port, service)).await;
        assert_eq!((seen.outcome, seen.error.as_deref()), (Outcome::Failed, Some(why)), "{seen:?}");
        assert_eq!(status(&seen), [("status", label)]);
    }
    let bare = serve(None, |_| Err(12)).await;
    let seen = once(&health(bare, "")).await;
    assert_eq!(seen.error.as_deref(), Some("the server has no health checks"));
    assert_eq!(status(&seen), [("status", "UNIMPLEMENTED")]);
}

#[tokio::test]
async fn connections_are_kept_or_not() {
    let port = serve(None, ALL).await;
    let place = here(&[("api.example", &["127.0.0.1"])], &[]);
    let kept = open(&health(port, ""), &place).await;
    assert!(kept.once().await.connect.is_some());
    let again = kept.once().await;
    assert_eq!((again.outcome, again.connect), (Outcome::Ok, None));
    let fresh = Probe { connections: Connections::Fresh, ..health(port, "") };
    let fresh = open(&fresh, &place).await;
    assert!(fresh.once().await.connect.is_some() && fresh.once().await.connect.is_some());
}

#[tokio::test]
async fn it_speaks_tls_where_it_is_asked_to() {
    let authority = Authority::new();
    let port = serve(Some(authority.server("api.example", 2050, &["h2"])), ALL).await;
    let mut probe = health(port, "ready");
    let ProbeKind::Grpc { secure, .. } = &mut probe.kind else { unreachable!() };
    *secure = true;
    probe.trust = authority.trust();
    let seen = once(&probe).await;
    assert_eq!((seen.outcome, seen.value), (Outcome::Ok, None), "{seen:?}");
    assert!(seen.tls.is_some());
    let stranger = Authority::new();
    probe.trust = stranger.trust();
    assert_eq!(once(&probe).await.error.as_deref(), Some("tls: certificate from an unknown issuer"));
}

#[tokio::test]
async fn a_server_of_another_protocol_is_a_failure() {
    let plain = crate::world::Server::start(|_, _| crate::world::answer("200 OK", "")).await;
    let seen = once(&health(plain.address.port(), "")).await;
    assert_eq!(seen.outcome, Outcome::Failed, "{seen:?}");
}
