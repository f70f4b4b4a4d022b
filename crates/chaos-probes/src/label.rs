//! Labels: values taken from answers.

use std::{net::IpAddr, sync::Arc};

use chaos_core::{model::probe::Label, model::probe::LabelSource, probe::Observation, probe::ProbeError};
use hyper::header::{HeaderMap, HeaderName};

use crate::failure::{Words, cannot};

/// The labels of a probe.
pub(crate) struct Labels(Vec<(Arc<str>, Source)>);

enum Source {
    Header(HeaderName),
    Status,
    Peer,
}

impl Labels {
    /// Prepares labels; all but the peer need HTTP.
    pub(crate) fn open(labels: &[Label], http: bool) -> Result<Labels, ProbeError> {
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
        labels
            .iter()
            .map(|label| Ok((label.name.value.as_str().into(), source(label)?)))
            .collect::<Result<_, _>>()
            .map(Labels)
    }

    /// Adds the peer, which is known before there is an answer.
    pub(crate) fn peer(&self, seen: &mut Observation, peer: IpAddr, words: &Words) {
        for (name, source) in &self.0 {
            if let Source::Peer = source {
                seen.labels.push((name.clone(), words.get(&peer.to_string())));
            }
        }
    }

    /// Adds what the head of an answer says; a header field that is not there gives no label.
    pub(crate) fn head(&self, seen: &mut Observation, status: u16, headers: &HeaderMap, words: &Words) {
        for (name, source) in &self.0 {
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
