//! The first of a host's addresses that answers: the next one is tried when one refuses, or is silent for a while, as clients
//! of a host with several addresses do (RFC 8305, 5).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use crate::{failure::Failure, socket::Sockets};

/// How long an address may be silent until the next one is tried beside it: what the RFC recommends.
const PATIENCE: Duration = Duration::from_millis(250);

/// A connection, and what was passed over on the way to it.
pub(crate) struct Reached {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// To which address.
    pub(crate) peer: IpAddr,
    /// What of better addresses should be known; none where the first one answered.
    pub(crate) passed: Option<String>,
}

/// Opens a connection to the first of these addresses that takes one. Why none did names them, if the host has a name.
pub(crate) async fn reach(
    sockets: &Sockets,
    addresses: &[IpAddr],
    port: u16,
    named: bool,
) -> Result<Reached, Failure> {
    let connect =
        |at: usize| async move { (at, sockets.connect(SocketAddr::new(addresses[at], port)).await) };
    let mut attempts = FuturesUnordered::new();
    let mut failed: BTreeMap<usize, Failure> = BTreeMap::new();
    let mut begun = 0;
    loop {
        if begun < addresses.len() {
            attempts.push(connect(begun));
            begun += 1;
        }
        // Until one fails, one answers, or all that are under way have been silent for long enough.
        let mut patience = pin!(sleep(PATIENCE));
        let ended = tokio::select! {
            biased;
            ended = attempts.next() => ended,
            () = &mut patience, if begun < addresses.len() => continue,
        };
        match ended {
            Some((at, Ok(stream))) => {
                let silent = (0..at).filter(|before| !failed.contains_key(before));
                let silent: Vec<IpAddr> = silent.map(|before| addresses[before]).collect();
                return Ok(Reached {
                    stream,
                    peer: addresses[at],
                    passed: passed(addresses, &failed, &silent),
                });
            }
            Some((at, Err(failure))) => {
                failed.insert(at, failure);
            }
            None if named => return Err(refused(addresses, &failed)),
            None => return Err(failed.into_values().next().unwrap_or(Failure::failed("no address"))),
        }
    }
}

/// Says which addresses were passed over, and why.
fn passed(addresses: &[IpAddr], failed: &BTreeMap<usize, Failure>, silent: &[IpAddr]) -> Option<String> {
    let mut reasons = by_reason(addresses, failed);
    if !silent.is_empty() {
        reasons.entry(format!("no answer within {PATIENCE:?}")).or_default().extend(silent);
    }
    (!reasons.is_empty()).then(|| format!("{}; another address answered", listed(reasons)))
}

/// Says why none of them was reached. Written so that it reads alike whichever was tried first.
fn refused(addresses: &[IpAddr], failed: &BTreeMap<usize, Failure>) -> Failure {
    // What could not even be asked says nothing of the world.
    let not_run = failed.values().any(|failure| matches!(failure, Failure::NotRun(_)));
    let failure = Failure::failed(listed(by_reason(addresses, failed)));
    if not_run { failure.not_run() } else { failure }
}

fn by_reason(addresses: &[IpAddr], failed: &BTreeMap<usize, Failure>) -> BTreeMap<String, Vec<IpAddr>> {
    let mut reasons: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (at, failure) in failed {
        let (Failure::Failed(text) | Failure::NotRun(text)) = failure;
        reasons.entry(text.to_string()).or_default().push(addresses[*at]);
    }
    reasons
}

fn listed(reasons: BTreeMap<String, Vec<IpAddr>>) -> String {
    let reason = |(text, mut addresses): (String, Vec<IpAddr>)| {
        addresses.sort();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("{text} ({})", addresses.join(", "))
    };
    reasons.into_iter().map(reason).collect::<Vec<_>>().join("; ")
}
