//! Opening a connection: its address, the TCP handshake, and that of TLS, each with its time.

use std::net::IpAddr;

use chaos_core::{
    place::Place,
    probe::{Observation, Progress},
    trouble::Trouble,
};
use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    failure::{Failure, Words},
    label::Labels,
    reach::reach,
    resolve::Resolver,
    secure::{Stream, Tls, secure},
    socket::Sockets,
};

/// Opens connections to one server.
pub(crate) struct Dialer {
    resolver: Resolver,
    port: u16,
    sockets: Sockets,
    tls: Option<Tls>,
}

impl Dialer {
    /// Prepares connections from a place.
    pub(crate) fn open(
        endpoint: &Endpoint,
        tls: Option<Tls>,
        place: &Place,
        sockets: Sockets,
    ) -> Result<Dialer, Trouble> {
        let resolver = Resolver::open(&endpoint.host, place, &sockets)?;
        Ok(Dialer { resolver, port: endpoint.port, sockets, tls })
    }

    /// Finds the server's addresses and connects to the first that answers; returns which.
    pub(crate) async fn connect(
        &self,
        seen: &mut Observation,
        progress: &Progress,
        labels: &Labels,
        words: &Words,
    ) -> Result<(Stream, IpAddr), Failure> {
        let found = self.resolver.addresses().await?;
        seen.dns = found.took;
        let choices = found.ranked.choices(self.resolver.turn());
        let start = Instant::now();
        labels.asks(progress, choices[0], words);
        let reached = reach(&self.sockets, &choices, self.port, found.took.is_some()).await?;
        seen.connect = Some(start.elapsed());
        seen.error = reached.passed.map(|passed| words.get(&passed));
        labels.asks(progress, reached.peer, words);
        let _ = reached.stream.set_nodelay(true);
        Ok((secure(self.tls.as_ref(), reached.stream, seen).await?, reached.peer))
    }
}
