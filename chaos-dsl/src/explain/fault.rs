//! What is injected, in words.

use chaos_core::model::{
    Distribution, Experiment, Fault, FaultSpec, Host, Quantity, Selector, Step, Target, Traffic, Unit,
    fault::{Blocked, Destination, Protocol, Refusal, Way, Who},
    target,
};

use super::{
    page::{Page, time},
    place::{self, of_selector},
};

/// Says what every fault does.
pub(super) fn explain(experiment: &Experiment, page: &mut Page) {
    page.section("What is injected");
    let injects =
        |step: &Step, fault: &Fault| matches!(step, Step::Inject(name) if name.value == fault.name.value);
    let (injected, left_out): (Vec<&Fault>, Vec<&Fault>) = experiment
        .faults
        .iter()
        .partition(|fault| experiment.timeline.steps.iter().any(|step| injects(&step.value, fault)));
    for fault in injected {
        let effects: Vec<String> = fault.specs.iter().map(|s| effect(s)).collect();
        page.item(&format!("{}: {}", fault.name, short(fault)));
        page.detail(&format!("{}: {}.", traffic(fault), effects.join("; and ")));
        if let Some(proof) = &fault.proven_by {
            page.detail(&format!(
                "It counts as having met traffic once {proof}: {}.",
                super::words::comparison(proof)
            ));
        }
    }
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|fault| fault.name.as_str()).collect();
        page.text(&format!("Declared as well, and not injected in this experiment: {}.", names.join(", ")));
    }
}

/// Says what every change does, which is no fault.
pub(super) fn changes(experiment: &Experiment, page: &mut Page) {
    if experiment.changes.is_empty() {
        return;
    }
    page.section("What is changed");
    for change in &experiment.changes {
        page.item(&format!("{}: {}", change.name, short(change)));
        match replaced(experiment, change) {
            Some(detail) => page.detail(&detail),
            None => {
                let effects: Vec<String> = change.specs.iter().map(|s| effect(s)).collect();
                page.detail(&format!("{}: {}.", traffic(change), effects.join("; and ")));
            }
        }
    }
    page.text(
        "A change is not a fault: it stays through the rollback and the watch, and is undone at the very end of the run, the last \
         one first. It counts in the blast radius, and if it matches no traffic, what follows it is undecided.",
    );
}

/// Says which program another one takes the place of, where that is the change.
fn replaced(experiment: &Experiment, change: &Fault) -> Option<String> {
    let [spec] = change.specs.as_slice() else { return None };
    let FaultSpec::Run { program } = &spec.value else { return None };
    let pattern = match &change.on {
        Selector::Named(name) => match experiment.targets.iter().find(|t| t.name == *name) {
            Some(Target { selector: Selector::Hosts(pattern), .. }) => pattern,
            _ => return None,
        },
        Selector::Hosts(pattern) => pattern,
        _ => return None,
    };
    let is_meant = |host: &&Host| {
        host.name == *pattern || host.names().iter().any(|name| target::glob(&pattern.value, name))
    };
    let old: Vec<String> = experiment
        .lab()?
        .hosts
        .iter()
        .filter(is_meant)
        .flat_map(|host| &host.programs)
        .map(|program| place::program(program))
        .collect();
    Some(format!(
        "On {}, instead of {}: {}. The old program ends, with its open connections; the run goes on when the new one is ready, and \
         is aborted where it does not become so. At the end the old one runs again, and is ready.",
        of_selector(&change.on),
        old.join(" or "),
        place::program(program)
    ))
}

/// Says a fault in the words of the language.
pub(super) fn short(fault: &Fault) -> String {
    let specs: Vec<String> = fault.specs.iter().map(|s| s.to_string()).collect();
    let on = match &fault.on {
        Selector::Hosts(name) | Selector::Named(name) => name.value.clone(),
        other => other.to_string(),
    };
    let mut out = format!("{} on {on}", specs.join(" and "));
    let (word, both) = match fault.traffic.direction {
        Way::Egress => ("to", ""),
        Way::Ingress => ("from", ""),
        Way::Both => ("to", " both"),
    };
    for peer in &fault.traffic.peers {
        out.push_str(&format!(" {word} {}", destination(peer)));
    }
    out.push_str(both);
    fault.traffic.ports.iter().for_each(|port| out.push_str(&format!(" port {port}")));
    out.push_str(match fault.traffic.protocol {
        None => "",
        Some(Protocol::Tcp) => " protocol tcp",
        Some(Protocol::Udp) => " protocol udp",
        Some(Protocol::Icmp) => " protocol icmp",
    });
    if fault.traffic.peers.is_empty() && fault.traffic.direction == Way::Ingress {
        out.push_str(" ingress");
    }
    out
}

