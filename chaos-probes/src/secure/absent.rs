//! What stands for TLS in a build without it: nothing can be opened, so nothing is ever sent in the clear by mistake.

use std::convert::Infallible;

use chaos_core::{model::probe::Trust, probe::Observation, trouble::Trouble};
use tokio::net::TcpStream;

use super::Stream;
use crate::{
    endpoint::Host,
    failure::{Failure, cannot},
};

/// There is none.
pub(crate) struct Tls(Infallible);

impl Tls {
    /// Refuses.
    pub(crate) fn open(_: &Trust, _: &Host, _: Option<&str>) -> Result<Tls, Trouble> {
        Err(cannot("this build has no TLS", "build `chaos-probes` with its feature `tls`"))
    }

    /// Cannot be called: there is no such value.
    pub(crate) async fn secure(&self, _: TcpStream, _: &mut Observation) -> Result<Stream, Failure> {
        match self.0 {}
    }
}
