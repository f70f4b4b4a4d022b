//! Hosts of a lab that a selector means, as far as the experiment itself says.

#![warn(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use crate::model::{Action, Experiment, Lab, Probe, Program, Selector, target::glob};

/// Hosts of a lab, of which this many at most are meant.
pub(super) struct Hosts {
    /// All that may be meant.
    pub(super) names: BTreeSet<String>,
    /// How many of them.
    pub(super) most: usize,
}

impl Hosts {
    /// Finds those that a selector means; `None` if it is not about a lab's hosts.
    pub(super) fn of(experiment: &Experiment, lab: &Lab, selector: &Selector) -> Option<Hosts> {
        let names = called(lab, experiment.finder(selector).pattern()?);
        let most = experiment.target_of(selector).map_or(names.len(), |target| target.pick.of(names.len()));
        Some(Hosts { names, most })
    }
}

/// Returns the hosts that a name or a pattern stands for.
pub(super) fn called(lab: &Lab, pattern: &str) -> BTreeSet<String> {
    if let Some(host) = lab.hosts.iter().find(|h| h.name.value == pattern) {
        return host.names().into_iter().collect();
    }
    lab.names().into_iter().filter(|name| glob(pattern, name)).collect()
}

/// Returns the hosts that a probe's requests go to first; `None` where they do not go to one server.
pub(super) fn servers(lab: &Lab, probe: &Probe) -> Option<BTreeSet<String>> {
    let to = probe.kind.server()?;
    let name = to.rsplit_once(':').map_or(to, |(host, _)| host);
    Some(called(lab, name.strip_suffix(".lab").unwrap_or(name)))
}

/// Returns everything that runs on some hosts at any time of a run, also after a change; `None` if that is not known.
pub(super) fn programs<'a>(
    experiment: &'a Experiment,
    lab: &'a Lab,
    names: &BTreeSet<String>,
) -> Option<Vec<&'a Program>> {
    let hosts = lab.hosts.iter().filter(|host| host.names().iter().any(|name| names.contains(name)));
    let mut all: Vec<&Program> =
        hosts.flat_map(|host| &host.programs).map(|program| &program.value).collect();
    for change in &experiment.changes {
        let on = Hosts::of(experiment, lab, &change.on);
        if on.is_some_and(|on| on.names.is_disjoint(names)) {
            continue;
        }
        match &change.action {
            Action::Packets(_) | Action::Names(_) | Action::Objects(_) | Action::Processes(_) => {}
            Action::Program(program) => all.push(program),
            Action::Custom(_) => return None,
        }
    }
    Some(all)
}
