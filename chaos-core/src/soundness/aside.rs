//! A fault on processes of hosts that no request of a probe passes: nothing that is claimed can be its doing.

use super::{Finding, Kind, share::reaches};
use crate::model::{Action, Experiment};

pub(super) fn find(experiment: &Experiment, out: &mut Vec<Finding>) {
    let on_processes = experiment.faults.iter().filter(|fault| matches!(fault.action, Action::Processes(_)));
    for fault in on_processes.filter(|fault| !experiment.timeline.held(&fault.name).is_zero()) {
        let probes = &experiment.probes;
        if probes.is_empty() || probes.iter().any(|probe| reaches(experiment, probe, fault) != Some(false)) {
            continue;
        }
        let message = format!(
            "no request of a probe passes {}, which `{}` is on: what is claimed of it is undecided",
            fault.on, fault.name
        );
        let help = "aim it at a host that a probe's requests pass, or probe one that depends on it";
        out.push(Finding::plain(Kind::Odd, fault.span, message, help));
    }
}
