//! Finding a host's addresses as a place knows its names.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chaos_core::{
    place::{Names, Place},
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
    query::{self, Question},
    socket::Sockets,
};

/// How long one server is waited for, and how often all are asked: what resolv.conf(5) has as defaults.
const PATIENCE: Duration = Duration::from_secs(5);
const ROUNDS: u32 = 2;

/// Why a server gave no answer that counts.
enum Miss {
    /// It said nothing, in the time that it had.
    Silence(String),
    /// It knows that there is no such name.
    NoSuchName(Failure),
    /// It could not be asked, or could not answer.
    Other(Failure),
}

/// Finds the addresses of one host, and says which one is next.
pub(crate) struct Resolver {
    source: Source,
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
    questions: [Question; 2],
    names: Arc<Names>,
    sockets: Sockets,
    known: Mutex<Option<Known>>,
}

/// The last answer.
struct Known {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

/// Addresses, and how long it took to find them.
pub(crate) struct Found {
    /// At least one.
    pub(crate) addresses: Arc<[IpAddr]>,
    /// None where an address was written.
    pub(crate) took: Option<Duration>,
}

impl Resolver {
    /// Prepares to find a host from a place.
    ///
    /// Where the place prefers its servers, what they say is final, as with `dns [!UNAVAIL=return]` in
    /// nsswitch.conf(5): fixed names must not hide that a server fails.
    pub(crate) fn open(host: &Host, place: &Place, sockets: &Sockets) -> Result<Resolver, Trouble> {
        let source = match host {
            Host::Address(address) => Source::Fixed { addresses: Arc::new([*address]), named: false },
            Host::Name(name) => Resolver::by_name(name, place, sockets)?,
        };
        Ok(Resolver { source, turn: AtomicUsize::new(0) })
    }

    fn by_name(name: &str, place: &Place, sockets: &Sockets) -> Result<Source, Trouble> {
        let names = &place.names;
        let fixed =
            names.hosts.iter().find(|(host, _)| host.trim_end_matches('.').eq_ignore_ascii_case(name));
        if let Some((_, addresses)) = fixed
            && !addresses.is_empty()
            && (names.servers.is_empty() || !names.prefer_servers)
        {
            return Ok(Source::Fixed { addresses: addresses.clone().into(), named: true });
        }
        if name == "localhost" || name.ends_with(".localhost") {
            let loopback = Arc::new([IpAddr::from([127, 0, 0, 1])]);
            return Ok(Source::Fixed { addresses: loopback, named: true });
        }
        if names.servers.is_empty() {
            return Err(cannot(
                format!("`{name}` has no address at {}, and there is no DNS server to ask", place.object),
                "write an address, or a name that the place knows",
            ));
        }
        let absolute = Name::from_ascii(format!("{name}."))
            .map_err(|error| cannot(format!("`{name}` is not a host name: {error}"), "check the spelling"))?;
        let question = |record| Question { name: absolute.clone(), record };
        Ok(Source::Servers(Box::new(Servers {
            name: name.to_owned(),
            questions: [question(RecordType::A), question(RecordType::AAAA)],
            names: names.clone(),
            sockets: sockets.clone(),
            known: Mutex::new(None),
        })))
    }

    /// Returns whose turn it is: a number that grows by one from request to request.
    pub(crate) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the addresses found last, be they outdated, without asking anybody.
    pub(crate) fn last_known(&self) -> Option<Arc<[IpAddr]>> {
        match &self.source {
            Source::Fixed { addresses, .. } => Some(addresses.clone()),
            Source::Servers(servers) => Some(servers.known().as_ref()?.addresses.clone()),
        }
    }

    /// Returns the host's addresses, asking for them unless they are fixed or their time to live is not over.
    pub(crate) async fn addresses(&self) -> Result<Found, Failure> {
        match &self.source {
            Source::Fixed { addresses, named } => {
                Ok(Found { addresses: addresses.clone(), took: named.then_some(Duration::ZERO) })
            }
            Source::Servers(servers) => servers.addresses().await,
        }
    }
}

impl Servers {
    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn addresses(&self) -> Result<Found, Failure> {
        let start = Instant::now();
        if let Some(known) = &*self.known()
            && start < known.until
        {
            return Ok(Found { addresses: known.addresses.clone(), took: Some(Duration::ZERO) });
        }
        let (addresses, ttl) = self
            .ask_all()
            .await
            .map_err(|failure| failure.under(&format!("`{}` does not resolve", self.name)))?;
        let end = Instant::now();
        *self.known() = Some(Known { addresses: addresses.clone(), until: end + ttl });
        Ok(Found { addresses, took: Some(end - start) })
    }

    async fn ask_all(&self) -> Result<(Arc<[IpAddr]>, Duration), Failure> {
        let mut last = Miss::Silence("no answer".into());
        for _ in 0..ROUNDS {
            for server in &self.names.servers {
                // Both families at once, as system resolvers do; IPv6 counts where there is no IPv4.
                let [v4, v6] = &self.questions;
                let (v4, v6) = tokio::join!(self.ask(v4, *server), self.ask(v6, *server));
                match (v4, v6) {
                    (Ok(Some(found)), _) | (_, Ok(Some(found))) => return Ok(found),
                    (Ok(None), Ok(None)) => return Err(Failure::failed("no address")),
                    (Err(Miss::NoSuchName(failure)), _) | (_, Err(Miss::NoSuchName(failure))) => {
                        return Err(failure);
                    }
                    (Err(miss), _) | (_, Err(miss)) => last = miss,
                }
            }
            // An answer that says no is not asked for again in the hope of a better one; silence is.
            if !matches!(last, Miss::Silence(_)) {
                break;
            }
        }
        Err(match last {
            Miss::Silence(text) => Failure::failed(text),
            Miss::NoSuchName(failure) | Miss::Other(failure) => failure,
        })
    }

    async fn ask(
        &self,
        question: &Question,
        server: std::net::SocketAddr,
    ) -> Result<Option<(Arc<[IpAddr]>, Duration)>, Miss> {
        let Ok(answer) = timeout(PATIENCE, question.ask(&self.sockets, server)).await else {
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
        Ok((!addresses.is_empty()).then(|| (addresses.into(), Duration::from_secs(ttl.into()))))
    }
}
