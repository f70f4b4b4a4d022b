//! What is injected, in words.

#![warn(clippy::wildcard_enum_match_arm)]

mod names;
mod objects;
mod processes;

use crate::{
    model::{
        Action, Course, Distribution, Experiment, Fault, FaultSpec, Host, PacketFault, Program, Quantity,
        Selector, Step, Traffic, Unit,
        packets::{Blocked, Destination, Ports, Protocol, Refusal, Way, Who},
        target,
    },
    non_empty::NonEmpty,
    which::Which,
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
        // Nothing is said of how it goes on: it stays the same until it is removed.
        let Course::Steady = fault.course;
        page.item(&format!("{}: {}", fault.name, short(&fault.action, &fault.on)));
        page.detail(&detail(experiment, &fault.action, &fault.on));
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

/// Says what every change does, which is not a fault.
pub(super) fn changes(experiment: &Experiment, page: &mut Page) {
    if experiment.changes.is_empty() {
        return;
    }
    page.section("What is changed");
    for change in &experiment.changes {
        page.item(&format!("{}: {}", change.name, short(&change.action, &change.on)));
        page.detail(&detail(experiment, &change.action, &change.on));
    }
    page.text(
        "A change is not a fault: it stays through the rollback and the watch, and is undone at the very end of the run, the last \
         one first. It counts in the blast radius, and if it matches no traffic, what follows it is undecided.",
    );
}

/// Says what an action does, a sentence or two.
fn detail(experiment: &Experiment, action: &Action, on: &Selector) -> String {
    match action {
        Action::Packets(packets) => {
            let effects: Vec<String> = packets.specs.iter().map(|spec| effect(spec)).collect();
            format!("{}: {}.", traffic(&packets.traffic, on), effects.join("; and "))
        }
        Action::Names(names) => self::names::detail(names, on),
        Action::Objects(objects) => self::objects::detail(objects, on),
        Action::Processes(processes) => self::processes::detail(processes, on),
        Action::Program(program) => replaced(experiment, program, on)
            .unwrap_or_else(|| format!("On {}, {} runs.", of_selector(on), place::program(program))),
        Action::Custom(custom) => format!(
            "What happens to {} is up to the injector {} of the program that runs this.",
            of_selector(on),
            custom.injector
        ),
    }
}

/// Says which program another one takes the place of.
fn replaced(experiment: &Experiment, program: &Program, on: &Selector) -> Option<String> {
    let pattern = experiment.finder(on).pattern()?;
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
        of_selector(on),
        old.join(" or "),
        place::program(program)
    ))
}

/// Says an action in the words of the language.
pub(super) fn short(action: &Action, on: &Selector) -> String {
    let on = on.pattern().map_or_else(|| on.to_string(), |pattern| pattern.value.clone());
    match action {
        Action::Packets(packets) => format!("{action} on {on}{}", clauses(packets)),
        Action::Names(_) | Action::Program(_) => format!("{action} on {on}"),
        Action::Objects(objects) => objects.on(&on),
        Action::Processes(processes) => processes.on(&on),
        Action::Custom(custom) => {
            let settings: Vec<String> = custom.settings.iter().map(ToString::to_string).collect();
            let block =
                if settings.is_empty() { String::new() } else { format!(" {{ {} }}", settings.join(", ")) };
            format!("custom \"{}\" on {on}{block}", custom.injector)
        }
    }
}

/// Says which packets are meant, in the words of the language.
fn clauses(packets: &PacketFault) -> String {
    let traffic = &packets.traffic;
    let mut out = String::new();
    let (word, both) = match traffic.direction {
        Way::Egress => ("to", ""),
        Way::Ingress => ("from", ""),
        Way::Both => ("to", " both"),
    };
    if let Which::These(peers) = &traffic.peers {
        peers.iter().for_each(|peer| out.push_str(&format!(" {word} {}", destination(peer))));
    }
    out.push_str(both);
    if let Which::These(ports) = &traffic.ports {
        out.push_str(&format!(" port {}", listed(ports, ", ")));
    }
    out.push_str(match traffic.protocol {
        None => "",
        Some(Protocol::Tcp) => " protocol tcp",
        Some(Protocol::Udp) => " protocol udp",
        Some(Protocol::Icmp) => " protocol icmp",
    });
    if traffic.peers.is_any() && traffic.direction == Way::Ingress {
        out.push_str(" ingress");
    }
    out
}

fn traffic(traffic: &Traffic, on: &Selector) -> String {
    let Traffic { direction, peers, ports, protocol } = traffic;
    let protocol = match protocol {
        None => "",
        Some(Protocol::Tcp) => "TCP ",
        Some(Protocol::Udp) => "UDP ",
        Some(Protocol::Icmp) => "ICMP ",
    };
    let on = of_selector(on);
    let (verb, towards) = match direction {
        Way::Egress => ("sends", "to"),
        Way::Ingress => ("receives", "from"),
        Way::Both => ("sends or receives", "to or from"),
    };
    let mut out = format!("Every {protocol}packet that {on} {verb}");
    match peers {
        Which::Any => out.push_str(&format!(" {towards} anyone")),
        Which::These(peers) => {
            let peers: Vec<String> = peers.iter().map(peer).collect();
            out.push_str(&format!(" {towards} {}", peers.join(" or ")));
        }
    }
    if let Which::These(ports) = ports {
        out.push_str(&format!(", on port {} at either end", listed(ports, " or ")));
    }
    out
}

fn listed(ports: &NonEmpty<Ports>, between: &str) -> String {
    ports.iter().map(Ports::to_string).collect::<Vec<_>>().join(between)
}

fn who(peer: &Destination) -> String {
    match &peer.who {
        Who::Objects(selector) => of_selector(selector),
        Who::Network { address, prefix } => {
            let whole = if address.is_ipv4() { 32 } else { 128 };
            if *prefix == whole { address.to_string() } else { format!("{address}/{prefix}") }
        }
        Who::Name(name) => format!("`{name}`"),
    }
}

fn peer(peer: &Destination) -> String {
    peer.port.map_or_else(|| who(peer), |port| format!("port {port} of {}", who(peer)))
}

fn destination(peer: &Destination) -> String {
    let Some(port) = peer.port else { return who(peer) };
    match &peer.who {
        // Without brackets nobody sees where the address ends.
        Who::Network { address, .. } if address.is_ipv6() => match who(peer).split_once('/') {
            Some((address, prefix)) => format!("[{address}]/{prefix}:{port}"),
            None => format!("[{address}]:{port}"),
        },
        Who::Objects(_) | Who::Network { .. } | Who::Name(_) => format!("{}:{port}", who(peer)),
    }
}

fn effect(spec: &FaultSpec) -> String {
    let percent = |ratio: f64| Quantity::ratio(ratio);
    match spec {
        FaultSpec::Delay { delay, jitter, correlation, distribution, ordered } => {
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
            if spec.shuffles() {
                out.push_str(", so that packets close to each other are reordered");
            }
            if *ordered {
                out.push_str(", but never before one that was sent earlier");
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
    }
}