fn traffic(fault: &Fault) -> String {
    let Traffic { direction, peers, ports, protocol } = &fault.traffic;
    let protocol = match protocol {
        None => "",
        Some(Protocol::Tcp) => "TCP ",
        Some(Protocol::Udp) => "UDP ",
        Some(Protocol::Icmp) => "ICMP ",
    };
    let on = of_selector(&fault.on);
    let (verb, towards) = match direction {
        Way::Egress => ("sends", "to"),
        Way::Ingress => ("receives", "from"),
        Way::Both => ("sends or receives", "to or from"),
    };
    let mut out = format!("Every {protocol}packet that {on} {verb}");
    if peers.is_empty() {
        out.push_str(&format!(" {towards} anyone"));
    } else {
        let peers: Vec<String> = peers.iter().map(peer).collect();
        out.push_str(&format!(" {towards} {}", peers.join(" or ")));
    }
    if !ports.is_empty() {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        out.push_str(&format!(", on port {} at either end", ports.join(" or ")));
    }
    out
}

fn who(peer: &Destination) -> String {
    match &peer.who {
        Who::Objects(selector) => of_selector(selector),
        Who::Network { address, prefix } => {
            let whole = if address.is_ipv4() { 32 } else { 128 };
            if *prefix == whole { address.to_string() } else { format!("{address}/{prefix}") }
        }
    }
}

fn peer(peer: &Destination) -> String {
    peer.port.map_or_else(|| who(peer), |port| format!("port {port} of {}", who(peer)))
}

fn destination(peer: &Destination) -> String {
    peer.port.map_or_else(|| who(peer), |port| format!("{}:{port}", who(peer)))
}

fn effect(spec: &FaultSpec) -> String {
    let percent = |ratio: f64| Quantity::ratio(ratio);
    match spec {
        FaultSpec::Delay { delay, jitter, correlation, distribution } => {
            let mut out = format!("arrives {} later", time(*delay));
            if !jitter.is_zero() {
                out.push_str(&match distribution {
                    Distribution::Uniform => format!(", give or take up to {}", time(*jitter)),
                    Distribution::Normal => {
                        format!(", normally distributed with a standard deviation of {}", time(*jitter))
                    }
                    Distribution::Pareto => {
                        format!(", with a spread of {} and a long tail upwards", time(*jitter))
                    }
                });
            }
            if *correlation > 0.0 {
                out.push_str(&format!(
                    ", each taking over {} of the deviation before it",
                    percent(*correlation)
                ));
            }
            out
        }
        FaultSpec::Loss { ratio, burst: None } if *ratio >= 1.0 => "vanishes".to_owned(),
        FaultSpec::Loss { ratio, burst: None } => {
            format!("is dropped with a chance of {}, independently of the others", percent(*ratio))
        }
        FaultSpec::Loss { ratio, burst: Some(n) } => {
            format!("vanishes with a chance of {} in all, in bursts of {n} on average", percent(*ratio))
        }
        FaultSpec::Duplicate { ratio } => format!("arrives twice with a chance of {}", percent(*ratio)),
        FaultSpec::Corrupt { ratio } => {
            format!("has one bit flipped with a chance of {}", percent(*ratio))
        }
        FaultSpec::Reorder { ratio, hold } => format!(
            "overtakes those before it with a chance of {}: all others are held for {}",
            percent(*ratio),
            time(*hold)
        ),
        FaultSpec::Bandwidth { rate, burst } => format!(
            "shares {} with all others, with bursts of up to {}",
            Quantity::new(*rate as f64, Unit::BitsPerSecond),
            Quantity::new(*burst as f64, Unit::Bytes)
        ),
        FaultSpec::Block { connections, answer } => {
            let answer = match answer {
                Refusal::Drop => "vanishes, and the sender waits for its timeout",
                Refusal::Reject => "is refused, and the sender gets an answer at once",
            };
            match connections {
                Blocked::All => answer.to_owned(),
                Blocked::New => format!("{answer}, if it would open a connection; those that are open go on"),
                Blocked::Established => {
                    format!(
                        "{answer}, if it belongs to a connection that was open before; new ones are not affected"
                    )
                }
            }
        }
        FaultSpec::Partition => "vanishes; nothing passes either way".to_owned(),
        FaultSpec::Run { program } => format!("goes to {}", place::program(program)),
    }
}
