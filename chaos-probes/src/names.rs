//! The names of a place: stated, or read from its own `hosts`, `resolv.conf` and `nsswitch.conf`.
//!
//! Read here and not by the C library, which would read the runner's files, in the runner's mount namespace, and cannot be
//! linked into a static executable.

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use chaos_core::{
    place::{Asking, Files, Names, Order, Place},
    trouble::{self, Trouble},
};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
};

/// The most that is read of a file. Lists of blocked hosts have some megabytes.
const LARGEST: u64 = 32 << 20;

/// The port that servers in `resolv.conf` listen on.
const PORT: u16 = 53;

/// How many servers, and how much of the rest, the C library makes of a file.
const SERVERS: usize = 3;
const NDOTS: usize = 15;
const TIMEOUT: u64 = 30;
const ATTEMPTS: u32 = 5;

/// Returns the names of a place.
pub(crate) fn of(place: &Place) -> Result<Cow<'_, Names>, Trouble> {
    let Some(files) = &place.names.files else { return Ok(Cow::Borrowed(&place.names)) };
    let (hosts, resolv, switch) =
        (read(files, "hosts")?, read(files, "resolv.conf")?, read(files, "nsswitch.conf")?);
    let mut names = parse(hosts.as_deref(), resolv.as_deref(), switch.as_deref());
    // Without a list of its own a machine looks in the domain it is in.
    if names.asking.search.is_empty()
        && files.root == Path::new("/")
        && let Some((_, domain)) = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .as_deref()
            .and_then(|name| name.split_once('.'))
            .filter(|(_, domain)| !domain.is_empty())
    {
        names.asking.search.push(domain.to_owned());
    }
    Ok(Cow::Owned(names))
}

/// Reads a file of `/etc`; none where there is none.
fn read(files: &Files, name: &str) -> Result<Option<String>, Trouble> {
    let text = |opened: io::Result<File>| -> io::Result<Option<String>> {
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A pipe or a device would never end.
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    };
    if let Some(folder) = &files.instead {
        let path = folder.join(name);
        if let Some(found) = text(plain(&path)).map_err(|error| unreadable(&path, &error))? {
            return Ok(Some(found));
        }
    }
    let path = files.root.join("etc").join(name);
    text(within(&files.root, &Path::new("etc").join(name))).map_err(|error| unreadable(&path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::unable(format!("cannot read `{}`, which says what names stand for: {error}", path.display()))
        .with_help("run as root, or as the user whose process it is; or write addresses instead of names")
        .of_kind(trouble::Kind::from(error))
}

fn plain(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// Opens a file as a process with this root does: `/etc/resolv.conf` often is a link, and where it leads is meant there.
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

/// Makes names of the texts of `hosts`, `resolv.conf` and `nsswitch.conf`, as the C library does: what it does not know in
/// them it passes over.
fn parse(hosts: Option<&str>, resolv: Option<&str>, switch: Option<&str>) -> Names {
    let sources = Sources::parse(switch);
    let mut names = Names { order: sources.order, ..Names::default() };
    if sources.hosts {
        for line in hosts.unwrap_or_default().lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let addresses = names.hosts.entry(name).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
    }
    names.asking = Asking::default();
    for line in resolv.unwrap_or_default().lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace();
        match words.next() {
            Some("nameserver") if names.servers.len() < SERVERS => {
                // The number of an interface is that of the place; a server on a link is found through another one.
                names.servers.extend(words.next().and_then(|word| {
                    word.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT))
                }));
            }
            Some("domain") => names.asking.search = words.take(1).map(domain).collect(),
            Some("search") => names.asking.search = words.map(domain).collect(),
            Some("options") => words.for_each(|word| option(&mut names.asking, word)),
            _ => {}
        }
    }
    if !sources.servers {
        names.servers.clear();
    } else if names.servers.is_empty() {
        names.servers.push(SocketAddr::from(([127, 0, 0, 1], PORT)));
    }
    names
}

