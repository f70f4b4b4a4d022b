//! Hosts of a lab that a selector means, as far as the experiment itself says.

use std::collections::BTreeSet;

use crate::model::{Experiment, Lab, Selector, target::glob};

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
        match selector {
            Selector::Hosts(pattern) => {
                let names = called(lab, pattern);
                Some(Hosts { most: names.len(), names })
            }
            Selector::Named(name) => {
                let target = experiment.targets.iter().find(|t| t.name.value == name.value)?;
                let Selector::Hosts(pattern) = &target.selector else { return None };
                let names = called(lab, pattern);
                Some(Hosts { most: target.pick.of(names.len()), names })
            }
            _ => None,
        }
    }
}

/// Returns the hosts that a name or a pattern stands for.
pub(super) fn called(lab: &Lab, pattern: &str) -> BTreeSet<String> {
    if let Some(host) = lab.hosts.iter().find(|h| h.name.value == pattern) {
        return host.names().into_iter().collect();
    }
    lab.names().into_iter().filter(|name| glob(pattern, name)).collect()
}
