//! Alerts: which of them fire, as Alertmanager or Prometheus says.

use async_trait::async_trait;
use chaos_core::{
    model::{Probe, metric::ALERT, probe::AlertSource},
    place::Place,
    probe::{Observation, Prober},
    trouble::Trouble,
};
use serde::Deserialize;

use crate::{
    api::{Api, unread},
    failure::{Failure, Words},
    prometheus,
    secrets::Secrets,
    socket::Sockets,
};

/// Asks which alerts fire.
pub(crate) struct AlertsProber {
    api: Api,
    source: AlertSource,
    words: Words,
}

impl AlertsProber {
    /// Prepares the question from a place.
    pub(crate) fn open(
        probe: &Probe,
        (source, url): (AlertSource, &str),
        place: &Place,
        sockets: Sockets,
        secrets: &Secrets,
    ) -> Result<AlertsProber, Trouble> {
        let api = Api::open(probe, url, place, sockets, secrets)?;
        Ok(AlertsProber { api, source, words: Words::default() })
    }

    async fn measure(&self, seen: &mut Observation) -> Result<(), Failure> {
        let mut firing: Vec<String> = match self.source {
            // What is silenced or inhibited fires all the same; nobody is notified.
            AlertSource::Alertmanager => {
                let all: Vec<Alert> = self.api.ask("/api/v2/alerts", &[], seen).await?;
                all.into_iter().map(|alert| alert.labels.alertname).collect()
            }
            AlertSource::Prometheus => match self.api.ask("/api/v1/alerts", &[], seen).await? {
                prometheus::Answer::Success { data: Alerts { alerts } } => {
                    let firing = alerts.into_iter().filter(|alert| alert.state.as_deref() == Some("firing"));
                    firing.map(|alert| alert.labels.alertname).collect()
                }
                prometheus::Answer::Error { kind, error } => return Err(unread(format!("{kind}: {error}"))),
            },
        };
        firing.sort();
        firing.dedup();
        seen.labels.extend(firing.iter().map(|name| (self.words.get(ALERT), self.words.get(name))));
        Ok(())
    }
}

#[async_trait]
impl Prober for AlertsProber {
    async fn once(&self) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen).await {
            failure.mark(&mut seen, &self.words);
        }
        seen
    }
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    labels: Labels,
    /// `firing` or `pending`; Alertmanager, which only hears of those that fire, has no such field.
    state: Option<String>,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    alertname: String,
}
