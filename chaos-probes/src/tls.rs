//! TLS: one handshake, and how long the server's certificate is still valid.

use async_trait::async_trait;
use chaos_core::{
    model::{Probe, probe::Condition},
    place::Place,
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};

use crate::{
    condition::{self, Answer, Kind},
    dial::Dialer,
    endpoint::{Endpoint, Host},
    failure::{Failure, Words},
    label::Labels,
    secure::Tls,
    socket::Sockets,
};

/// Makes one handshake.
pub(crate) struct TlsProber {
    dialer: Dialer,
    ok_when: Option<Condition>,
    labels: Labels,
    words: Words,
}

impl TlsProber {
    /// Prepares handshakes with `host:port`; the certificate must be for `name`, without it for the host.
    pub(crate) fn open(
        probe: &Probe,
        (address, name): (&str, Option<&str>),
        place: &Place,
        sockets: Sockets,
    ) -> Result<TlsProber, Trouble> {
        if let Some(condition) = &probe.ok_when {
            condition::check(condition, Kind::Tls)?;
        }
        let endpoint = Endpoint::parse(address, None)?;
        let name = match name {
            Some(name) => Host::parse(name)?,
            None => endpoint.host.clone(),
        };
        let tls = Tls::open(&probe.trust, &name, None)?;
        Ok(TlsProber {
            dialer: Dialer::open(&endpoint, Some(tls), place, sockets)?,
            ok_when: probe.ok_when.clone(),
            labels: Labels::open(&probe.labels, place, false)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation, progress: &Progress) -> Result<(), Failure> {
        let (stream, _) = self.dialer.connect(seen, progress, &self.labels, &self.words).await?;
        if let crate::secure::Stream::Tls(stream) = &stream {
            // A reset instead of a farewell, as for a tcp probe: else the local ports would be used up.
            let _ = socket2::SockRef::from(stream.get_ref().0).set_linger(Some(std::time::Duration::ZERO));
        }
        match &self.ok_when {
            Some(condition) => condition::judge(condition, &Answer::Tls { left: seen.value }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Prober for TlsProber {
    async fn once(&self) -> Observation {
        self.attempt(&Progress::default()).await
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        progress.waits_for("handshake");
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen, progress).await {
            failure.mark(&mut seen, &self.words);
        }
        seen.labels.splice(..0, progress.labels());
        seen
    }
}
