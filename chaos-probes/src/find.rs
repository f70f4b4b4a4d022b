//! Whether a probe's server can be found from a place, before a run.

use std::time::Duration;

use chaos_core::{
    model::{Probe, ProbeKind, probe::Asks},
    place::Place,
    trouble::Trouble,
};
use http::Uri;

use crate::{
    endpoint::{Endpoint, Host},
    failure::Failure,
    resolve::Resolver,
    socket::SocketThreads,
};

/// How long planning waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks up the name of a probe's server; returns why it has no address now.
pub(crate) async fn find(
    probe: &Probe,
    place: &Place,
    threads: &SocketThreads,
) -> Result<Option<String>, Trouble> {
    let Some(host @ (Host::Name(_) | Host::Absolute(_))) = host(&probe.kind) else { return Ok(None) };
    let sockets = threads.sockets(&place.site).await?;
    let resolver = Resolver::open(&host, place, &sockets)?;
    Ok(match tokio::time::timeout(PATIENCE, resolver.addresses()).await {
        Ok(Ok(_)) => None,
        Ok(Err(Failure::Failed(why) | Failure::NotRun(why))) => Some(why.into_owned()),
        Err(_) => {
            let (Host::Name(name) | Host::Absolute(name)) = host else { return Ok(None) };
            Some(format!("`{name}` does not resolve: no answer within {PATIENCE:?}"))
        }
    })
}

/// Returns the host that a probe asks; what cannot be read says so when the probe is opened.
fn host(kind: &ProbeKind) -> Option<Host> {
    match kind.asks()? {
        Asks::Url(url) => Host::parse(url.parse::<Uri>().ok()?.host()?).ok(),
        // Which port does not matter here.
        Asks::Address(address) => Some(Endpoint::parse(address, Some(1)).ok()?.host),
    }
}
