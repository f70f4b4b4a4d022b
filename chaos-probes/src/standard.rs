//! The probers of this crate, and those a harness adds, behind one door.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use chaos_core::{
    model::{Probe, ProbeKind},
    place::Place,
    probe::{Opened, Probers},
    trouble::Trouble,
};

#[cfg(feature = "exec")]
use crate::exec::ExecProber;
#[cfg(feature = "grpc")]
use crate::grpc::GrpcProber;
#[cfg(feature = "tls")]
use crate::tls::TlsProber;
#[cfg(feature = "http")]
use crate::{alerts::AlertsProber, http::HttpProber, prometheus::PrometheusProber};
use crate::{dns::DnsProber, failure::cannot, find, secrets::Secrets, socket::SocketThreads, tcp::TcpProber};

/// Makes the probers of every kind that the model has, and whatever a harness registers under a name.
///
/// Entering a network namespace needs root or `CAP_SYS_ADMIN`; one thread per namespace lives as long as its probers.
pub struct StandardProbers {
    secrets: Secrets,
    exec: bool,
    custom: BTreeMap<String, Arc<dyn Probers>>,
    threads: SocketThreads,
}

impl StandardProbers {
    /// Returns the probers of this crate, without secrets.
    pub fn new() -> Self {
        StandardProbers {
            secrets: Secrets::new(|_| None),
            exec: false,
            custom: BTreeMap::new(),
            threads: SocketThreads::default(),
        }
    }

    /// Sets where secrets come from: given a variable's name, usually `|name| std::env::var(name).ok()`.
    #[must_use]
    pub fn secrets(mut self, find: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.secrets = Secrets::new(find);
        self
    }

    /// Allows exec probes, which run whatever command the experiment names with the rights of this process; without it they are
    /// refused.
    #[cfg(feature = "exec")]
    #[must_use]
    pub fn allow_exec(mut self) -> Self {
        self.exec = true;
        self
    }

    /// Registers what opens the probes of kind [`ProbeKind::Custom`] with this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, probers: Arc<dyn Probers>) -> Self {
        self.custom.insert(name.into(), probers);
        self
    }
}

/// Why a probe cannot be opened by this build.
#[cfg(not(all(feature = "http", feature = "tls", feature = "grpc")))]
fn left_out(what: &str, feature: &str) -> Trouble {
    cannot(
        format!("this build has no {what} probes"),
        format!("build `chaos-probes` with its feature `{feature}`"),
    )
}

impl Default for StandardProbers {
    fn default() -> Self {
        StandardProbers::new()
    }
}

impl fmt::Debug for StandardProbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandardProbers").field("custom", &self.custom.keys()).finish_non_exhaustive()
    }
}

impl StandardProbers {
    /// Says that no custom prober has this name.
    fn unknown(&self, prober: &str) -> Trouble {
        let known: Vec<_> = self.custom.keys().map(|name| format!("`{name}`")).collect();
        cannot(
            format!("there is no prober `{prober}`"),
            match known.is_empty() {
                true => "the harness has registered none".to_owned(),
                false => format!("the harness has registered {}", known.join(", ")),
            },
        )
    }
}

/// Why the state of a cluster is not read.
fn outside_clusters() -> Trouble {
    cannot("a kube probe reads the state of a cluster", "run it in a scope with `cluster \"…\"`")
}

/// Why a command is not run.
fn not_allowed(probe: &Probe) -> Trouble {
    Trouble::denied(format!("the probe `{}` runs a command, which needs your permission", probe.name))
        .with_help("read the command, then allow it with `--allow-exec`")
}

#[async_trait]
impl Probers for StandardProbers {
    fn conceal(&self, text: &str) -> Option<String> {
        let custom = self.custom.values();
        let own = self.secrets.conceal(text);
        custom.fold(own, |text_so_far, probers| {
            probers.conceal(text_so_far.as_deref().unwrap_or(text)).or(text_so_far)
        })
    }

