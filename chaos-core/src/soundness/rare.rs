//! A fault that is expected to change so few packets that it may change none, and then tests nothing.

use std::time::Duration;

use super::{Finding, Kind, declared, share};
use crate::model::{Action, Connections, Experiment, Fault, FaultSpec, Probe, packets::Way};

/// The fewest packets that a fault should be expected to change.
const FEWEST: f64 = 10.0;

/// The shortest delay that can be distinguished from none.
const SHORTEST: Duration = Duration::from_micros(1);

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for fault in &experiment.faults {
        let Action::Packets(packets) = &fault.action else { continue };
        let held = experiment.timeline.held(&fault.name);
        if held.is_zero() || experiment.probes.is_empty() {
            continue;
        }
        for spec in &packets.specs {
            if spec.delays().is_some_and(|delay| delay < SHORTEST) {
                let message =
                    format!("`{}` is too short to be measured: nothing will show its effect", spec.value);
                let help = "ask for at least 1us";
                out.push(Finding::new(Kind::Odd, format!("`{}`", fault.name), spec.span, message, help));
                continue;
            }
            if !spec.spares_some() {
                continue;
            }
            // The first probes are mostly enough, and then nobody asks for the others.
            let mut packets = 0.0;
            let few = |packets| Some(spec.changes(packets, held)).filter(|changed| *changed < FEWEST);
            let mut probes = experiment.probes.iter();
            while few(packets).is_some()
                && let Some(probe) = probes.next()
            {
                packets += sent(experiment, probe, fault, held, &spec.value);
            }
            let Some(changed) = few(packets) else { continue };
            let expected =
                if changed < 0.1 { "fewer than 0.1".to_owned() } else { format!("about {changed:.1}") };
            let message = format!(
                "`{}` of `{}` is expected to change {expected} of the {packets:.0} packets that the probes send through it, and \
                 may change none: then what is claimed of it is undecided",
                spec.value, fault.name,
            );
            let help = "hold longer, raise a probe's rate, aim at what the probes use, or ask for more";
            out.push(Finding::plain(Kind::Odd, spec.span, message, help));
        }
    }
}

/// How many packets a probe sends through a fault while it holds, those that a part of them may match all counted.
fn sent(experiment: &Experiment, probe: &Probe, fault: &Fault, held: Duration, spec: &FaultSpec) -> f64 {
    let Action::Packets(packets) = &fault.action else { return 0.0 };
    let requests = probe.rate * declared(experiment, probe).max(1) as f64 * held.as_secs_f64();
    let of_each = match (spec.needs_openings(), probe.connections) {
        // Kept connections are open by then.
        (true, Connections::Fresh) => 1,
        (true, Connections::Reuse(_)) => 0,
        (false, Connections::Fresh) => share::PACKETS_FRESH,
        (false, Connections::Reuse(_)) => share::PACKETS_REUSED,
    };
    let ways = if packets.traffic.direction == Way::Both { 2 } else { 1 };
    requests * share::met(experiment, probe, fault).unwrap_or(1.0) * f64::from(of_each * ways)
}
