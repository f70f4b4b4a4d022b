//! What a host was asked, as its kernel counts it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What came to a host's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    /// TCP connections that were opened from elsewhere, or from the host itself.
    pub(crate) connections: u64,
    /// UDP datagrams that a socket took.
    pub(crate) datagrams: u64,
}

impl Traffic {
    /// Reads the counters of the namespace of `tables` (a `/proc/PID/net` folder).
    pub(crate) fn read(tables: &Path) -> io::Result<Self> {
        let v4 = fs::read_to_string(tables.join("snmp"))?;
        // A kernel without IPv6 has no such table. TCP is counted for both in the first.
        let v6 = fs::read_to_string(tables.join("snmp6")).unwrap_or_default();
        Ok(Traffic {
            connections: column(&v4, "Tcp:", "PassiveOpens"),
            datagrams: column(&v4, "Udp:", "InDatagrams") + line(&v6, "Udp6InDatagrams"),
        })
    }

    /// Returns what came since an earlier reading.
    pub(crate) fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            connections: self.connections.saturating_sub(earlier.connections),
            datagrams: self.datagrams.saturating_sub(earlier.datagrams),
        }
    }
}

/// Finds a number by the name above it.
fn column(table: &str, protocol: &str, name: &str) -> u64 {
    let mut rows = table.lines().filter_map(|line| line.strip_prefix(protocol));
    let (Some(names), Some(numbers)) = (rows.next(), rows.next()) else { return 0 };
    let place = names.split_ascii_whitespace().position(|n| n == name);
    place.and_then(|n| numbers.split_ascii_whitespace().nth(n)?.parse().ok()).unwrap_or(0)
}

/// Finds a number by the name before it.
fn line(table: &str, name: &str) -> u64 {
    let mut lines = table.lines().filter_map(|line| line.split_once(char::is_whitespace));
    lines.find(|(n, _)| *n == name).and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let snmp =
            "Tcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 7 42\nUdp: InDatagrams NoPorts\nUdp: 5 3\n";
        fs::write(folder.path().join("snmp"), snmp).unwrap();
        let without_v6 = Traffic::read(folder.path()).unwrap();
        assert_eq!(without_v6, Traffic { connections: 42, datagrams: 5 });
        fs::write(folder.path().join("snmp6"), "Ip6InReceives   \t1\nUdp6InDatagrams                 \t6\n")
            .unwrap();
        let now = Traffic::read(folder.path()).unwrap();
        assert_eq!(now.since(without_v6), Traffic { connections: 0, datagrams: 6 });
    }

    #[test]
    fn this_kernel_counts_connections() {
        let tables = Path::new("/proc/self/net");
        let before = Traffic::read(tables).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _asks = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(Traffic::read(tables).unwrap().since(before).connections >= 1);
    }
}