    fn refuses(&self, probe: &Probe) -> Option<Trouble> {
        match &probe.kind {
            ProbeKind::Custom { prober } => match self.custom.get(prober) {
                Some(probers) => probers.refuses(probe),
                None => Some(self.unknown(prober)),
            },
            ProbeKind::Exec { .. } => (!self.exec).then(|| not_allowed(probe)),
            #[cfg(not(feature = "http"))]
            ProbeKind::Http { .. } | ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. } => {
                Some(left_out("HTTP", "http"))
            }
            #[cfg(feature = "http")]
            ProbeKind::Http { .. } | ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. } => None,
            #[cfg(not(feature = "tls"))]
            ProbeKind::Tls { .. } => Some(left_out("TLS", "tls")),
            #[cfg(feature = "tls")]
            ProbeKind::Tls { .. } => None,
            #[cfg(not(feature = "grpc"))]
            ProbeKind::Grpc { .. } => Some(left_out("gRPC", "grpc")),
            #[cfg(feature = "grpc")]
            ProbeKind::Grpc { .. } => None,
            ProbeKind::Kube(_) => Some(outside_clusters()),
            ProbeKind::Tcp { .. } | ProbeKind::Dns { .. } => None,
        }
    }

    async fn find(&self, probe: &Probe, place: &Place) -> Result<Option<String>, Trouble> {
        match probe.kind.prober() {
            Some(prober) => match self.custom.get(prober) {
                Some(probers) => probers.find(probe, place).await,
                None => Err(self.unknown(prober)),
            },
            None => find::find(probe, place, &self.threads).await,
        }
    }

    async fn open(&self, probe: &Probe, place: &Place) -> Result<Opened, Trouble> {
        if let Some(prober) = probe.kind.prober() {
            return match self.custom.get(prober) {
                Some(probers) => probers.open(probe, place).await,
                None => Err(self.unknown(prober)),
            };
        }
        let sockets = self.threads.sockets(&place.site).await?;
        Ok(Opened::Each(match &probe.kind {
            #[cfg(feature = "http")]
            ProbeKind::Http { method, url, headers, body } => Arc::new(HttpProber::open(
                probe,
                (method, &url.value, headers, body.as_deref()),
                place,
                sockets,
                &self.secrets,
            )?),
            #[cfg(feature = "tls")]
            ProbeKind::Tls { address, name } => {
                let name = name.as_ref().map(|name| name.value.as_str());
                Arc::new(TlsProber::open(probe, (&address.value, name), place, sockets)?)
            }
            #[cfg(feature = "grpc")]
            ProbeKind::Grpc { address, service, secure } => {
                Arc::new(GrpcProber::open(probe, (&address.value, service, *secure), place, sockets)?)
            }
            ProbeKind::Exec { .. } if !self.exec => return Err(not_allowed(probe)),
            #[cfg(feature = "exec")]
            ProbeKind::Exec { words, scale } => Arc::new(ExecProber::open(probe, (words, *scale), place)?),
            // It is never allowed where it was left out.
            #[cfg(not(feature = "exec"))]
            ProbeKind::Exec { .. } => return Err(not_allowed(probe)),
            #[cfg(feature = "http")]
            ProbeKind::Alerts { source, url } => {
                let ask = (*source, url.value.as_str());
                Arc::new(AlertsProber::open(probe, ask, place, sockets, &self.secrets)?)
            }
            ProbeKind::Tcp { address } => Arc::new(TcpProber::open(probe, &address.value, place, sockets)?),
            ProbeKind::Dns { record, name, server } => {
                let server = server.as_ref().map(|server| server.value.as_str());
                Arc::new(DnsProber::open(probe, (record, &name.value, server), place, sockets)?)
            }
            #[cfg(feature = "http")]
            ProbeKind::Prometheus { query, url, take, scale, default } => {
                let ask = (query.as_str(), url.as_str(), *take, *scale, *default);
                Arc::new(PrometheusProber::open(probe, ask, place, sockets, &self.secrets)?)
            }
            #[cfg(not(feature = "http"))]
            ProbeKind::Http { .. } | ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. } => {
                return Err(left_out("HTTP", "http"));
            }
            #[cfg(not(feature = "tls"))]
            ProbeKind::Tls { .. } => return Err(left_out("TLS", "tls")),
            #[cfg(not(feature = "grpc"))]
            ProbeKind::Grpc { .. } => return Err(left_out("gRPC", "grpc")),
            ProbeKind::Kube(_) => return Err(outside_clusters()),
            ProbeKind::Custom { .. } => unreachable!("handled above"),
        }))
    }
}
