//! Finding a host's addresses as a place knows its names.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chaos_core::{
    place::{Asking, Order, Place},
    trouble::Trouble,
};
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use tokio::time::{Instant, timeout};

use crate::{
    endpoint::Host,
    failure::{Failure, cannot},
    names,
    query::{self, Question},
    rank::Ranked,
    socket::Sockets,
};

/// How long an order of addresses counts: routes and own addresses may change.
const ORDERED: Duration = Duration::from_secs(1);

/// How long addresses are good for that stand in a file: it may change, too.
const FIXED: Duration = Duration::from_secs(5);

/// Why a server gave no answer that counts.
enum Miss {
    /// It said nothing, in the time that it had.
    Silence(String),
    /// It knows that there is no such name, or no address of it.
    NoSuchName(Failure),
    /// It could not be asked, or could not answer.
    Other(Failure),
}

impl Miss {
    fn failure(self) -> Failure {
        match self {
            Miss::Silence(text) => Failure::failed(text),
            Miss::NoSuchName(failure) | Miss::Other(failure) => failure,
        }
    }
}

/// Finds the addresses of one host, and says which one is next.
pub(crate) struct Resolver {
    source: Source,
    sockets: Sockets,
    ordered: Mutex<Option<Ordered>>,
    turn: AtomicUsize,
}

/// Where the addresses come from.
enum Source {
    /// They are written in the scenario or fixed at the place.
    Fixed { addresses: Arc<[IpAddr]>, named: bool },
    /// The place's DNS servers know.
    Servers(Box<Servers>),
}

struct Servers {
    name: String,
    /// The names to ask for, one after the other, each for both families.
    questions: Vec<[Question; 2]>,
    servers: Vec<SocketAddr>,
    asking: Asking,
    /// What stands in for servers that do not answer.
    instead: Option<Arc<[IpAddr]>>,
    sockets: Sockets,
    known: Mutex<Option<Known>>,
    /// Whether an answer counts for as long as its time to live, and not for one request.
    keeps: bool,
    turn: AtomicUsize,
}

/// The last answer.
struct Known {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

/// What servers answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) addresses: Arc<[IpAddr]>,
    /// How long it counts.
    pub(crate) ttl: Duration,
    /// Whether both families were answered for.
    pub(crate) whole: bool,
}

/// Addresses in order, and until when.
struct Ordered {
    addresses: Arc<[IpAddr]>,
    ranked: Arc<Ranked>,
    until: Instant,
}

/// Addresses, and how long it took to find them.
pub(crate) struct Found {
    /// At least one.
    pub(crate) ranked: Arc<Ranked>,
    /// None where an address was written.
    pub(crate) took: Option<Duration>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolver {
    /// Prepares to find a host from a place.
    pub(crate) fn open(host: &Host, place: &Place, sockets: &Sockets) -> Result<Resolver, Trouble> {
        let source = match host {
            Host::Address(address) => Source::Fixed { addresses: Arc::new([*address]), named: false },
            Host::Name(name) => Resolver::by_name(name, false, place, sockets)?,
            Host::Absolute(name) => Resolver::by_name(name, true, place, sockets)?,
        };
        let sockets = sockets.clone();
        Ok(Resolver { source, sockets, ordered: Mutex::default(), turn: AtomicUsize::new(0) })
    }

    fn by_name(name: &str, absolute: bool, place: &Place, sockets: &Sockets) -> Result<Source, Trouble> {
        let names = names::of(place)?;
        let fixed =
            names.hosts.iter().find(|(host, _)| host.trim_end_matches('.').eq_ignore_ascii_case(name));
        let fixed = fixed.map(|(_, addresses)| addresses).filter(|addresses| !addresses.is_empty());
        let fixed: Option<Arc<[IpAddr]>> = fixed.map(|addresses| addresses.clone().into());
        if let Some(addresses) = &fixed
            && (names.servers.is_empty() || names.order == Order::HostsFirst)
        {
            return Ok(Source::Fixed { addresses: addresses.clone(), named: true });
        }
        // RFC 6761, 6.3: no server is asked for these.
        if name == "localhost" || name.ends_with(".localhost") {
            let loopback = Arc::new([IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), IpAddr::from([127, 0, 0, 1])]);
            return Ok(Source::Fixed { addresses: loopback, named: true });
        }
        if names.servers.is_empty() {
            return Err(cannot(
                format!("`{name}` has no address at {}, and there is no DNS server to ask", place.object),
                "write an address, or a name that the place knows",
            ));
        }
        let questions = in_full(name, absolute, &names.asking)
            .map_err(|_| cannot(format!("`{name}` is not a host name"), query::SPELLING))?;
        let question = |name: &Name, record| Question { name: name.clone(), record };
        Ok(Source::Servers(Box::new(Servers {
            name: name.to_owned(),
            questions: questions
                .iter()
                .map(|name| [question(name, RecordType::A), question(name, RecordType::AAAA)])
                .collect(),
            servers: names.servers.clone(),
            asking: names.asking.clone(),
            instead: fixed.filter(|_| names.order == Order::ServersFirst),
            sockets: sockets.clone(),
            known: Mutex::new(None),
            keeps: true,
            turn: AtomicUsize::new(0),
        })))
    }

