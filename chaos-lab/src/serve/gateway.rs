//! The built-in gateway: a reverse proxy with a timeout per try, retries and pooled connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::{request, response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::configuration::Gateway;
use super::http::SERVED_BY;
use super::{
    dns,
    socket::{ServeError, accept, listener},
};

/// The header that says how many tries beyond the first an answer took.
pub const RETRIES: HeaderName = HeaderName::from_static("x-retries");

/// The largest request or answer that is passed on: both are held in memory so that a try can be repeated whole.
const LARGEST_BODY: usize = 16 << 20;

/// How long the upstream's addresses are kept: the time to live that the lab's DNS server gives.
const ADDRESSES_KEPT: Duration = Duration::from_secs(1);

/// How many idle connections to one address are kept.
const IDLE_KEPT: usize = 256;

/// Headers that belong to one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Serves until the process is killed.
///
/// # Errors
///
/// Fails when the port is taken.
pub async fn serve(configuration: Gateway) -> Result<(), ServeError> {
    let listener = listener(configuration.port)?;
    let gateway = Rc::new(Proxy {
        configuration,
        known: RefCell::default(),
        turn: Cell::default(),
        idle: RefCell::default(),
    });
    tokio::task::LocalSet::new()
        .run_until(accept(listener, |stream| {
            let gateway = Rc::clone(&gateway);
            tokio::task::spawn_local(async move {
                let client = stream.peer_addr().map(|a| a.ip().to_canonical()).ok();
                let service = service_fn(|request| {
                    let gateway = Rc::clone(&gateway);
                    async move { Ok::<_, Infallible>(gateway.forward(request, client).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service);
                // A client that leaves in the middle is its own affair.
                let _ = connection.await;
            });
        }))
        .await
}

/// A connection to an upstream address.
type Upstream = client::SendRequest<Full<Bytes>>;

/// An upstream's answer, held whole.
type Answer = (response::Parts, Bytes);

struct Proxy {
    configuration: Gateway,
    known: RefCell<Option<(Instant, Rc<[SocketAddr]>)>>,
    turn: Cell<usize>,
    idle: RefCell<BTreeMap<SocketAddr, Vec<Upstream>>>,
}

/// Why a try failed.
#[derive(Debug)]
enum TryError {
    /// The upstream did not take the connection; nothing was sent.
    Connect(String),
    /// The time was up.
    Timeout,
    /// The connection broke, or what came was not an answer.
    Broken(String),
}

impl Proxy {
    async fn forward(&self, request: Request<Incoming>, client: Option<IpAddr>) -> Response<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let body = match Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(e) if e.is::<LengthLimitError>() => {
                return self.own(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than 16 MiB", 0);
            }
            Err(_) => return self.own(StatusCode::BAD_REQUEST, "the request ended too soon", 0),
        };
        if let Err(reason) = self.prepare(&mut parts, client) {
            return self.own(StatusCode::BAD_REQUEST, &reason, 0);
        }
        let upstreams = match self.upstreams().await {
            Ok(upstreams) if !upstreams.is_empty() => upstreams,
            Ok(_) => return self.own(StatusCode::SERVICE_UNAVAILABLE, "the upstream has no address", 0),
            Err(reason) => return self.own(StatusCode::SERVICE_UNAVAILABLE, &reason, 0),
        };
        let first = self.turn.replace(self.turn.get().wrapping_add(1));

        let mut retries = 0;
        loop {
            let address = upstreams[first.wrapping_add(retries as usize) % upstreams.len()];
            let outcome = self.attempt(address, &parts, &body).await;
            let may_retry = retries < self.configuration.retries && repeatable(&parts.method, &outcome);
            match outcome {
                Ok((answer, _)) if answer.status.is_server_error() && may_retry => {}
                Ok(answer) => return passed_on(answer, retries),
                Err(_) if may_retry => {}
                Err(TryError::Timeout) => {
                    let reason = format!("{address} did not answer within {:?}", self.configuration.timeout);
                    return self.own(StatusCode::GATEWAY_TIMEOUT, &reason, retries);
                }
                Err(TryError::Connect(reason) | TryError::Broken(reason)) => {
                    return self.own(StatusCode::BAD_GATEWAY, &format!("{address}: {reason}"), retries);
                }
            }
            retries += 1;
        }
    }

    /// Makes the request one of the gateway's own towards the upstream.
    fn prepare(&self, parts: &mut request::Parts, client: Option<IpAddr>) -> Result<(), String> {
        strip(&mut parts.headers);
        // The body is passed on whole, so the length is known anew.
        parts.headers.remove(header::CONTENT_LENGTH);
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        parts.uri = path.parse::<Uri>().map_err(|e| e.to_string())?;
        if !parts.headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(&self.configuration.upstream).map_err(|e| e.to_string())?;
            parts.headers.insert(header::HOST, host);
        }
        if let Some(client) = client.and_then(|c| HeaderValue::from_str(&c.to_string()).ok()) {
            parts.headers.append(HeaderName::from_static("x-forwarded-for"), client);
        }
        Ok(())
    }

    /// Returns the upstream's addresses, asking for them when those at hand are too old.
    async fn upstreams(&self) -> Result<Rc<[SocketAddr]>, String> {
        if let Some((since, known)) = &*self.known.borrow()
            && (self.configuration.dns.is_empty() || since.elapsed() < ADDRESSES_KEPT)
        {
            return Ok(Rc::clone(known));
        }
        let Gateway { dns, addresses, upstream, upstream_port, timeout, .. } = &self.configuration;
        let mut found = if dns.is_empty() {
            addresses.clone()
        } else {
            dns::lookup(dns, upstream, *timeout)
                .await
                .map_err(|e| format!("cannot look up `{upstream}`: {e}"))?
        };
        // Both families lead to the same hosts; counting them twice would halve what a retry is worth.
        if found.iter().any(IpAddr::is_ipv4) {
            found.retain(IpAddr::is_ipv4);
        }
        let found: Rc<[SocketAddr]> =
            found.into_iter().map(|ip| SocketAddr::new(ip, *upstream_port)).collect();
        *self.known.borrow_mut() = Some((Instant::now(), Rc::clone(&found)));
        Ok(found)
    }

    async fn attempt(
        &self,
        address: SocketAddr,
        parts: &request::Parts,
        body: &Bytes,
    ) -> Result<Answer, TryError> {
        let exchange = async {
            let (mut upstream, reused) = match self.reuse(address) {
                Some(idle) => (idle, true),
                None => (connect(address).await?, false),
            };
            let sent = upstream.send_request(again(parts, body)).await;
            let response = match sent {
                // An idle connection may have been closed just now: that is not the upstream's failure.
                Err(_) if reused && idempotent(&parts.method) => {
                    upstream = connect(address).await?;
                    upstream.send_request(again(parts, body)).await
                }
                sent => sent,
            };
            let (answer, incoming) = response.map_err(|e| TryError::Broken(e.to_string()))?.into_parts();
            let whole = Limited::new(incoming, LARGEST_BODY).collect().await;
            let whole = whole.map_err(|e| TryError::Broken(e.to_string()))?.to_bytes();
            // Ready at once unless the upstream is about to close.
            if upstream.ready().await.is_ok() {
                self.keep(address, upstream);
            }
            Ok((answer, whole))
        };
        tokio::time::timeout(self.configuration.timeout, exchange).await.unwrap_or(Err(TryError::Timeout))
    }

    /// Takes an idle connection that is still open; the newest, so that surplus ones age out at the upstream.
    fn reuse(&self, address: SocketAddr) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.get_mut(&address)?;
        while let Some(upstream) = idle.pop() {
            if upstream.is_ready() {
                return Some(upstream);
            }
        }
        None
    }

    fn keep(&self, address: SocketAddr, upstream: Upstream) {
        let mut idle = self.idle.borrow_mut();
        let idle = idle.entry(address).or_default();
        if idle.len() < IDLE_KEPT {
            idle.push(upstream);
        }
    }

    /// Makes an answer of the gateway's own.
    fn own(&self, status: StatusCode, reason: &str, retries: u32) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::from(format!("{}: {reason}\n", self.configuration.host)));
        *answer.status_mut() = status;
        if let Ok(host) = HeaderValue::from_str(&self.configuration.host) {
            answer.headers_mut().insert(SERVED_BY, host);
        }
        answer.headers_mut().insert(RETRIES, retries.into());
        answer
    }
}

