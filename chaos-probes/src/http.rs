//! HTTP/1.1, over TLS where the URL says so: one request and its whole answer.

mod connection;
mod pool;
mod request;
mod wire;

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use chaos_core::{
    model::{
        Probe,
        probe::{Condition, Connections, HeaderValue},
    },
    place::Place,
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, http::response};
use tokio::time::Instant;

use self::{
    connection::{Connection, Unanswered},
    pool::{Permit, Pool},
    request::{Parts, Target},
};
use crate::{
    condition::{self, Answer, Kind},
    failure::{Failure, Words},
    label::Labels,
    reach::{Reached, reach},
    resolve::Resolver,
    secrets::Secrets,
    secure::{Tls, secure},
    socket::Sockets,
};

/// How much of a body is kept to be judged; the rest is read and forgotten.
pub(crate) const KEPT: usize = 1 << 20;

/// Sends one request.
pub(crate) struct HttpProber {
    target: Target,
    resolver: Resolver,
    sockets: Sockets,
    tls: Option<Tls>,
    /// None where every request has a connection of its own.
    pool: Option<Pool>,
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
    ) -> Result<HttpProber, Trouble> {
        let ok_when = probe.ok_when.clone().unwrap_or_else(|| Condition::Status(vec![(200, 399)]));
        condition::check(&ok_when, Kind::Http)?;
        let target = Target::open(&Parts { method, url, headers, body }, probe.connections, secrets)?;
        let pool = match probe.connections {
            Connections::Reuse(limit) => Some(Pool::new(usize::try_from(limit).unwrap_or(usize::MAX))),
            Connections::Fresh => None,
        };
        let resolver = Resolver::open(&target.endpoint.host, place, &sockets)?;
        Ok(HttpProber {
            resolver: if pool.is_none() { resolver.for_each_request() } else { resolver },
            tls: target
                .secure
                .then(|| Tls::open(&probe.trust, &target.endpoint.host, Some("http/1.1")))
                .transpose()?,
            target,
            sockets,
            pool,
            keeps_body: condition::reads_body(&ok_when),
            ok_when,
            labels: Labels::open(&probe.labels, place, true)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation, progress: &Progress) -> Result<(), Failure> {
        let (head, body) = self.fetch(&self.target.request, seen, progress).await?;
        let answer = Answer::Http { status: head.status.as_u16(), headers: &head.headers, body: &body };
        condition::judge(&self.ok_when, &answer)
    }

    /// Sends a request to the target's server; returns the head of the answer and as much of its body as is kept.
    pub(crate) async fn fetch(
        &self,
        request: &Request<Full<Bytes>>,
        seen: &mut Observation,
        progress: &Progress,
    ) -> Result<(response::Parts, Vec<u8>), Failure> {
        // Whose turn it is, for the case that it is never asked: it waits for a connection to whom it would have gone.
        let turn = self.resolver.turn();
        if let Some(address) =
            self.resolver.last_known().and_then(|known| known.choices(turn).first().copied())
        {
            self.labels.asks(progress, address, &self.words);
        }
        // Before everything else, so that it is given back when the connection is closed or kept.
        let lease = match &self.pool {
            Some(pool) => {
                progress.waits_for("free connection of the probe");
                let start = Instant::now();
                let permit = pool.permit().await;
                seen.wait = Some(start.elapsed());
                Some((pool, permit))
            }
            None => None,
        };
        progress.waits_for("connection");
        // An idle connection is used without asking for addresses again, as clients with a pool do.
        let idle = lease.as_ref().and_then(|(pool, permit)| {
            let address = *self.resolver.last_known()?.choices(turn).first()?;
            pool.take(address, permit)
        });
        let (mut connection, reused) = match idle {
            Some(connection) => (connection, true),
            None => self.connect(turn, lease.as_ref(), seen, progress).await?,
        };
        progress.waits_for("answer");
        self.labels.asks(progress, connection.peer, &self.words);
        let answer = match connection.send(request.clone()).await {
            Err(no) if reused && (no.unsent || (no.silent && self.target.idempotent)) => {
                // The server closed the idle connection just as it was used again.
                tracing::debug!(peer = %connection.peer, "sent again: a reused connection was closed");
                drop(connection);
                let (choices, named) = self.resolve(turn, seen).await?;
                connection = self.open_connection(&choices, named, seen, progress).await?;
                connection.send(request.clone()).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|Unanswered { failure, .. }| failure)?;
        let read = self.read(&mut connection, answer, seen).await?;
        if let Some((pool, permit)) = &lease {
            pool.keep(connection, permit);
        }
        Ok(read)
    }

    /// Returns the request that is sent.
    pub(crate) fn request(&self) -> &Request<Full<Bytes>> {
        &self.target.request
    }

    /// Returns a connection to the address whose turn it is, and whether it was used before.
    async fn connect(
        &self,
        turn: usize,
        lease: Option<&(&Pool, Permit<'_>)>,
        seen: &mut Observation,
        progress: &Progress,
    ) -> Result<(Connection, bool), Failure> {
        let (choices, named) = self.resolve(turn, seen).await?;
        if let Some((pool, permit)) = lease {
            if let Some(connection) = pool.take(choices[0], permit) {
                return Ok((connection, true));
            }
            pool.make_room(permit);
        }
        Ok((self.open_connection(&choices, named, seen, progress).await?, false))
    }

    /// Returns the addresses to try, best first, and whether they are those of a name.
    async fn resolve(&self, turn: usize, seen: &mut Observation) -> Result<(Vec<IpAddr>, bool), Failure> {
        let found = self.resolver.addresses().await?;
        seen.dns = found.took;
        Ok((found.ranked.choices(turn), found.took.is_some()))
    }

    async fn open_connection(
        &self,
        choices: &[IpAddr],
        named: bool,
        seen: &mut Observation,
        progress: &Progress,
    ) -> Result<Connection, Failure> {
        let start = Instant::now();
        self.labels.asks(progress, choices[0], &self.words);
        let Reached { stream, peer, passed } =
            reach(&self.sockets, choices, self.target.endpoint.port, named).await?;
        self.labels.asks(progress, peer, &self.words);
        seen.connect = Some(start.elapsed());
        seen.error = passed.map(|passed| self.words.get(&passed));
        // A request is one write; waiting to fill a packet would only add time.
        let _ = stream.set_nodelay(true);
        // What a certificate says is for tls probes.
        let secured = secure(self.tls.as_ref(), stream, seen).await;
        seen.value = None;
        Connection::start(secured?, peer).await
    }

    /// Reads an answer to its end; what could be read is noted even if it breaks off.
    async fn read(
        &self,
        connection: &mut Connection,
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
        Ok((head, kept))
    }
}

#[async_trait]
impl Prober for HttpProber {
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
