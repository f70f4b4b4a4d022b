//! What is measured, from where, and how often.

use std::time::Duration;

use chaos_core::model::{
    Connections, Experiment, Probe, ProbeKind, Quantity, Unit,
    probe::{AlertSource, Condition, LabelSource},
};

use super::{
    page::{Page, time},
    place,
};

/// Says what every probe measures.
pub(super) fn explain(experiment: &Experiment, page: &mut Page) {
    page.section("What is measured, throughout");
    for probe in &experiment.probes {
        page.item(&format!("{}: {} from {}", probe.name, kind(&probe.kind), from(probe)));
        let each = match probe.from.as_ref().and_then(|f| place::count(experiment, f)) {
            Some(1) => String::new(),
            Some(n) => format!(" from each of {n} places"),
            None if probe.from.is_some() => " from each place".to_owned(),
            None => String::new(),
        };
        if matches!(probe.kind, ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. }) {
            page.detail(&format!(
                "Once every {}; a reading holds until the next, at most for {}, then what it reads is unknown. After {} \
                 without an answer there is none.",
                time(Duration::from_secs_f64(1.0 / probe.rate)),
                time(Duration::from_secs_f64(2.5 / probe.rate)),
                time(probe.timeout)
            ));
            page.detail(&reading(&probe.kind));
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
        page.detail(&match (&probe.ok_when, &probe.kind) {
            (Some(wanted), _) => format!("It succeeds when {}.", condition(wanted)),
            (None, ProbeKind::Http { .. }) => "It succeeds when the status is 200 to 399.".to_owned(),
            (None, ProbeKind::Tcp { .. }) => "It succeeds when the connection is accepted.".to_owned(),
            (None, ProbeKind::Dns { .. }) => "It succeeds when an answer comes.".to_owned(),
            (None, ProbeKind::Tls { .. }) => {
                "It succeeds when the handshake does, with a certificate that is trusted, valid and for that name.".to_owned()
            }
            (None, ProbeKind::Grpc { .. }) => "It succeeds when the answer is SERVING.".to_owned(),
            (None, ProbeKind::Exec { .. }) => "It succeeds when the command ends with 0.".to_owned(),
            (None, ProbeKind::Prometheus { .. } | ProbeKind::Alerts { .. }) => reading(&probe.kind),
            (None, ProbeKind::Custom { .. }) => "What succeeds is up to that prober.".to_owned(),
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
    probe.from.as_ref().map_or_else(|| "where the runner is".to_owned(), place::of_selector)
}

fn kind(kind: &ProbeKind) -> String {
    match kind {
        ProbeKind::Http { method, url, .. } => format!("HTTP {method} {url}"),
        ProbeKind::Tcp { address } => format!("opening a TCP connection to {address}"),
        ProbeKind::Dns { record, name, server: None } => format!("asking for the {record} record of {name}"),
        ProbeKind::Dns { record, name, server: Some(server) } => {
            format!("asking {server} for the {record} record of {name}")
        }
        ProbeKind::Tls { address, name: None } => format!("a TLS handshake with {address}"),
        ProbeKind::Tls { address, name: Some(name) } => format!("a TLS handshake with {address}, as {name}"),
        ProbeKind::Grpc { address, service, secure } => format!(
            "asking {address} by gRPC{} for the health of {}",
            if *secure { " over TLS" } else { "" },
            if service.is_empty() { "the server" } else { service }
        ),
        ProbeKind::Exec { words, .. } => format!("running {}", words.join(" ")),
        ProbeKind::Alerts { source: AlertSource::Alertmanager, url } => {
            format!("asking the Alertmanager at {url} which alerts fire")
        }
        ProbeKind::Alerts { source: AlertSource::Prometheus, url } => {
            format!("asking the Prometheus at {url} which alerts fire")
        }
        ProbeKind::Prometheus { query, url, take: None, .. } => {
            format!("asking the Prometheus at {url} for {query}")
        }
        ProbeKind::Prometheus { query, url, take: Some(take), .. } => format!(
            "asking the Prometheus at {url} for the {} of {query} over the last {}, in steps of {}",
            take.which.as_str(),
            time(take.over),
            time(take.step)
        ),
        ProbeKind::Custom { prober } => format!("the harness's prober {prober}"),
    }
}

/// Says what counts as a reading.
fn reading(kind: &ProbeKind) -> String {
    let ProbeKind::Prometheus { default, scale, .. } = kind else {
        return "While nobody can be asked, whether an alert fires is unknown.".to_owned();
    };
    let counts = match scale.unit {
        Unit::Count => String::new(),
        unit => format!(", of which one counts as {}", Quantity::new(scale.factor, unit)),
    };
    match default {
        Some(value) => format!(
            "It reads one number{counts}; an answer without a series reads {}. An error of the server reads nothing.",
            Quantity::new(value * scale.factor, scale.unit)
        ),
        None => format!(
            "It reads one number{counts}; an answer without a series, or an error of the server, reads nothing, which is \
             unknown, not a failure."
        ),
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
