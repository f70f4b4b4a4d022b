//! Works out a lab before anything exists: which hosts there are, their names, addresses and interfaces.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chaos_core::model::{self, Program, Ready};
use serde::{Deserialize, Serialize};

use crate::resolver::Names;

/// The most hosts of one lab: a Linux bridge has 1,024 ports.
pub const MAX_HOSTS: usize = 1000;

/// The name of every host's interface towards the switch.
pub const HOST_INTERFACE: &str = "eth0";

/// The name of the bridge that joins the hosts, in the switch's own namespace.
pub const SWITCH_INTERFACE: &str = "switch";

/// The longest interface name that the kernel takes.
const MAX_INTERFACE_NAME: usize = 15;

/// The prefix lengths of the lab's two networks, `10.77.0.0/16` and `fd77::/64`.
pub(crate) const V4_PREFIX: u8 = 16;
pub(crate) const V6_PREFIX: u8 = 64;

/// What is wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is no host at all.
    #[error("the lab has no host; declare at least one, as in `host api`")]
    Empty,
    /// More hosts than a switch has ports.
    #[error("the lab has {0} hosts, and a switch has ports for {MAX_HOSTS}; declare fewer copies")]
    TooMany(usize),
    /// A name that cannot be a host name.
    #[error(
        "`{0}` cannot be a host's name; use up to 63 lower-case letters, digits and hyphens, starting with a letter"
    )]
    Name(String),
    /// Two hosts with the same name.
    #[error("two hosts are called `{0}`; rename one of them")]
    Duplicate(String),
    /// Two programs of one host that want the same port.
    #[error(
        "host `{host}` is to run two programs on port {port}: {first} and {second}; give one another port"
    )]
    PortTaken {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The program that was declared first.
        first: String,
        /// The program that came later.
        second: String,
    },
    /// A gateway's upstream or a link's end that is not a host.
    #[error("{what} names the host `{name}`, which the lab does not have; its hosts are {known}")]
    UnknownHost {
        /// What names it.
        what: String,
        /// The name.
        name: String,
        /// The hosts there are.
        known: String,
    },
    /// A command without words.
    #[error("host `{0}` is to run a command without words; name the program")]
    NoProgram(String),
}

/// One host of the lab, with everything decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostLayout {
    /// Its own name: `api-2` for the second copy of `api`.
    pub name: String,
    /// The name as declared, shared by all copies.
    pub group: String,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// The name of its port on the switch.
    pub switch_port: String,
    /// What runs on it.
    pub programs: Vec<Program>,
}

impl HostLayout {
    /// Returns the addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// A lab with every name and address decided, before anything exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// The hosts in the order of their addresses.
    pub hosts: Vec<HostLayout>,
    /// What every name of the lab stands for.
    pub names: Names,
    /// The addresses of the hosts that run the built-in DNS server.
    pub dns: Vec<IpAddr>,
}

impl Layout {
    /// Decides names and addresses.
    ///
    /// # Errors
    ///
    /// Fails when names clash or cannot be host names, ports clash within a host, a gateway or a link names a host that
    /// does not exist, or there are more hosts than a switch has ports.
    pub fn new(lab: &model::Lab) -> Result<Self, LayoutError> {
        let total: usize = lab.hosts.iter().map(|h| h.copies.unwrap_or(1) as usize).sum();
        match total {
            0 => return Err(LayoutError::Empty),
            n if n > MAX_HOSTS => return Err(LayoutError::TooMany(n)),
            _ => {}
        }

        let mut hosts: Vec<HostLayout> = Vec::with_capacity(total);
        for declared in &lab.hosts {
            check_name(&declared.name)?;
            let programs: Vec<Program> = declared.programs.iter().map(|p| p.value.clone()).collect();
            check_ports(&declared.name, &programs)?;
            for name in declared.names() {
                check_name(&name)?;
                let index = hosts.len() as u32 + 1;
                hosts.push(HostLayout {
                    switch_port: interface_name(&name, index),
                    v4: Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 77, 0, 0)) + index),
                    v6: Ipv6Addr::from(
                        u128::from(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0)) + u128::from(index),
                    ),
                    group: declared.name.value.clone(),
                    programs: programs.clone(),
                    name,
                });
            }
        }

        check_unique(lab, &hosts)?;
        let names = names(&hosts);
        check_references(lab, &names)?;
        let dns =
            hosts.iter().filter(|h| h.programs.contains(&Program::Dns)).map(|h| IpAddr::from(h.v4)).collect();
        Ok(Layout { hosts, names, dns })
    }
}

