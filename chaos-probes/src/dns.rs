//! DNS: how long a server takes to answer a question.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use chaos_core::{
    model::{Probe, probe::Condition},
    place::Place,
    probe::{Observation, Prober, Progress},
    trouble::Trouble,
};
use hickory_proto::rr::{Name, RecordType};

use crate::{
    condition::{self, Answer, Kind},
    endpoint::{Endpoint, Host},
    failure::{Failure, Words, cannot},
    label::Labels,
    names,
    query::{self, Question},
    resolve::Resolver,
    socket::Sockets,
};

/// The port of DNS.
const PORT: u16 = 53;

/// Asks one question.
pub(crate) struct DnsProber {
    question: Question,
    server: Resolver,
    port: u16,
    ok_when: Option<Condition>,
    sockets: Sockets,
    labels: Labels,
    words: Words,
}

impl DnsProber {
    /// Prepares a question to the given server, or to the place's own first one.
    pub(crate) fn open(
        probe: &Probe,
        (record, name, server): (&str, &str, Option<&str>),
        place: &Place,
        sockets: Sockets,
    ) -> Result<DnsProber, Trouble> {
        if let Some(condition) = &probe.ok_when {
            condition::check(condition, Kind::Dns)?;
        }
        let record = record_type(record)?;
        let endpoint = match server {
            Some(server) => Endpoint::parse(server, Some(PORT))?,
            None => match names::of(place)?.servers.first() {
                Some(own) => Endpoint { host: Host::Address(own.ip()), port: own.port() },
                None => {
                    return Err(cannot(
                        format!("there is no DNS server to ask at {}", place.object),
                        "name the server in the probe, or give the place one",
                    ));
                }
            },
        };
        Ok(DnsProber {
            question: Question { name: absolute(name, record)?, record },
            server: Resolver::open(&endpoint.host, place, &sockets)?,
            port: endpoint.port,
            ok_when: probe.ok_when.clone(),
            sockets,
            labels: Labels::open(&probe.labels, place, false)?,
            words: Words::default(),
        })
    }

    async fn measure(&self, seen: &mut Observation, progress: &Progress) -> Result<(), Failure> {
        let found = self.server.addresses().await?;
        seen.dns = found.took;
        let address = found.ranked.choices(self.server.turn())[0];
        self.labels.asks(progress, address, &self.words);
        let answer = self.question.ask(&self.sockets, SocketAddr::new(address, self.port)).await?;
        query::check(&answer)?;
        let values: Vec<String> = answer
            .answers
            .iter()
            .filter(|record| record.data.record_type() == self.question.record)
            .flat_map(|record| query::values(&record.data))
            .collect();
        match &self.ok_when {
            Some(condition) => condition::judge(condition, &Answer::Dns { values: &values }),
            None if values.is_empty() => Err(Failure::failed("no records")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Prober for DnsProber {
    async fn once(&self) -> Observation {
        self.attempt(&Progress::default()).await
    }

    async fn attempt(&self, progress: &Progress) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen, progress).await {
            failure.mark(&mut seen, &self.words);
        }
        seen.labels.splice(..0, progress.labels());
        seen
    }
}

fn record_type(text: &str) -> Result<RecordType, Trouble> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "A" => RecordType::A,
        "AAAA" => RecordType::AAAA,
        "CNAME" => RecordType::CNAME,
        "SRV" => RecordType::SRV,
        "TXT" => RecordType::TXT,
        "MX" => RecordType::MX,
        "NS" => RecordType::NS,
        "PTR" => RecordType::PTR,
        _ => {
            return Err(cannot(
                format!("unknown record type `{text}`"),
                "known are A, AAAA, CNAME, SRV, TXT, MX, NS and PTR",
            ));
        }
    })
}

/// Returns the name in full; for PTR an address may be written instead of its name under `arpa`.
fn absolute(name: &str, record: RecordType) -> Result<Name, Trouble> {
    if record == RecordType::PTR
        && let Ok(address) = name.parse::<IpAddr>()
    {
        return Ok(Name::from(address));
    }
    let mut parsed =
        Name::from_ascii(name).map_err(|_| cannot(format!("`{name}` is not a DNS name"), query::SPELLING))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_in_full() {
        assert_eq!(absolute("payments.shop", RecordType::A).unwrap().to_ascii(), "payments.shop.");
        assert_eq!(absolute("10.0.0.2", RecordType::PTR).unwrap().to_ascii(), "2.0.0.10.in-addr.arpa.");
        assert_eq!(absolute("_http._tcp.api", RecordType::SRV).unwrap().to_ascii(), "_http._tcp.api.");
        assert!(absolute(&"x".repeat(64), RecordType::A).is_err());
        assert_eq!(record_type("aaaa").unwrap(), RecordType::AAAA);
        assert_eq!(record_type("SPF").unwrap_err().message, "unknown record type `SPF`");
    }
}