    /// Asks for each request, as programs do that open a connection for each: the C library keeps no answers.
    #[must_use]
    pub(crate) fn for_each_request(mut self) -> Self {
        if let Source::Servers(servers) = &mut self.source {
            servers.keeps = false;
        }
        self
    }

    /// Returns whose turn it is: a number that grows by one from request to request.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the addresses found last, be they outdated, without asking anybody.
    pub(crate) fn last_known(&self) -> Option<Arc<Ranked>> {
        Some(lock(&self.ordered).as_ref()?.ranked.clone())
    }

    /// Returns the host's addresses, asking for them unless they are fixed or their time to live is not over.
    pub(crate) async fn addresses(&self) -> Result<Found, Failure> {
        let start = Instant::now();
        let (addresses, took) = match &self.source {
            Source::Fixed { addresses, named } => (addresses.clone(), named.then_some(Duration::ZERO)),
            Source::Servers(servers) => {
                let (addresses, took) = servers.addresses().await?;
                (addresses, Some(took))
            }
        };
        if let Some(ordered) = &*lock(&self.ordered)
            && ordered.addresses == addresses
            && start < ordered.until
        {
            return Ok(Found { ranked: ordered.ranked.clone(), took });
        }
        let ranked = match &*addresses {
            [_] => Ranked::unsorted(&addresses),
            several => {
                let mut sources = Vec::with_capacity(several.len());
                for address in several {
                    sources.push((*address, self.sockets.source(*address).await));
                }
                Ranked::of(&sources)
            }
        };
        let ranked = Arc::new(ranked);
        *lock(&self.ordered) =
            Some(Ordered { addresses, ranked: ranked.clone(), until: Instant::now() + ORDERED });
        Ok(Found { ranked, took })
    }
}

/// Returns all addresses of a name at a place, in no order.
pub(crate) async fn all(host: &Host, place: &Place, sockets: &Sockets) -> Result<Answer, Failure> {
    let opened = Resolver::open(host, place, sockets).map_err(|trouble| Failure::failed(trouble.message))?;
    let fixed = |addresses: &Arc<[IpAddr]>| Answer { addresses: addresses.clone(), ttl: FIXED, whole: true };
    match &opened.source {
        Source::Fixed { addresses, .. } => Ok(fixed(addresses)),
        Source::Servers(servers) => match (servers.look().await, &servers.instead) {
            (Err(_), Some(instead)) => Ok(fixed(instead)),
            (found, _) => {
                found.map_err(|failure| failure.under(&format!("`{}` does not resolve", servers.name)))
            }
        },
    }
}

/// Returns the names that are asked for when this one is wanted, in order, as `resolv.conf(5)` has it.
fn in_full(name: &str, absolute: bool, asking: &Asking) -> Result<Vec<Name>, hickory_proto::ProtoError> {
    let plain = Name::from_ascii(format!("{name}."))?;
    if absolute {
        return Ok(vec![plain]);
    }
    // A name that becomes too long with a domain behind it does not exist there.
    let mut names: Vec<Name> = asking
        .search
        .iter()
        .filter_map(|domain| {
            let dot = if domain.is_empty() { "" } else { "." };
            Name::from_ascii(format!("{name}.{domain}{dot}")).ok()
        })
        .collect();
    let at = if name.matches('.').count() >= asking.ndots { 0 } else { names.len() };
    if !names.contains(&plain) {
        names.insert(at, plain);
    }
    Ok(names)
}