/// Describes a program the way its declaration reads.
pub fn describe(program: &Program) -> String {
    match program {
        Program::Http { port, .. } => format!("`http port {port}`"),
        Program::Gateway { port, .. } => format!("`gateway port {port}`"),
        Program::Dns => "`dns`".to_owned(),
        Program::Command { argv, .. } => format!("`{}`", model::command::line(argv)),
    }
}

/// Returns the TCP port that shows a program to be ready.
pub(crate) fn port_of(program: &Program) -> Option<u16> {
    match program {
        Program::Http { port, .. } | Program::Gateway { port, .. } => Some(*port),
        Program::Dns => Some(53),
        Program::Command { ready: Ready::Tcp(port), .. } => Some(*port),
        Program::Command { .. } => None,
    }
}

fn check_name(name: &str) -> Result<(), LayoutError> {
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name != "localhost";
    if fits { Ok(()) } else { Err(LayoutError::Name(name.to_owned())) }
}

fn check_ports(host: &str, programs: &[Program]) -> Result<(), LayoutError> {
    let mut taken: BTreeMap<u16, &Program> = BTreeMap::new();
    for program in programs {
        if matches!(program, Program::Command { argv, .. } if argv.is_empty()) {
            return Err(LayoutError::NoProgram(host.to_owned()));
        }
        let Some(port) = port_of(program) else { continue };
        if let Some(first) = taken.insert(port, program) {
            return Err(LayoutError::PortTaken {
                host: host.to_owned(),
                port,
                first: describe(first),
                second: describe(program),
            });
        }
    }
    Ok(())
}

/// Checks that no name stands for two things: a host's own name may only equal its own group.
fn check_unique(lab: &model::Lab, hosts: &[HostLayout]) -> Result<(), LayoutError> {
    let mut owner: BTreeMap<&str, usize> = BTreeMap::new();
    for (declaration, declared) in lab.hosts.iter().enumerate() {
        if owner.insert(&declared.name, declaration).is_some() {
            return Err(LayoutError::Duplicate(declared.name.value.clone()));
        }
    }
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for host in hosts {
        let of_another = owner.get(host.name.as_str()).is_some_and(|d| *lab.hosts[*d].name != host.group);
        if of_another || seen.insert(&host.name, &host.group).is_some() {
            return Err(LayoutError::Duplicate(host.name.clone()));
        }
    }
    Ok(())
}

/// Returns the names of all hosts.
pub(crate) fn names(hosts: &[HostLayout]) -> Names {
    Names::of(hosts.iter().map(|host| (&*host.name, &*host.group, host.addresses().to_vec())))
}

fn check_references(lab: &model::Lab, names: &Names) -> Result<(), LayoutError> {
    let gateways = lab.hosts.iter().flat_map(|h| &h.programs).filter_map(|p| match &p.value {
        Program::Gateway { upstream, .. } => Some((describe(p), upstream.value.as_str())),
        Program::Http { .. } | Program::Dns | Program::Command { .. } => None,
    });
    let links = lab.links.iter().flat_map(|l| {
        let what = format!("`link {} <-> {}`", l.a, l.b);
        [(what.clone(), l.a.as_str()), (what, l.b.as_str())]
    });
    for (what, name) in gateways.chain(links) {
        if names.resolve(name).is_empty() {
            let known: Vec<_> = lab.hosts.iter().map(|h| format!("`{}`", h.name)).collect();
            return Err(LayoutError::UnknownHost { what, name: name.to_owned(), known: known.join(", ") });
        }
    }
    Ok(())
}

