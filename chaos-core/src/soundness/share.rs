//! A quantile that a fault cannot move, because it meets too few requests, or moves whatever else happens.
//!
//! What share of a probe's requests a fault meets follows from the lab: from whom to whom requests go, spread over the copies
//! of a host, and whose packets the fault touches. It is an upper bound. Outside of a lab nothing is known of that.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{
    Finding, Kind, claims,
    hosts::{Hosts, called, programs, servers},
};
use crate::{
    model::{
        Abort, Action, Claim, Comparison, Connections, Experiment, Fault, Field, Function, Lab, PacketFault,
        Phase, Predicate, Probe, Program, Quantity, Unit,
        formula::Bound,
        packets::{Destination, Ports, Protocol, Traffic, Way, Who},
    },
    which::Which,
};

/// From which quantile on a claim is about those that are hit. One about the median is rather about those that are not:
/// that most users notice nothing is a claim about what the fault spills over to.
const TAIL: f64 = 0.75;

/// How many packets of one request a target sends, at most, as long as no answer is larger than some of them.
pub(super) const PACKETS_REUSED: i32 = 3;
/// The same where a connection is opened and closed for it.
pub(super) const PACKETS_FRESH: i32 = 6;

/// Finds claims about a tail that fewer requests are in than the fault meets, and proofs that it can never give.
pub(super) fn unmoved(experiment: &Experiment, out: &mut Vec<Finding>) {
    for (about, _, claim) in claims(experiment) {
        if let Claim::Statistic { comparison, during: Phase::Fault(fault), .. } = claim {
            let faults =
                experiment.faults.iter().filter(|f| fault.as_ref().is_none_or(|n| *n == f.name.value));
            out.extend(still(experiment, &about, comparison, &faults.collect::<Vec<_>>()));
        }
    }
    for fault in &experiment.faults {
        if let Some(proof) = &fault.proven_by {
            out.extend(still(experiment, &format!("the proof of `{}`", fault.name), proof, &[fault]));
        }
    }
}

fn still(
    experiment: &Experiment,
    about: &str,
    comparison: &Comparison,
    faults: &[&Fault],
) -> Option<Finding> {
    let upper = comparison.op.is_upper_bound();
    let q = latency(comparison).filter(|q| !upper || *q >= TAIL)?;
    let injected: Vec<&&Fault> =
        faults.iter().filter(|f| !experiment.timeline.held(&f.name).is_zero()).collect();
    let probe = experiment.probe(&comparison.metric.probe)?;
    let met: Option<f64> = injected.iter().map(|fault| share(experiment, probe, fault)).sum();
    let met = met?.min(1.0);
    if injected.is_empty() || met > 1.0 - q + 1e-9 {
        return None;
    }
    let names: Vec<String> = injected.iter().map(|f| format!("`{}`", f.name)).collect();
    let names = names.join(" and ");
    let function = comparison.metric.function;
    let end = if upper { "it holds whatever the fault does" } else { "it never comes true by the fault" };
    let message = format!(
        "{names} slows at most {} of the requests of `{}`, and {} moves only where more than {} are slowed: {end}",
        percent(met),
        probe.name,
        with_article(function),
        percent(1.0 - q)
    );
    let help = if met < 1e-6 {
        "aim the fault at hosts that these requests pass, or claim something of those that it hits".to_owned()
    } else {
        let beyond = ((1.0 - met) * 1e4).round() / 1e2;
        format!("claim a percentile above p{beyond}, filter by those that are hit, or hit more")
    };
    Some(Finding::new(Kind::Odd, about, comparison.span, message, help))
}

/// Finds abort conditions that the fault on its own makes true.
pub(super) fn aborting(experiment: &Experiment, out: &mut Vec<Finding>) {
    for abort in &experiment.aborts {
        let Abort::When(predicate) = abort else { continue };
        let comparison = match predicate {
            Predicate::Compare(comparison) => comparison,
            Predicate::For { predicate, .. } => match &**predicate {
                Predicate::Compare(comparison) => comparison,
                Predicate::For { .. } | Predicate::Not(_) | Predicate::All(_) | Predicate::Any(_) => continue,
            },
            Predicate::Not(_) | Predicate::All(_) | Predicate::Any(_) => continue,
        };
        let (Some(q), Bound::Constant(limit)) = (latency(comparison), &comparison.bound) else { continue };
        if comparison.op.is_upper_bound() {
            continue;
        }
        let Some(probe) = experiment.probe(&comparison.metric.probe) else { continue };
        for fault in experiment.faults.iter().filter(|f| !experiment.timeline.held(&f.name).is_zero()) {
            let late = delayed(&fault.action);
            let Some(met) = share(experiment, probe, fault) else { continue };
            if late >= limit.value && met > 1.0 - q + 1e-9 {
                out.push(Finding::new(
                    Kind::Odd,
                    format!("`abort when {predicate}`"),
                    comparison.span,
                    format!(
                        "`{}` alone makes this true: it slows up to {} of the requests of `{}` by at least {}",
                        fault.name,
                        percent(met),
                        probe.name,
                        Quantity::new(late, Unit::Seconds)
                    ),
                    "abort on errors, or choose a limit beyond what the fault does",
                ));
            }
        }
    }
}

