//! gRPC: one health check (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
//!
//! The messages are two fields in all, so they are written and read here; HTTP/2 is hyper's.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use chaos_core::{
    model::{
        Probe,
        probe::{Connections, grpc::CODES},
    },
    place::Place,
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    header::HeaderMap,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    dial::Dialer,
    endpoint::Endpoint,
    failure::{Failure, Words, cannot},
    label::Labels,
    secure::Tls,
    socket::Sockets,
};

/// The label that says how a server is.
const STATUS: &str = "status";
/// The longest answer that is read; a right one has seven bytes.
const LONGEST: usize = 4096;

/// Asks a server for its health.
pub(crate) struct GrpcProber {
    dialer: Dialer,
    uri: Uri,
    message: Bytes,
    service: String,
    limit: usize,
    idle: Mutex<Vec<Connection>>,
    labels: Labels,
    words: Words,
}

/// A connection and the task that drives it.
struct Connection {
    peer: IpAddr,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl GrpcProber {
    /// Prepares health checks of a service, or of the server as a whole where it has no name.
    pub(crate) fn open(
        probe: &Probe,
        (address, service, secure): (&str, &str, bool),
        place: &Place,
        sockets: Sockets,
    ) -> Result<GrpcProber, Trouble> {
        if probe.ok_when.is_some() {
            return Err(cannot(
                "a grpc probe has its own success",
                "leave out `ok when`: `SERVING` is a success",
            ));
        }
        let endpoint = Endpoint::parse(address, None)?;
        let scheme = if secure { "https" } else { "http" };
        let uri = format!("{scheme}://{address}/grpc.health.v1.Health/Check");
        let uri =
            uri.parse().map_err(|_| cannot(format!("`{address}` cannot be asked"), "write `host:port`"))?;
        let tls = secure.then(|| Tls::open(&probe.trust, &endpoint.host, Some("h2"))).transpose()?;
        Ok(GrpcProber {
            dialer: Dialer::open(&endpoint, tls, place, sockets)?,
            uri,
            message: request(service)?,
            service: service.to_owned(),
            limit: match probe.connections {
                Connections::Reuse(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
                Connections::Fresh => 0,
            },
            idle: Mutex::default(),
            labels: Labels::open(&probe.labels, place, false)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation, progress: &Progress) -> Result<(), Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut connection, reused) = match idle.filter(|c| !c.sender.is_closed()) {
            Some(connection) => (connection, true),
            None => (self.connect(seen, progress).await?, false),
        };
        if reused {
            self.labels.asks(progress, connection.peer, &self.words);
        }
        let start = Instant::now();
        let mut answer = connection.sender.send_request(self.request()).await;
        if answer.is_err() && reused {
            // The server closed the idle connection just as it was used again; asking for health twice does no harm.
            connection = self.connect(seen, progress).await?;
            answer = connection.sender.send_request(self.request()).await;
        }
        let answer = answer.map_err(|error| broken(&error))?;
        seen.ttfb = Some(start.elapsed());
        let status = self.read(answer).await?;
        seen.labels.push((self.words.get(STATUS), self.words.get(status.label())));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.limit {
            idle.push(connection);
        }
        drop(idle);
        status.judged(&self.service)
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.message.clone()));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        let mut set = |name: &'static str, value: &'static str| {
            headers.insert(name, hyper::header::HeaderValue::from_static(value));
        };
        set("content-type", "application/grpc");
        set("te", "trailers");
        set("user-agent", concat!("chaos/", env!("CARGO_PKG_VERSION")));
        request
    }

