//! What is measured, from where, and how often.

use std::time::Duration;

use crate::model::{
    Connections, Experiment, Probe, ProbeKind, Quantity, Unit, Vantage,
    probe::{Condition, LabelSource},
};

use super::{
    page::{Page, time},
    place,
};

/// Says what every probe measures.
pub(super) fn explain(experiment: &Experiment, page: &mut Page) {
    page.section("What is measured, throughout");
    for probe in &experiment.probes {
        page.item(&format!("{}: {} from {}", probe.name, probe.kind.in_words(), from(probe)));
        let each = match &probe.from {
            Vantage::Runner => String::new(),
            Vantage::Each(selector) => match place::count(experiment, selector) {
                Some(1) => String::new(),
                Some(n) => format!(" from each of {n} places"),
                None => " from each place".to_owned(),
            },
        };
        if probe.kind.is_polled() {
            page.detail(&format!(
                "Once every {}; a reading holds until the next, at most for {}, then what it reads is unknown. After {} \
                 without an answer there is none.",
                time(Duration::from_secs_f64(1.0 / probe.rate)),
                time(Duration::from_secs_f64(2.5 / probe.rate)),
                time(probe.timeout)
            ));
            page.detail(&probe.kind.reading_in_words());
            continue;
        }
        page.detail(&format!(
            "{}{each} on a fixed schedule (open loop): a slow answer never delays the next measurement, and latency counts \
             from the moment it was due. After {} it counts as failed.",
            Quantity::new(probe.rate, Unit::PerSecond),
            time(probe.timeout)
        ));
        if matches!(probe.kind, ProbeKind::Http { .. }) {
            page.detail(&match probe.connections {
                Connections::Reuse(n) => format!(
                    "At most {n} connections are open at once, and they are used again; a request that finds none free \
                     waits for one, which counts as latency."
                ),
                Connections::Fresh => "Each opens a connection of its own.".to_owned(),
            });
        }
        page.detail(&match (&probe.ok_when, probe.kind.usual_success()) {
            (Some(wanted), _) => format!("It succeeds when {}.", condition(wanted)),
            (None, Some(usual)) => usual.to_owned(),
            (None, None) => probe.kind.reading_in_words(),
        });
        for label in &probe.labels {
            let source = match &label.source {
                LabelSource::Header(name) => format!("the header field {name} of the answer"),
                LabelSource::Status => "the HTTP status".to_owned(),
                LabelSource::Peer => "the address that answered".to_owned(),
            };
            page.detail(&format!("Its label {} is {source}.", label.name));
        }
    }
}

fn from(probe: &Probe) -> String {
    match &probe.from {
        Vantage::Runner => "where the runner is".to_owned(),
        Vantage::Each(selector) => place::of_selector(selector),
    }
}

fn condition(of: &Condition) -> String {
    let list = |all: &[Condition], word: &str| {
        all.iter()
            .map(|c| match c {
                Condition::All(_) | Condition::Any(_) => format!("({})", condition(c)),
                _ => condition(c),
            })
            .collect::<Vec<_>>()
            .join(word)
    };
    match of {
        Condition::Status(ranges) => {
            let ranges = ranges.iter().map(|(low, high)| match (low, high) {
                (low, high) if low == high => low.to_string(),
                (0, high) => format!("at most {high}"),
                (low, &u16::MAX) => format!("at least {low}"),
                (low, high) => format!("{low} to {high}"),
            });
            format!("the status is {}", ranges.collect::<Vec<_>>().join(" or "))
        }
        Condition::BodyContains(text) => format!("the body contains \"{text}\""),
        Condition::Header(name, value) => format!("the header field {name} is \"{value}\""),
        Condition::Answer(text) => format!("one of the answers is \"{text}\""),
        Condition::DaysLeft(seconds) => {
            format!("the certificate is valid for at least {}", Quantity::new(*seconds, Unit::Seconds))
        }
        Condition::Exit(code) => format!("the command ends with {code}"),
        Condition::OutputContains(text) => format!("the output contains \"{text}\""),
        Condition::All(all) => list(all, " and "),
        Condition::Any(all) => list(all, " or "),
        Condition::Not(inner) => format!("not ({})", condition(inner)),
    }
}
