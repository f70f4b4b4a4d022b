//! Which DNS servers a place asks, and in which domains it looks for names: what a fault of names has to know of it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    net::IpAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use chaos_core::{
    place::{Files, Names},
    trouble::{Kind, Trouble},
};
use chaos_netns::Namespace;
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

/// The most that is read of `resolv.conf`.
const LARGEST: u64 = 1 << 20;

/// The port of DNS over TLS, as `/proc/net/tcp` writes it.
const TLS_PORT: &str = "0355";

/// A connection that is open, as `/proc/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// What a place's resolver is set to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolvers {
    pub(crate) servers: Vec<IpAddr>,
    pub(crate) search: Vec<String>,
}

impl Resolvers {
    /// Reads those of a place; without a file the C library asks the machine itself.
    pub(crate) fn of(names: &Names) -> Result<Self, Trouble> {
        let Some(files) = &names.files else {
            let servers = names.servers.iter().map(|server| server.ip()).collect();
            return Ok(Resolvers { servers, search: names.asking.search.clone() });
        };
        let text = read(files).map_err(|error| {
            let path = files.root.join("etc/resolv.conf");
            Trouble::unable(format!(
                "cannot read `{}`, which says whom the target asks for names: {error}",
                path.display()
            ))
            .with_help("run as root, or as the user whose process it is")
            .of_kind(Kind::from(&error))
        })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut found = Resolvers::default();
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A zone says by which interface, and not whom.
                    let address =
                        words.next().and_then(|word| word.split('%').next()?.parse::<IpAddr>().ok());
                    found.servers.extend(address);
                }
                // The last one counts.
                Some("search" | "domain") => {
                    found.search = words.map(|word| word.trim_end_matches('.').to_owned()).collect();
                }
                _ => {}
            }
        }
        found
    }
}

fn read(files: &Files) -> io::Result<String> {
    if let Some(folder) = &files.instead {
        match text(plain(&folder.join("resolv.conf"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
    }
    match text(within(&files.root, Path::new("etc/resolv.conf"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        found => found,
    }
}

fn text(opened: io::Result<File>) -> io::Result<String> {
    let file = opened?;
    // A pipe or a device would never end.
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn plain(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// Opens a file as a process with this root does: the file often is a link, and where it leads is meant there.
fn within(root: &Path, path: &Path) -> io::Result<File> {
    if root == Path::new("/") {
        return plain(&root.join(path));
    }
    let folder = OpenOptions::new().read(true).custom_flags(OFlag::O_PATH.bits()).open(root)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    match openat2(&folder, path, how) {
        Ok(descriptor) => Ok(descriptor.into()),
        // Before Linux 5.6.
        Err(Errno::ENOSYS) => plain(&root.join(path)),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns how many connections to the port of DNS over TLS are open in a namespace.
pub(crate) fn encrypted(namespace: &Namespace) -> usize {
    let count = || {
        let files = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
        let tables = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
        tables.map(|table| encrypted_in(&table)).sum()
    };
    namespace.run(count).unwrap_or(0)
}

fn encrypted_in(table: &str) -> usize {
    let open = |line: &&str| {
        let mut words = line.split_ascii_whitespace().skip(2);
        let port = words.next().and_then(|remote| remote.rsplit_once(':')).map(|(_, port)| port);
        port == Some(TLS_PORT) && words.next() == Some(ESTABLISHED)
    };
    table.lines().filter(open).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_search_list_counts_and_comments_do_not() {
        let text = "# nameserver 10.9.9.9\nnameserver 10.0.0.1 ; first\nnameserver fe80::1%eth0\nnameserver x\n\
                    domain old.example\nsearch a.example. b.example\noptions ndots:5\n";
        let read = Resolvers::parse(text);
        assert_eq!(read.servers, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(read.search, ["a.example", "b.example"]);
    }

    #[test]
    fn connections_to_dns_over_tls_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:A001 0101A8C0:0355 01 00000000:00000000\n   \
                     1: 0100007F:A002 0101A8C0:0355 06 00000000:00000000\n   \
                     2: 0100007F:0355 0101A8C0:01BB 01 00000000:00000000\n";
        assert_eq!(encrypted_in(table), 1);
    }
}