    async fn connect(&self, seen: &mut Observation, progress: &Progress) -> Result<Connection, Failure> {
        let (stream, peer) = self.dialer.connect(seen, progress, &self.labels, &self.words).await?;
        // What a certificate says is for tls probes.
        seen.value = None;
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| broken(&error))?;
        let driver = tokio::spawn(async move {
            // The caller that waits for an answer gets the error.
            let _ = connection.await;
        });
        Ok(Connection { peer, sender, driver })
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Status, Failure> {
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(Failure::failed(format!("status {}", head.status.as_u16())));
        }
        let collected = Limited::new(body, LONGEST).collect().await;
        let collected =
            collected.map_err(|_| Failure::failed("connection closed in the middle of an answer"))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let said =
            |headers: &HeaderMap| -> Option<u32> { headers.get("grpc-status")?.to_str().ok()?.parse().ok() };
        match said(&trailers).or_else(|| said(&head.headers)) {
            Some(0) => response(&collected.to_bytes()).ok_or_else(|| Failure::failed("malformed answer")),
            Some(NOT_FOUND) => Ok(Status::ServiceUnknown),
            Some(UNIMPLEMENTED) => Ok(Status::Unimplemented),
            Some(code) => Ok(Status::Error(CODES.get(code as usize).copied().unwrap_or("UNKNOWN"))),
            None => Err(Failure::failed("the answer is not gRPC")),
        }
    }
}

#[async_trait]
impl Prober for GrpcProber {
    async fn once(&self) -> Observation {
        self.attempt(&Progress::default()).await
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen, progress).await {
            failure.mark(&mut seen, &self.words);
        }
        seen.labels.splice(..0, progress.labels());
        seen
    }
}

const NOT_FOUND: u32 = 5;
const UNIMPLEMENTED: u32 = 12;

/// How a server says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    Unimplemented,
    Error(&'static str),
}

impl Status {
    fn label(self) -> &'static str {
        match self {
            Status::Unknown => "UNKNOWN",
            Status::Serving => "SERVING",
            Status::NotServing => "NOT_SERVING",
            Status::ServiceUnknown => "SERVICE_UNKNOWN",
            Status::Unimplemented => "UNIMPLEMENTED",
            Status::Error(code) => code,
        }
    }

    fn judged(self, service: &str) -> Result<(), Failure> {
        Err(Failure::failed(match self {
            Status::Serving => return Ok(()),
            Status::NotServing => "not serving".to_owned(),
            Status::Unknown => "its health is unknown to the server".to_owned(),
            Status::ServiceUnknown if service.is_empty() => "the server does not know how it is".to_owned(),
            Status::ServiceUnknown => format!("the server knows no service `{service}`"),
            Status::Unimplemented => "the server has no health checks".to_owned(),
            Status::Error(code) => format!("grpc status {code}"),
        }))
    }
}

/// Writes `HealthCheckRequest { string service = 1 }` with the frame around it: not compressed, then the length.
fn request(service: &str) -> Result<Bytes, Trouble> {
    let mut message = Vec::new();
    if !service.is_empty() {
        let length = u8::try_from(service.len()).ok().filter(|length| *length < 0x80);
        let length = length.ok_or_else(|| {
            cannot("the service's name is longer than 127 bytes", "write the name as the server registers it")
        })?;
        message.extend([0x0a, length]);
        message.extend(service.as_bytes());
    }
    let mut frame = vec![0, 0, 0, 0, message.len() as u8];
    frame.extend(message);
    Ok(frame.into())
}

/// Reads `HealthCheckResponse { ServingStatus status = 1 }` in its frame; a status that is not there is 0.
fn response(frame: &[u8]) -> Option<Status> {
    let (head, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
    let number = match (head[0], message) {
        (0, []) => 0,
        (0, [0x08, number]) => *number,
        _ => return None,
    };
    if length != message.len() {
        return None;
    }
    Some(match number {
        1 => Status::Serving,
        2 => Status::NotServing,
        3 => Status::ServiceUnknown,
        _ => Status::Unknown,
    })
}

fn broken(error: &hyper::Error) -> Failure {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.raw_os_error().is_some()
        {
            return Failure::from_io(io);
        }
        cause = inner.source();
    }
    Failure::failed("the server does not speak HTTP/2, or closed the connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(request("").unwrap().as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab").unwrap().as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert!(request(&"x".repeat(128)).is_err());
        assert_eq!(response(&[0, 0, 0, 0, 2, 8, 1]), Some(Status::Serving));
        assert_eq!(response(&[0, 0, 0, 0, 2, 8, 2]), Some(Status::NotServing));
        assert_eq!(response(&[0, 0, 0, 0, 0]), Some(Status::Unknown));
        assert_eq!(response(&[0, 0, 0, 0, 2, 8]), None);
        assert_eq!(response(&[1, 0, 0, 0, 2, 8, 1]), None);
        assert_eq!(response(&[]), None);
    }
}
