//! HTTP/1.1: one request and its whole answer.

mod connection;
mod pool;
mod request;
mod wire;

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use chaos_core::{
    model::{
        Probe,
        probe::{Condition, Connections, HeaderValue},
    },
    place::Place,
    probe::{Observation, ProbeError, Prober},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, http::response};
use tokio::time::Instant;

use self::{
    connection::{Connection, Unanswered},
    pool::Pool,
    request::{Parts, Target},
};
use crate::{
    condition::{self, Answer},
    failure::{Failure, Words},
    label::Labels,
    resolve::Resolver,
    socket::Sockets,
    standard::Secrets,
};

/// How much of a body is kept to be judged; the rest is read and forgotten.
pub(crate) const KEPT: usize = 1 << 20;

/// Sends one request.
pub(crate) struct HttpProber {
    target: Target,
    resolver: Resolver,
    sockets: Sockets,
    pool: Pool,
    ok_when: Condition,
    keeps_body: bool,
    labels: Labels,
    words: Words,
}

/// The parts of an HTTP probe's kind: method, URL, header fields and body.
pub(crate) type Ask<'a> = (&'a str, &'a str, &'a [(String, HeaderValue)], Option<&'a [u8]>);

impl HttpProber {
    /// Prepares requests from a place.
    pub(crate) fn open(
        probe: &Probe,
        (method, url, headers, body): Ask<'_>,
        place: &Place,
        sockets: Sockets,
        secrets: &Secrets,
    ) -> Result<HttpProber, ProbeError> {
        let ok_when = probe.ok_when.clone().unwrap_or_else(|| Condition::Status(vec![(200, 399)]));
        condition::check(&ok_when, true)?;
        let target = Target::open(&Parts { method, url, headers, body }, probe.connections, secrets)?;
        let limit = match probe.connections {
            Connections::Reuse(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
            Connections::Fresh => 0,
        };
        Ok(HttpProber {
            resolver: Resolver::open(&target.endpoint.host, place, &sockets)?,
            target,
            sockets,
            pool: Pool::new(limit),
            keeps_body: condition::reads_body(&ok_when),
            ok_when,
            labels: Labels::open(&probe.labels, true)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation) -> Result<(), Failure> {
        let (head, body) = self.fetch(&self.target.request, seen).await?;
        let answer = Answer::Http { status: head.status.as_u16(), headers: &head.headers, body: &body };
        condition::judge(&self.ok_when, &answer)
    }

    /// Sends a request to the target's server; returns the head of the answer and as much of its body as is kept.
    pub(crate) async fn fetch(
        &self,
        request: &Request<Full<Bytes>>,
        seen: &mut Observation,
    ) -> Result<(response::Parts, Vec<u8>), Failure> {
        let turn = self.resolver.turn();
        // An idle connection is used without asking for addresses again, as clients with a pool do.
        let idle = self
            .resolver
            .last_known()
            .and_then(|addresses| self.pool.take(addresses[turn % addresses.len()]));
        let (mut connection, reused) = match idle {
            Some(connection) => (connection, true),
            None => self.connect(turn, seen).await?,
        };
        let answer = match connection.send(request.clone()).await {
            Err(no) if reused && (no.unsent || (no.silent && self.target.idempotent)) => {
                // The server closed the idle connection just as it was used again.
                tracing::debug!(peer = %connection.peer, "sent again: a reused connection was closed");
                drop(connection);
                connection = self.connect_fresh(turn, seen).await?;
                connection.send(request.clone()).await
            }
            answer => answer,
        };
        self.labels.peer(seen, connection.peer, &self.words);
        let answer = answer.map_err(|Unanswered { failure, .. }| failure)?;
        self.read(connection, answer, seen).await
    }

    /// Returns the request that is sent.
    pub(crate) fn request(&self) -> &Request<Full<Bytes>> {
        &self.target.request
    }

    /// Returns a connection to the address whose turn it is, and whether it was used before.
    async fn connect(&self, turn: usize, seen: &mut Observation) -> Result<(Connection, bool), Failure> {
        let address = self.resolve(turn, seen).await?;
        match self.pool.take(address.ip()) {
            Some(connection) => Ok((connection, true)),
            None => Ok((self.open_connection(address, seen).await?, false)),
        }
    }

    async fn connect_fresh(&self, turn: usize, seen: &mut Observation) -> Result<Connection, Failure> {
        let address = self.resolve(turn, seen).await?;
        self.open_connection(address, seen).await
    }

    async fn resolve(&self, turn: usize, seen: &mut Observation) -> Result<SocketAddr, Failure> {
        let found = self.resolver.addresses().await?;
        seen.dns = found.took;
        Ok(SocketAddr::new(found.addresses[turn % found.addresses.len()], self.target.endpoint.port))
    }

    async fn open_connection(
        &self,
        address: SocketAddr,
        seen: &mut Observation,
    ) -> Result<Connection, Failure> {
        let start = Instant::now();
        let stream = match self.sockets.connect(address).await {
            Ok(stream) => stream,
            Err(failure) => {
                self.labels.peer(seen, address.ip(), &self.words);
                return Err(failure);
            }
        };
        seen.connect = Some(start.elapsed());
        Connection::start(stream, address.ip()).await
    }

    /// Reads an answer to its end; what could be read is noted even if it breaks off.
    async fn read(
        &self,
        mut connection: Connection,
        answer: Response<Incoming>,
        seen: &mut Observation,
    ) -> Result<(response::Parts, Vec<u8>), Failure> {
        let (head, mut body) = answer.into_parts();
        seen.ttfb = connection.ttfb();
        seen.status = Some(head.status.as_u16());
        self.labels.head(seen, head.status.as_u16(), &head.headers, &self.words);
        let mut kept = Vec::new();
        while let Some(frame) = connection.next(&mut body).await {
            if let Ok(data) = frame?.into_data()
                && self.keeps_body
            {
                kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
            }
        }
        drop(body);
        self.pool.keep(connection);
        Ok((head, kept))
    }
}

#[async_trait]
impl Prober for HttpProber {
    async fn once(&self) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen).await {
            failure.mark(&mut seen, &self.words);
        }
        seen
    }
}
