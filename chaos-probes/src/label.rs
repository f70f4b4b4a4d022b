//! Labels: values taken from answers.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use chaos_core::{
    model::probe::{Label, LabelSource},
    place::{Kind, Place},
    probe::{Observation, Progress},
    trouble::Trouble,
};
use http::header::{HeaderMap, HeaderName};

use crate::failure::{Words, cannot};

/// The labels of a probe.
pub(crate) struct Labels {
    labels: Vec<(Arc<str>, Source)>,
    /// What the hosts of a lab are called.
    hosts: HashMap<IpAddr, String>,
}

enum Source {
    Header(HeaderName),
    Status,
    Peer,
}

impl Labels {
    /// Prepares labels; all but the peer need HTTP.
    pub(crate) fn open(labels: &[Label], place: &Place, http: bool) -> Result<Labels, Trouble> {
        let source = |label: &Label| {
            let name = &label.name.value;
            Ok(match &label.source {
                LabelSource::Peer => Source::Peer,
                _ if !http => {
                    return Err(cannot(
                        format!("label `{name}` needs an http probe"),
                        "other probes have only the peer's address to offer",
                    ));
                }
                LabelSource::Status => Source::Status,
                LabelSource::Header(header) => {
                    Source::Header(HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
                        cannot(
                            format!("`{header}` is not the name of a header field"),
                            "use letters, digits and `-`",
                        )
                    })?)
                }
            })
        };
        let labels = labels.iter().map(|label| Ok((label.name.value.as_str().into(), source(label)?)));
        Ok(Labels { labels: labels.collect::<Result<_, _>>()?, hosts: hosts(place) })
    }

    /// Notes who is asked, which is known before there is an answer, and where there is none.
    pub(crate) fn asks(&self, progress: &Progress, peer: IpAddr, words: &Words) {
        let of_peer = self.labels.iter().filter(|(_, source)| matches!(source, Source::Peer));
        let named = of_peer.map(|(name, _)| {
            let value = match self.hosts.get(&peer) {
                Some(host) => words.get(host),
                None => words.get(&peer.to_string()),
            };
            (name.clone(), value)
        });
        let labels: Vec<_> = named.collect();
        if !labels.is_empty() {
            progress.label(labels);
        }
    }

    /// Adds what the head of an answer says; a header field that is not there gives no label.
    pub(crate) fn head(&self, seen: &mut Observation, status: u16, headers: &HeaderMap, words: &Words) {
        for (name, source) in &self.labels {
            let value = match source {
                Source::Peer => None,
                Source::Status => Some(words.get(&status.to_string())),
                Source::Header(header) => {
                    headers.get(header).map(|value| words.get(&String::from_utf8_lossy(value.as_bytes())))
                }
            };
            if let Some(value) = value {
                seen.labels.push((name.clone(), value));
            }
        }
    }
}

/// Names the hosts of a lab, as formulas do; elsewhere an address is all that is certain.
///
/// Of an address's names the one of the fewest addresses is the host's own, as `api-1` beside `api` for all its copies, and
/// of several such the shortest: `api` is also `api.lab`.
fn hosts(place: &Place) -> HashMap<IpAddr, String> {
    let mut hosts: HashMap<IpAddr, (usize, &String)> = HashMap::new();
    if place.object.kind != Kind::HOST {
        return HashMap::new();
    }
    for (name, addresses) in &place.names.hosts {
        for address in addresses {
            let known = hosts.entry(*address).or_insert((addresses.len(), name));
            if (addresses.len(), name.len()) < (known.0, known.1.len()) {
                *known = (addresses.len(), name);
            }
        }
    }
    hosts.into_iter().map(|(address, (_, name))| (address, name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chaos_core::place::{Names, ObjectId, Site};

    use super::*;

    #[test]
    fn a_host_of_a_lab_is_called_by_its_own_name() {
        let name = |name: &str, addresses: &[&str]| {
            (name.to_owned(), addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>())
        };
        let all = ["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2"];
        let names = [
            name("api", &all),
            name("api-1", &all[..2]),
            name("api-1.lab", &all[..2]),
            name("api-2", &all[2..]),
            name("api.lab", &all),
            name("db", &["10.0.0.3"]),
            name("db.lab", &["10.0.0.3"]),
        ];
        let mut place = Place {
            object: ObjectId::host("client"),
            site: Site::Runner,
            names: Arc::new(Names { hosts: names.into(), ..Names::default() }),
        };
        let called = |place: &Place, address: &str| hosts(place).get(&address.parse().unwrap()).cloned();
        assert_eq!(called(&place, "10.0.0.1").as_deref(), Some("api-1"));
        assert_eq!(called(&place, "fd00::2").as_deref(), Some("api-2"));
        assert_eq!(called(&place, "10.0.0.3").as_deref(), Some("db"));
        assert_eq!(called(&place, "10.0.0.4"), None);
        place.object.kind = Kind::HERE;
        assert_eq!(called(&place, "10.0.0.1"), None);
    }
}
