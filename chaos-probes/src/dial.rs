//! Opening a connection: its address, the TCP handshake, and that of TLS, each with its time.

use std::net::{IpAddr, SocketAddr};

use chaos_core::{place::Place, probe::Observation, trouble::Trouble};
use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    failure::{Failure, Words},
    label::Labels,
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

    /// Finds the address whose turn it is.
    pub(crate) async fn address(
        &self,
        seen: &mut Observation,
        labels: &Labels,
        words: &Words,
    ) -> Result<IpAddr, Failure> {
        let found = self.resolver.addresses().await?;
        seen.dns = found.took;
        let address = found.addresses[self.resolver.turn() % found.addresses.len()];
        labels.peer(seen, address, words);
        Ok(address)
    }

    /// Connects to an address.
    pub(crate) async fn connect(&self, address: IpAddr, seen: &mut Observation) -> Result<Stream, Failure> {
        let start = Instant::now();
        let stream = self.sockets.connect(SocketAddr::new(address, self.port)).await?;
        seen.connect = Some(start.elapsed());
        let _ = stream.set_nodelay(true);
        secure(self.tls.as_ref(), stream, seen).await
    }
}
