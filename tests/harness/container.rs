//! The command as a container has it: in a network namespace, and with few capabilities.

use std::process::Command;

use chaos_netns::{Namespace, start_inside};

use crate::{Chaos, Ended, Network, Running};

/// A way to call the command inside, with some capabilities and no other.
#[derive(Debug)]
pub struct Container<'a> {
    chaos: &'a Chaos,
    network: &'a Network,
    capabilities: String,
}

impl<'a> Container<'a> {
    /// Makes one in the box of a network; none, with the reason printed, without the program that takes capabilities away.
    pub fn or_skip(chaos: &'a Chaos, network: &'a Network, capabilities: &[&str]) -> Option<Self> {
        if let Err(error) = Command::new("setpriv").arg("--version").output() {
            println!("skipped: capabilities are taken away by `setpriv` of util-linux: {error}");
            return None;
        }
        let added: String = capabilities.iter().map(|capability| format!(",+{capability}")).collect();
        Some(Container { chaos, network, capabilities: format!("-all{added}") })
    }

    /// Calls the command and waits for its end.
    pub fn call(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Starts the command.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=-all", "--bounding-set", &self.capabilities]);
        command.arg(self.chaos.program()).args(arguments);
        self.chaos.prepare(&mut command);
        let namespace = Namespace::open(format!("/run/netns/{}", self.network.name)).expect("it is there");
        start_inside(&mut command, namespace, None);
        let words = format!("{} with {}", arguments.join(" "), self.capabilities);
        self.chaos.start_prepared(command, words)
    }
}