fn domain(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

fn option(asking: &mut Asking, word: &str) {
    fn number<N: std::str::FromStr + Ord>(value: &str, most: N) -> Option<N> {
        value.parse::<N>().ok().map(|number| number.min(most))
    }
    match word.split_once(':') {
        Some(("ndots", value)) => asking.ndots = number(value, NDOTS).unwrap_or(asking.ndots),
        Some(("timeout", value)) => {
            if let Some(seconds) = number(value, TIMEOUT).filter(|seconds| *seconds > 0) {
                asking.timeout = Duration::from_secs(seconds);
            }
        }
        Some(("attempts", value)) => {
            asking.attempts = number(value, ATTEMPTS).filter(|n| *n > 0).unwrap_or(asking.attempts);
        }
        None if word == "rotate" => asking.rotate = true,
        _ => {}
    }
}

/// What the line `hosts:` of `nsswitch.conf` names.
struct Sources {
    hosts: bool,
    servers: bool,
    order: Order,
}

impl Sources {
    fn parse(switch: Option<&str>) -> Sources {
        let line = switch.unwrap_or_default().lines().find_map(|line| {
            line.split('#').next().unwrap_or_default().trim().strip_prefix("hosts:").map(str::to_owned)
        });
        let Some(line) = line else {
            return Sources { hosts: true, servers: true, order: Order::HostsFirst };
        };
        let line = line.to_ascii_lowercase();
        // `resolve` is systemd's way to the servers that `resolv.conf` leads to as well.
        let servers = |word: &str| word == "dns" || word == "resolve";
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let first = words.iter().position(|word| *word == "files");
        let asked = words.iter().position(|word| servers(word));
        let order = match (first, asked) {
            (Some(files), Some(dns)) if dns < files => {
                let between = &words[dns..files];
                let ends = |word: &&str| word.contains("return");
                if between.iter().any(ends) { Order::ServersFinal } else { Order::ServersFirst }
            }
            _ => Order::HostsFirst,
        };
        Sources { hosts: first.is_some(), servers: asked.is_some(), order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_have_aliases_comments_and_several_lines() {
        let hosts = "127.0.0.1\tlocalhost\n# 9.9.9.9 off\n10.0.0.1 Web.Lab web # front\n10.0.0.2 web\n10.0.0.1 web\nbad web\n\
                     ::1 localhost\n";
        let names = parse(Some(hosts), None, None);
        assert_eq!(names.hosts["web"], addresses(&["10.0.0.1", "10.0.0.2"]));
        assert_eq!(names.hosts["web.lab"], addresses(&["10.0.0.1"]));
        assert_eq!(names.hosts["localhost"], addresses(&["127.0.0.1", "::1"]));
        assert_eq!(names.hosts.len(), 3);
    }

    #[test]
    fn a_resolver_is_set_as_the_c_library_reads_it() {
        let text = "; by hand\nnameserver 10.0.0.1\nnameserver ::1\nnameserver x\nnameserver 10.0.0.3\nnameserver \
                    10.0.0.4\ndomain gone\nsearch A.b. c # end\noptions ndots:99 timeout:2 attempts:0 rotate new-one:1\n";
        let names = parse(None, Some(text), None);
        let server = |text: &str| SocketAddr::new(text.parse().unwrap(), 53);
        assert_eq!(names.servers, [server("10.0.0.1"), server("::1"), server("10.0.0.3")]);
        let asking = Asking {
            search: vec!["a.b".into(), "c".into()],
            ndots: 15,
            timeout: Duration::from_secs(2),
            attempts: 2,
            rotate: true,
        };
        assert_eq!(names.asking, asking);
        assert_eq!(parse(None, Some(""), None).servers, [server("127.0.0.1")]);
    }

    #[test]
    fn the_switch_says_what_is_looked_at_and_in_which_order() {
        let order = |line: &str| {
            let names = parse(Some("10.0.0.1 a"), Some("nameserver 10.0.0.9"), Some(line));
            (!names.hosts.is_empty(), !names.servers.is_empty(), names.order)
        };
        for (line, expected) in [
            ("passwd: files", (true, true, Order::HostsFirst)),
            ("hosts: files dns", (true, true, Order::HostsFirst)),
            ("hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns # x", (true, true, Order::HostsFirst)),
            ("hosts: mymachines resolve [!UNAVAIL=return] files", (true, true, Order::ServersFinal)),
            ("hosts: dns files", (true, true, Order::ServersFirst)),
            ("hosts: files", (true, false, Order::HostsFirst)),
            ("hosts: dns", (false, true, Order::HostsFirst)),
        ] {
            assert_eq!(order(line), expected, "{line}");
        }
    }

    #[test]
    fn files_are_those_of_the_place_wherever_links_lead() {
        let root = tempfile::tempdir().unwrap();
        let (etc, run) = (root.path().join("etc"), root.path().join("run"));
        for folder in [&etc, &run] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::write(run.join("resolv.conf"), "nameserver 192.0.2.53\n").unwrap();
        std::os::unix::fs::symlink("/run/resolv.conf", etc.join("resolv.conf")).unwrap();
        std::fs::write(etc.join("hosts"), "192.0.2.1 inside\n").unwrap();
        let instead = root.path().join("netns");
        std::fs::create_dir(&instead).unwrap();
        let place = |instead: Option<&Path>| Place {
            names: std::sync::Arc::new(
                Files { root: root.path().to_owned(), instead: instead.map(Path::to_owned) }.into(),
            ),
            ..Place::runner()
        };
        let names = of(&place(Some(&instead))).unwrap().into_owned();
        assert_eq!(names.servers[0].ip(), addresses(&["192.0.2.53"])[0]);
        assert!(names.hosts.contains_key("inside"));
        // A file that the namespace has of its own stands for the other one, and that one alone.
        std::fs::write(instead.join("hosts"), "192.0.2.2 own\n").unwrap();
        let names = of(&place(Some(&instead))).unwrap().into_owned();
        assert!(names.hosts.contains_key("own") && !names.hosts.contains_key("inside"));
        assert_eq!(names.servers[0].ip(), addresses(&["192.0.2.53"])[0]);
        // What never ends is not read.
        std::fs::remove_file(etc.join("hosts")).unwrap();
        nix::unistd::mkfifo(&etc.join("hosts"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let message = of(&place(None)).unwrap_err().message;
        assert!(message.contains("etc/hosts") && message.ends_with("it is not a regular file"), "{message}");
    }
}