/// The quantile of a comparison that looks at how long all requests of a probe took.
fn latency(comparison: &Comparison) -> Option<f64> {
    let metric = &comparison.metric;
    let Function::Quantile(q) = metric.function else { return None };
    let is_time = matches!(metric.field, Field::Latency | Field::Duration);
    (is_time && metric.filter.is_empty()).then_some(q)
}

fn with_article(function: Function) -> String {
    format!("a {function}")
}

fn percent(share: f64) -> Quantity {
    Quantity::ratio((share * 1e3).round() / 1e3)
}

/// By how many seconds what an action does to packets makes each of them late at least.
pub(super) fn delayed(action: &Action) -> f64 {
    match action {
        Action::Packets(packets) => {
            packets.specs.iter().map(|spec| spec.delays_at_least().as_secs_f64()).sum()
        }
        // A query is not a request, and how many requests ask is not known.
        Action::Names(_)
        | Action::Objects(_)
        | Action::Processes(_)
        | Action::Program(_)
        | Action::Custom(_) => 0.0,
    }
}

/// Returns what share of a probe's requests a fault slows at most; `None` if that is not known.
pub(super) fn share(experiment: &Experiment, probe: &Probe, fault: &Fault) -> Option<f64> {
    Some(met(experiment, probe, fault)? * slowed(probe, fault.action.packets()?))
}

/// Returns what share of a probe's requests match a fault at most; `None` if that is not known.
pub(super) fn met(experiment: &Experiment, probe: &Probe, fault: &Fault) -> Option<f64> {
    let lab = experiment.lab()?;
    let on = Hosts::of(experiment, lab, &fault.on)?;
    let packets = match &fault.action {
        Action::Packets(packets) => packets,
        // Requests that pass the host meet its programs, whichever of them stands still.
        Action::Processes(_) => {
            let hops = hops(experiment, lab, probe)?;
            let met = hops.iter().map(|hop| hop.from.met_by(&on) + hop.to.met_by(&on)).sum::<f64>().min(1.0);
            return (met > 0.0 || !answers_names(experiment, lab, &on)?).then_some(met);
        }
        // What another program or a harness does to requests is not known, nor which of them ask for a name.
        Action::Names(_) | Action::Objects(_) | Action::Program(_) | Action::Custom(_) => return None,
    };
    let hosts = |peer: &Destination| match &peer.who {
        Who::Objects(selector) => Some((Hosts::of(experiment, lab, selector)?, peer.port)),
        Who::Network { .. } | Who::Name(_) => None,
    };
    let peers: Which<(Hosts, Option<Ports>)> = match &packets.traffic.peers {
        Which::Any => Which::Any,
        Which::These(peers) => Which::these(peers.iter().map(hosts).collect::<Option<Vec<_>>>()?).ok()?,
    };
    let met: f64 = hops(experiment, lab, probe)?
        .iter()
        .filter(|hop| is_of_traffic(hop.port, &packets.traffic))
        .map(|hop| {
            let other = |end: &Spread| match &peers {
                Which::Any => 1.0,
                Which::These(peers) => {
                    let asked =
                        peers.iter().filter(|(_, asked)| asked.is_none_or(|asked| may_be(hop.port, asked)));
                    asked.map(|(peer, _)| end.met_by(peer)).sum::<f64>().min(1.0)
                }
            };
            hop.from.met_by(&on) * other(&hop.to) + hop.to.met_by(&on) * other(&hop.from)
        })
        .sum();
    (met > 0.0 || !answers_names(experiment, lab, &on)?).then_some(met.min(1.0))
}

/// Returns whether hosts answer queries for names, so that requests depend on them which do not pass them; `None` if that is not known.
fn answers_names(experiment: &Experiment, lab: &Lab, on: &Hosts) -> Option<bool> {
    let programs = programs(experiment, lab, &on.names)?;
    Some(programs.iter().any(|program| matches!(program, Program::Dns)))
}

/// Whether requests to a port are of the protocol and the ports of some traffic.
fn is_of_traffic(port: Option<u16>, traffic: &Traffic) -> bool {
    let tcp = traffic.protocol.is_none_or(|protocol| protocol == Protocol::Tcp);
    tcp && match &traffic.ports {
        Which::Any => true,
        Which::These(ports) => ports.iter().any(|asked| may_be(port, *asked)),
    }
}

/// Whether one end of a connection to a port may be this one; the kernel picks the other end from its ephemeral ports.
fn may_be(port: Option<u16>, asked: Ports) -> bool {
    const EPHEMERAL: u16 = 32_768;
    asked.last() >= EPHEMERAL || port.is_none_or(|port| asked.contains(port))
}

