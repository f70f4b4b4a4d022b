//! Names inside a lab: what each stands for, and the files that give them to real programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The domain of a lab's names: `api` is also `api.lab`.
pub const DOMAIN: &str = "lab";

/// How long a program of a lab waits for a DNS server, and how often it asks all of them.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);
pub(crate) const ATTEMPTS: u32 = 2;

/// What every name of a lab stands for.
///
/// A host's own name gives its addresses, the name of a group those of all its copies; IPv4 comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names(BTreeMap<String, Vec<IpAddr>>);

impl Names {
    /// Makes the names of hosts, each given with its group and its addresses.
    pub(crate) fn of<'a>(hosts: impl IntoIterator<Item = (&'a str, &'a str, Vec<IpAddr>)>) -> Self {
        let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (host, group, addresses) in hosts {
            names.entry(host.to_owned()).or_default().extend(&addresses);
            if group != host {
                names.entry(group.to_owned()).or_default().extend(&addresses);
            }
        }
        for addresses in names.values_mut() {
            addresses.sort_by_key(IpAddr::is_ipv6);
        }
        Names(names)
    }

    /// Returns what `name` stands for, with or without the domain and a final dot, in any case; empty for a stranger.
    pub fn resolve(&self, name: &str) -> &[IpAddr] {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let name = name.strip_suffix(DOMAIN).and_then(|n| n.strip_suffix('.')).unwrap_or(&name);
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns every name without the domain, in order, with what it stands for.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.0.iter().map(|(name, addresses)| (name.as_str(), addresses.as_slice()))
    }

    /// Writes the hosts file of `host`.
    ///
    /// Where the lab has a DNS server it only names the host itself, so that faults on DNS are felt.
    pub(crate) fn hosts_file(&self, host: &str, dns: &[IpAddr]) -> String {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        let entries: Vec<(&str, &[IpAddr])> =
            if dns.is_empty() { self.iter().collect() } else { vec![(host, self.resolve(host))] };
        for (name, addresses) in entries {
            for address in addresses {
                writeln!(text, "{address} {name} {name}.{DOMAIN}").expect("a string takes every write");
            }
        }
        text
    }

    /// Writes the resolver configuration of every host.
    pub(crate) fn resolv_conf(dns: &[IpAddr]) -> String {
        let timeout = TIMEOUT.as_secs();
        let mut text = format!("search {DOMAIN}\noptions timeout:{timeout} attempts:{ATTEMPTS}\n");
        // The C library reads three servers at most.
        for server in dns.iter().take(3) {
            writeln!(text, "nameserver {server}").expect("a string takes every write");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{HostLayout, names};

    fn hosts() -> Vec<HostLayout> {
        ["api-1", "api-2"]
            .iter()
            .zip(1u8..)
            .map(|(name, i)| HostLayout {
                name: (*name).to_owned(),
                group: "api".to_owned(),
                v4: [10, 77, 0, i].into(),
                v6: format!("fd77::{i}").parse().unwrap(),
                switch_port: (*name).to_owned(),
                programs: vec![],
            })
            .collect()
    }

    #[test]
    fn names_come_with_and_without_domain() {
        let names = names(&hosts());
        let all: Vec<IpAddr> =
            ["10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"].map(|a| a.parse().unwrap()).into();
        for name in ["api", "api.lab", "API.lab."] {
            assert_eq!(names.resolve(name), all, "{name}");
        }
        assert_eq!(names.resolve("api-2"), [all[1], all[3]]);
        for stranger in ["", ".", "lab", ".lab", "ap", "api.lab.lab", "apilab", "api.com"] {
            assert!(names.resolve(stranger).is_empty(), "{stranger}");
        }
    }

    #[test]
    fn a_dns_server_takes_the_names_out_of_the_hosts_file() {
        let hosts = hosts();
        let names = names(&hosts);
        let plain = names.hosts_file(&hosts[0].name, &[]);
        assert!(
            plain.contains("10.77.0.2 api-2 api-2.lab\n") && plain.contains("fd77::2 api api.lab\n"),
            "{plain}"
        );
        let served = names.hosts_file(&hosts[0].name, &[[10, 77, 0, 9].into()]);
        assert!(served.contains("10.77.0.1 api-1 ") && !served.contains("api-2"), "{served}");
        assert!(Names::resolv_conf(&[[10, 77, 0, 9].into()]).ends_with("nameserver 10.77.0.9\n"));
    }
}