impl Servers {
    async fn addresses(&self) -> Result<(Arc<[IpAddr]>, Duration), Failure> {
        let start = Instant::now();
        if let Some(known) = &*lock(&self.known)
            && start < known.until
        {
            return Ok((known.addresses.clone(), Duration::ZERO));
        }
        let found = match (self.look().await, &self.instead) {
            (Err(_), Some(instead)) => {
                Ok(Answer { addresses: instead.clone(), ttl: Duration::ZERO, whole: true })
            }
            (found, _) => found,
        };
        let Answer { addresses, ttl, .. } =
            found.map_err(|failure| failure.under(&format!("`{}` does not resolve", self.name)))?;
        let end = Instant::now();
        if self.keeps {
            *lock(&self.known) = Some(Known { addresses: addresses.clone(), until: end + ttl });
        }
        Ok((addresses, end - start))
    }

    /// Asks for one name after the other until one has addresses. A server that fails on one may know the next; servers that
    /// are silent would be so again.
    async fn look(&self) -> Result<Answer, Failure> {
        let mut missing = None;
        let mut broken = None;
        for questions in &self.questions {
            match self.ask_all(questions).await {
                Ok(found) => return Ok(found),
                Err(Miss::NoSuchName(failure)) => missing = Some(failure),
                Err(Miss::Other(failure)) => broken = Some(failure),
                Err(silence @ Miss::Silence(_)) => return Err(silence.failure()),
            }
        }
        let failure = broken.or(missing).unwrap_or(Failure::failed("no address"));
        Err(match &self.questions[..] {
            [_] => failure,
            several => {
                let names: Vec<String> = several.iter().map(|[v4, _]| format!("`{}`", v4.name)).collect();
                failure.under(&format!("asked for {}", names.join(", ")))
            }
        })
    }

    async fn ask_all(&self, [v4, v6]: &[Question; 2]) -> Result<Answer, Miss> {
        let mut last = Miss::Silence("no answer".into());
        let first = if self.asking.rotate { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        for _ in 0..self.asking.attempts {
            for at in 0..self.servers.len() {
                let server = self.servers[first.wrapping_add(at) % self.servers.len()];
                // Both families at once, as system resolvers do, and both are waited for.
                let (v4, v6) = tokio::join!(self.ask(v4, server), self.ask(v6, server));
                match (v4, v6) {
                    (Ok(Some((mut addresses, ttl))), Ok(Some((more, other)))) => {
                        addresses.extend(more);
                        return Ok(Answer { addresses: addresses.into(), ttl: ttl.min(other), whole: true });
                    }
                    (Ok(Some((addresses, ttl))), Ok(None) | Err(Miss::NoSuchName(_)))
                    | (Ok(None) | Err(Miss::NoSuchName(_)), Ok(Some((addresses, ttl)))) => {
                        return Ok(Answer { addresses: addresses.into(), ttl, whole: true });
                    }
                    // Half an answer does for now, and is not kept.
                    (Ok(Some((addresses, _))), Err(_)) | (Err(_), Ok(Some((addresses, _)))) => {
                        let ttl = Duration::ZERO;
                        return Ok(Answer { addresses: addresses.into(), ttl, whole: false });
                    }
                    (Ok(None), Ok(None)) => return Err(Miss::NoSuchName(Failure::failed("no address"))),
                    (Err(Miss::NoSuchName(failure)), _) | (_, Err(Miss::NoSuchName(failure))) => {
                        return Err(Miss::NoSuchName(failure));
                    }
                    (Err(miss), _) | (_, Err(miss)) => last = miss,
                }
            }
            // An answer that says no is not asked for again in the hope of a better one; silence is.
            if !matches!(last, Miss::Silence(_)) {
                break;
            }
        }
        Err(last)
    }

    async fn ask(
        &self,
        question: &Question,
        server: SocketAddr,
    ) -> Result<Option<(Vec<IpAddr>, Duration)>, Miss> {
        let Ok(answer) = timeout(self.asking.timeout, question.ask(&self.sockets, server)).await else {
            return Err(Miss::Silence(format!("no answer from {server}")));
        };
        let answer = answer.map_err(Miss::Other)?;
        query::check(&answer).map_err(|failure| match answer.metadata.response_code {
            ResponseCode::NXDomain => Miss::NoSuchName(failure),
            _ => Miss::Other(failure),
        })?;
        let addresses: Vec<IpAddr> =
            answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
        // A chain of aliases is as short-lived as its shortest-lived link.
        let ttl = answer.answers.iter().map(|record| record.ttl).min().unwrap_or(0);
        Ok((!addresses.is_empty()).then(|| (addresses, Duration::from_secs(ttl.into()))))
    }
}

#[cfg(test)]
mod tests;