/// Returns whether any request of a probe can match a fault; `None` if that is not known.
///
/// In a lab that follows from who talks to whom, elsewhere from addresses, and only for requests of the target itself.
pub(crate) fn reaches(experiment: &Experiment, probe: &Probe, fault: &Fault) -> Option<bool> {
    if experiment.lab().is_some() {
        return met(experiment, probe, fault).map(|share| share > 0.0);
    }
    let traffic = &fault.action.packets()?.traffic;
    let finder = |selector| experiment.finder(selector).to_string();
    // Requests of others may pass the target too.
    if finder(probe.from.selector()?) != finder(&fault.on) {
        return None;
    }
    let server = probe.kind.server()?;
    let address: IpAddr = match server.parse::<SocketAddr>() {
        Ok(socket) => socket.ip(),
        Err(_) => server.parse().ok()?,
    };
    let port = probe.kind.port();
    if !is_of_traffic(port, traffic) {
        return Some(false);
    }
    let Which::These(peers) = &traffic.peers else { return None };
    let may_match = |peer: &Destination| match &peer.who {
        Who::Objects(_) | Who::Name(_) => None,
        Who::Network { address: network, prefix } => {
            let of_port = peer.port.is_none_or(|asked| may_be(port, asked));
            Some(within(address, *network, *prefix) && of_port)
        }
    };
    let matched: Vec<bool> = peers.iter().map(may_match).collect::<Option<Vec<_>>>()?;
    (!matched.contains(&true)).then_some(false)
}

/// Whether an address lies in a network.
fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32_u8),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((one, width), (other, of)) = (bits(address), bits(network));
    let prefix = u32::from(prefix.min(width));
    width == of && (prefix == 0 || (one ^ other) >> (128 - prefix) == 0)
}

/// What share of the requests that a fault meets it slows: a lost packet is one of several.
fn slowed(probe: &Probe, fault: &PacketFault) -> f64 {
    let packets = match probe.connections {
        Connections::Fresh => PACKETS_FRESH,
        Connections::Reuse(_) => PACKETS_REUSED,
    };
    let packets = if fault.traffic.direction == Way::Both { 2 * packets } else { packets };
    1.0 - fault.specs.iter().map(|spec| spec.leaves_alone(packets)).product::<f64>()
}

/// Requests from some hosts to a port of others.
struct Hop {
    from: Spread,
    to: Spread,
    /// The port that they are sent to; the other end has some port of its own.
    port: Option<u16>,
}

/// One end of a hop: hosts that requests are spread over.
struct Spread {
    hosts: BTreeSet<String>,
    /// Over this many connections; `None` if each request may go to another.
    connections: Option<u32>,
}

impl Spread {
    /// The share of requests that go through any of these, at most.
    fn met_by(&self, hosts: &Hosts) -> f64 {
        let met = self.hosts.intersection(&hosts.names).count().min(hosts.most);
        let all = self.hosts.len().max(1);
        match self.connections {
            // A few connections cannot be spread evenly.
            Some(connections) if connections > 0 => {
                let each = connections.div_ceil(all as u32) as usize;
                ((each * met) as f64 / f64::from(connections)).min(1.0)
            }
            _ => met as f64 / all as f64,
        }
    }
}

/// From whom to whom a probe's requests go, hop by hop; `None` where a program that may pass them on hides that.
fn hops(experiment: &Experiment, lab: &Lab, probe: &Probe) -> Option<Vec<Hop>> {
    let spread = |hosts| Spread { hosts, connections: None };
    let from = Hosts::of(experiment, lab, probe.from.selector()?)?.names;
    let first = servers(lab, probe).filter(|first| !first.is_empty())?;
    let connections = match probe.connections {
        Connections::Reuse(n) if first.len() > 1 => Some(n),
        Connections::Reuse(_) | Connections::Fresh => None,
    };
    let to = Spread { hosts: first.clone(), connections };
    let mut hops = vec![Hop { from: spread(from), to, port: probe.kind.port() }];
    // Gateways pass requests on, each to its upstream, which may be one as well.
    let (mut seen, mut next) = (BTreeSet::new(), vec![first]);
    while let Some(at) = next.pop() {
        if !seen.insert(at.clone()) {
            continue;
        }
        for program in programs(experiment, lab, &at)? {
            match program {
                Program::Gateway { upstream, upstream_port, .. } => {
                    let upstream = called(lab, upstream);
                    let (from, to) = (spread(at.clone()), spread(upstream.clone()));
                    hops.push(Hop { from, to, port: Some(*upstream_port) });
                    next.push(upstream);
                }
                Program::Http { .. } | Program::Dns => {}
                // It may forward requests to anybody.
                Program::Command { .. } => return None,
            }
        }
    }
    Some(hops)
}
