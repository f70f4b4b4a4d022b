//! Servers that a lab has no program of its own for, on fixed ports: `stand-in FOLDER`.
//!
//! It writes the certificate of its authority to `FOLDER/ca.pem` and serves, until it is killed, https on 8443, gRPC health
//! checks on 50051, and on 9090 what Prometheus and Alertmanager would answer: a number that counts how often it was asked, and
//! an alert that fires once that is more than eight times.
//!
//! `stand-in metrics PORT FILE` instead serves one file, as it is at each request, for Prometheus to scrape.
#![allow(clippy::unwrap_used, reason = "a stand-in that cannot work ends with the place where it could not")]

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, header::HeaderMap, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

/// How often the number was asked for before the alert fires.
const QUIET: u64 = 8;

#[tokio::main]
async fn main() {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let [form, port, file] = words.as_slice()
        && form == "metrics"
    {
        return metrics(port.to_str().unwrap().parse().unwrap(), file.into()).await;
    }
    let folder: PathBuf = words.first().expect("a folder is named").into();
    let tls = authority(&folder);
    // The port that the lab waits for comes last.
    let monitoring = listen(9090).await;
    let health = listen(50051).await;
    let secure = listen(8443).await;
    let asked = Arc::new(AtomicU64::new(0));
    tokio::join!(
        serve(monitoring, move |stream| {
            let asked = asked.clone();
            async move {
                let service = service_fn(move |request| monitor(request, asked.clone()));
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            }
        }),
        serve(health, |stream| async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(stream, service_fn(check)).await;
        }),
        serve(secure, move |stream| {
            let tls = tls.clone();
            async move {
                let Ok(stream) = tls.accept(stream.into_inner()).await else { return };
                let service = service_fn(|_| async { text("hello") });
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        }),
    );
}

/// Serves what stands in a file.
async fn metrics(port: u16, file: PathBuf) {
    let listener = listen(port).await;
    serve(listener, move |stream| {
        let file = file.clone();
        async move {
            let service = service_fn(|_| async {
                let body = std::fs::read(&file).unwrap();
                let response = Response::builder().header("content-type", "text/plain; version=0.0.4");
                Answer::Ok(response.body(Full::new(body.into()).boxed()).unwrap())
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
        }
    })
    .await;
}

async fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("::", port)).await.unwrap()
}

async fn serve<F>(listener: TcpListener, speak: impl Fn(TokioIo<tokio::net::TcpStream>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(speak(TokioIo::new(stream)));
    }
}

/// Makes an authority and a certificate of it for `api`.
fn authority(folder: &std::path::Path) -> TlsAcceptor {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let mut params = CertificateParams::new(vec!["api".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2050, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn text(body: impl Into<Bytes>) -> Answer {
    Ok(Response::new(Full::new(body.into()).boxed()))
}

async fn monitor(request: Request<Incoming>, asked: Arc<AtomicU64>) -> Answer {
    match request.uri().path() {
        "/api/v1/query" => {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            text(format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{number}"]}}]}}}}"#
            ))
        }
        "/api/v2/alerts" if asked.load(Ordering::Relaxed) > QUIET => {
            text(r#"[{"labels":{"alertname":"AskedALot"},"status":{"state":"active"}}]"#)
        }
        "/api/v2/alerts" => text("[]"),
        _ => Ok(Response::builder().status(404).body(Full::new(Bytes::new()).boxed()).unwrap()),
    }
}

/// Serves `shop.Cart` and nothing else.
async fn check(request: Request<Incoming>) -> Answer {
    let message = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let known = message.ends_with(b"shop.Cart");
    let frame: &[u8] = if known { &[0, 0, 0, 0, 2, 8, 1] } else { &[] };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", if known { "0" } else { "5" }.parse().unwrap());
    let body = Full::new(Bytes::copy_from_slice(frame)).with_trailers(async move { Some(Ok(trailers)) });
    Ok(Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap())
}
