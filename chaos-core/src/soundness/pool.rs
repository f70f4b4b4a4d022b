//! Requests that a fault makes wait for a free connection of their own probe: what is measured then is the probe.

use super::{Finding, Kind, share};
use crate::model::{Action, Connections, Experiment, Fault, Probe, ProbeKind, Quantity, Unit};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    for probe in &experiment.probes {
        // Readings are rare, and health checks open as many as they need.
        let (ProbeKind::Http { .. }, Connections::Reuse(connections)) = (&probe.kind, probe.connections)
        else {
            continue;
        };
        for fault in experiment.faults.iter().filter(|f| !experiment.timeline.held(&f.name).is_zero()) {
            let late = share::delayed(&fault.action);
            let Some(met) = share(experiment, probe, fault) else { continue };
            // Little's law: as many are under way as arrive while one is.
            let needed = probe.rate * late.min(probe.timeout.as_secs_f64()) * met;
            if needed > f64::from(connections) {
                out.push(Finding::new(
                    Kind::Odd,
                    format!("the probe `{}`", probe.name),
                    probe.span,
                    format!(
                        "`{}` makes requests of `{}` take at least {} longer, so at {} they need {} connections or more, and \
                         there are {connections}: they will wait for each other, not for the server",
                        fault.name,
                        probe.name,
                        Quantity::new(late, Unit::Seconds),
                        Quantity::new(probe.rate, Unit::PerSecond),
                        needed.ceil(),
                    ),
                    format!(
                        "write `connections reuse {}`, or a lower `rate`, unless the limit is what you want to see",
                        (needed * 1.5).ceil()
                    ),
                ));
            }
        }
    }
}

/// Returns what share of a probe's requests a fault delays at most; outside a lab only where it delays everything that the
/// place of the probe sends.
fn share(experiment: &Experiment, probe: &Probe, fault: &Fault) -> Option<f64> {
    if experiment.lab().is_some() {
        return share::share(experiment, probe, fault);
    }
    let Action::Packets(packets) = &fault.action else { return None };
    let traffic = &packets.traffic;
    let all = traffic.peers.is_any() && traffic.ports.is_any() && traffic.protocol.is_none();
    let same = probe.from.selector().is_some_and(|from| from.to_string() == fault.on.to_string());
    (all && same).then_some(1.0)
}
