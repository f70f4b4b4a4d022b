//! TCP: how long a handshake takes.

use std::time::Duration;

use async_trait::async_trait;
use chaos_core::{
    model::Probe,
    place::Place,
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};
use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    failure::{Failure, Words, cannot},
    label::Labels,
    reach::reach,
    resolve::Resolver,
    socket::Sockets,
};

/// Opens and closes a connection.
pub(crate) struct TcpProber {
    resolver: Resolver,
    port: u16,
    sockets: Sockets,
    labels: Labels,
    words: Words,
}

impl TcpProber {
    /// Prepares handshakes with `host:port`.
    pub(crate) fn open(
        probe: &Probe,
        address: &str,
        place: &Place,
        sockets: Sockets,
    ) -> Result<TcpProber, Trouble> {
        if probe.ok_when.is_some() {
            return Err(cannot(
                "a tcp probe has no answer to judge",
                "leave out `ok when`: a handshake is a success",
            ));
        }
        let endpoint = Endpoint::parse(address, None)?;
        Ok(TcpProber {
            resolver: Resolver::open(&endpoint.host, place, &sockets)?,
            port: endpoint.port,
            sockets,
            labels: Labels::open(&probe.labels, place, false)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation, progress: &Progress) -> Result<(), Failure> {
        let found = self.resolver.addresses().await?;
        seen.dns = found.took;
        let choices = found.ranked.choices(self.resolver.turn());
        let start = Instant::now();
        self.labels.asks(progress, choices[0], &self.words);
        let reached = reach(&self.sockets, &choices, self.port, found.took.is_some()).await?;
        seen.connect = Some(start.elapsed());
        seen.error = reached.passed.map(|passed| self.words.get(&passed));
        self.labels.asks(progress, reached.peer, &self.words);
        // A reset instead of a farewell: otherwise each measurement would keep a local port busy for a minute,
        // and 470 a second would use them all up.
        let _ = socket2::SockRef::from(&reached.stream).set_linger(Some(Duration::ZERO));
        Ok(())
    }
}

#[async_trait]
impl Prober for TcpProber {
    async fn once(&self) -> Observation {
        self.attempt(&Progress::default()).await
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        progress.waits_for("connection");
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen, progress).await {
            failure.mark(&mut seen, &self.words);
        }
        seen.labels.splice(..0, progress.labels());
        seen
    }
}
