//! A probe.

use std::time::Duration;

use crate::{
    model::{
        Connections, Probe, ProbeKind, Selector, Vantage,
        probe::{Scale, Trust},
    },
    span::{Span, Spanned},
};

impl Probe {
    /// Makes a probe that is sent from where the runner is, 10 times a second, each on a fresh connection, for up to 5 s.
    pub fn new(name: impl Into<Spanned<String>>, kind: ProbeKind) -> Self {
        Probe {
            name: name.into(),
            kind,
            from: Vantage::Runner,
            rate: 10.0,
            timeout: Duration::from_secs(5),
            connections: Connections::Fresh,
            ok_when: None,
            labels: Vec::new(),
            trust: Trust::default(),
            span: Span::NONE,
        }
    }

    /// Makes a probe whose measurements a prober of the harness takes; `prober` is the name it goes by.
    pub fn custom(name: impl Into<Spanned<String>>, prober: impl Into<String>) -> Self {
        Probe::new(name, ProbeKind::Custom { prober: prober.into() })
    }

    /// Makes a probe of HTTP GET requests.
    pub fn http_get(name: impl Into<Spanned<String>>, url: impl Into<Spanned<String>>) -> Self {
        let (headers, body) = (Vec::new(), None);
        Probe::new(name, ProbeKind::Http { method: "GET".into(), url: url.into(), headers, body })
    }

    /// Makes a probe of TCP handshakes with `HOST:PORT`.
    pub fn tcp(name: impl Into<Spanned<String>>, address: impl Into<Spanned<String>>) -> Self {
        Probe::new(name, ProbeKind::Tcp { address: address.into() })
    }

    /// Makes a probe that asks the Prometheus server at `url` for the one number of a query, once a second.
    pub fn prometheus(
        name: impl Into<Spanned<String>>,
        query: impl Into<Spanned<String>>,
        url: impl Into<Spanned<String>>,
    ) -> Self {
        let (query, url) = (query.into(), url.into());
        let kind = ProbeKind::Prometheus { query, url, take: None, scale: Scale::PLAIN, default: None };
        Probe { rate: 1.0, ..Probe::new(name, kind) }
    }

    /// Sets where it is sent from.
    #[must_use]
    pub fn sent_from(mut self, place: Selector) -> Self {
        self.from = Vantage::Each(place);
        self
    }

    /// Sets the measurements per second and place.
    #[must_use]
    pub fn at_rate(mut self, per_second: f64) -> Self {
        self.rate = per_second;
        self
    }

    /// Sets after which a measurement counts as failed.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps up to this number of connections, and uses them again.
    #[must_use]
    pub fn reusing_connections(mut self, count: u32) -> Self {
        self.connections = Connections::Reuse(count);
        self
    }
}