/// Gives the switch port of a host the host's name, shortened and numbered where the kernel would not take it.
fn interface_name(host: &str, index: u32) -> String {
    if host.len() <= MAX_INTERFACE_NAME && ![SWITCH_INTERFACE, "lo", "all", "default"].contains(&host) {
        return host.to_owned();
    }
    // A tilde cannot stand in a host's name, so a shortened name never equals another host's own.
    let number = format!("~{index}");
    let kept: String = host.chars().take(MAX_INTERFACE_NAME - number.len()).collect();
    kept + &number
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_core::model::{Host, Lab, Link};

    use super::*;

    fn host(name: &str, copies: Option<u32>, programs: Vec<Program>) -> Host {
        Host { name: name.into(), copies, programs: programs.into_iter().map(Into::into).collect() }
    }

    fn http(port: u16) -> Program {
        Program::Http { port, work: Duration::ZERO, capacity: None, status: 200 }
    }

    fn lab(hosts: Vec<Host>) -> Lab {
        Lab { hosts, ..Lab::default() }
    }

    #[test]
    fn copies_are_numbered_and_their_group_answers_with_all() {
        let layout =
            Layout::new(&lab(vec![host("client", None, vec![]), host("api", Some(3), vec![http(80)])]))
                .unwrap();
        let names: Vec<_> = layout.hosts.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["client", "api-1", "api-2", "api-3"]);
        assert_eq!(layout.hosts[3].v4, Ipv4Addr::new(10, 77, 0, 4));
        assert_eq!(layout.hosts[3].v6, "fd77::4".parse::<Ipv6Addr>().unwrap());
        assert_eq!(layout.names.resolve("api").len(), 6);
        assert_eq!(layout.names.resolve("api-2.lab"), layout.hosts[2].addresses());
    }

    #[test]
    fn interface_names_stay_valid_and_distinct() {
        let long = "a-host-with-a-very-long-name";
        let layout = Layout::new(&lab(vec![
            host(long, Some(300), vec![]),
            host("lo", None, vec![]),
            host("switch", None, vec![]),
            host("exactly-15-char", None, vec![]),
        ]))
        .unwrap();
        let mut ports: Vec<_> = layout.hosts.iter().map(|h| h.switch_port.as_str()).collect();
        assert!(ports.iter().all(|p| p.len() <= 15 && !["lo", "switch"].contains(p)), "{ports:?}");
        assert!(ports.contains(&"exactly-15-char"));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 303);
    }

    #[test]
    fn clashes_are_named() {
        let error = |hosts| Layout::new(&lab(hosts)).unwrap_err();
        assert_eq!(error(vec![]), LayoutError::Empty);
        assert_eq!(error(vec![host("a", Some(1001), vec![])]), LayoutError::TooMany(1001));
        for wrong in ["Api", "", "1a", "a_b", "a.b", "a-", "localhost", &"x".repeat(64)] {
            assert_eq!(error(vec![host(wrong, None, vec![])]), LayoutError::Name(wrong.to_owned()));
        }
        let twice = vec![host("api", None, vec![]), host("api", Some(2), vec![])];
        assert_eq!(error(twice), LayoutError::Duplicate("api".to_owned()));
        let copy = vec![host("api", Some(2), vec![]), host("api-1", None, vec![])];
        assert_eq!(error(copy), LayoutError::Duplicate("api-1".to_owned()));
        let ports = error(vec![host("api", Some(2), vec![http(80), http(81), http(80)])]);
        assert!(ports.to_string().contains("port 80"), "{ports}");
    }

    #[test]
    fn a_stranger_in_a_gateway_or_a_link_is_named() {
        let gateway = Program::Gateway {
            port: 80,
            upstream: "apo".into(),
            upstream_port: 8080,
            timeout: Duration::from_secs(1),
            retries: 0,
        };
        let error =
            Layout::new(&lab(vec![host("gw", None, vec![gateway]), host("api", None, vec![])])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`gateway port 80` names the host `apo`, which the lab does not have; its hosts are `gw`, `api`"
        );
        let link = Link { a: "gw".into(), b: "db".into(), delay: Duration::from_millis(1) };
        let linked = Lab { hosts: vec![host("gw", None, vec![])], links: vec![link], ..Lab::default() };
        assert!(matches!(Layout::new(&linked), Err(LayoutError::UnknownHost { name, .. }) if name == "db"));
    }
}