async fn connect(address: SocketAddr) -> Result<Upstream, TryError> {
    let stream =
        tokio::net::TcpStream::connect(address).await.map_err(|e| TryError::Connect(e.to_string()))?;
    let _ = stream.set_nodelay(true);
    let handshake = client::handshake(TokioIo::new(stream)).await;
    let (upstream, connection) = handshake.map_err(|e| TryError::Connect(e.to_string()))?;
    tokio::task::spawn_local(async move {
        // The caller that waits for an answer gets its failure.
        let _ = connection.await;
    });
    Ok(upstream)
}

fn again(parts: &request::Parts, body: &Bytes) -> Request<Full<Bytes>> {
    Request::from_parts(parts.clone(), Full::new(body.clone()))
}

fn passed_on((mut parts, body): Answer, retries: u32) -> Response<Full<Bytes>> {
    strip(&mut parts.headers);
    parts.headers.insert(RETRIES, retries.into());
    Response::from_parts(parts, Full::new(body))
}

/// Tells whether another try can do no harm: nothing was sent, or sending it twice means the same.
fn repeatable(method: &Method, outcome: &Result<Answer, TryError>) -> bool {
    matches!(outcome, Err(TryError::Connect(_))) || idempotent(method)
}

fn idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

/// Removes the headers that belong to one connection, also those that the connection itself names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_stay_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Secret"), ("x-secret", "1"), ("te", "trailers"), ("accept", "*/*")]
        {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn only_what_can_be_repeated_is_repeated() {
        let refused = Err(TryError::Connect("refused".to_owned()));
        assert!(repeatable(&Method::POST, &refused), "nothing was sent");
        assert!(!repeatable(&Method::POST, &Err(TryError::Timeout)));
        assert!(repeatable(&Method::GET, &Err(TryError::Timeout)));
    }
}
