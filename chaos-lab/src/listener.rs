//! Who listens on a port of a host.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Nobody yet.
    Nobody,
    /// The program that is asked about, one of its children, or somebody unknown.
    Own,
    /// Another program of the host, as declared.
    Other(String),
}

/// Reads from the kernel's table the sockets that listen on `port` in the namespace of `tables` (a `/proc/PID/net` folder),
/// by their inodes.
pub(crate) fn sockets(tables: &Path, port: u16) -> io::Result<Vec<u64>> {
    let v4 = fs::read_to_string(tables.join("tcp"))?;
    // A kernel without IPv6 has no such table.
    let v6 = fs::read_to_string(tables.join("tcp6")).unwrap_or_default();
    Ok([v4, v6].iter().flat_map(|table| listening(table, port)).collect())
}

fn listening(table: &str, port: u16) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':').and_then(|(_, p)| u16::from_str_radix(p, 16).ok())?;
        let inode = fields.get(9)?.parse().ok()?;
        (local == port && *fields.get(3)? == LISTEN).then_some(inode)
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// Returns the sessions of the processes that hold one of the sockets, as the innermost pid namespace counts them.
///
/// A program of a lab leads a session of its own, whose number is its process id; its children stay in it unless they take
/// pains not to. Processes that may not be looked at are left out.
pub(crate) fn sessions(sockets: &[u64]) -> Vec<i32> {
    let names: Vec<Vec<u8>> = sockets.iter().map(|inode| format!("socket:[{inode}]").into_bytes()).collect();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let holds = |process: &Path| {
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| names.iter().any(|name| *name == target.as_os_str().as_bytes()))
    };
    let session = |process: &Path| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSsid:"))?;
        line.split_ascii_whitespace().next_back()?.parse().ok()
    };
    let mut found: Vec<i32> = processes.filter(|p| holds(p)).filter_map(|p| session(&p)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0
   1: 0100007F:1F90 0100007F:18EB 01 00000000:00000000 00:00000000 00000000     0        0 18 1 0
";

    #[test]
    fn only_listening_sockets_count() {
        assert_eq!(listening(TABLE, 6379), [17]);
        assert_eq!(listening(TABLE, 8080), [0; 0], "an established connection is not a listener");
        assert_eq!(listening(TABLE, 80), [0; 0]);
        assert_eq!(listening("", 80), [0; 0]);
    }

    #[test]
    fn a_socket_is_held_by_the_session_of_its_process() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = sockets(Path::new("/proc/self/net"), port).unwrap();
        assert_eq!(own.len(), 1);
        let session = nix::unistd::getsid(None).unwrap().as_raw();
        assert_eq!(sessions(&own), [session]);
        drop(listener);
        assert_eq!(sessions(&own), [0; 0]);
        assert_eq!(sockets(Path::new("/proc/self/net"), port).unwrap(), [0; 0]);
    }
}
