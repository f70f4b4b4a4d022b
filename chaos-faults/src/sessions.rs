//! Remote sessions of the machine that a run is started on: a fault there must not cut off who watches it.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use chaos_core::{
    injector::{Ask, Packets, Peer},
    model::{
        FaultSpec,
        packets::{Blocked, Protocol},
    },
    trouble::Trouble,
    which::Which,
};
use chaos_netns::Namespace;

use crate::{backend::ground::Ground, settings::Settings};

/// The port that ssh servers listen on, unless they are set otherwise.
const SSH: u16 = 22;

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`.
const ESTABLISHED: &str = "01";

/// What sshd(8) sets for every session: `CLIENT PORT SERVER PORT`.
const VARIABLE: &str = "SSH_CONNECTION";

/// A remote session with this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    near: SocketAddr,
    far: SocketAddr,
    /// Whether only [`VARIABLE`] says so: the connection may be one that is not seen from here, as behind a terminal multiplexer in
    /// another namespace, or another protocol's by now, as that of mosh(1), which begins with ssh and goes on by UDP.
    stated: bool,
}

/// Refuses a fault that would be on the ssh sessions of this machine, unless that is allowed.
pub(crate) fn spare_on(ask: &Ask, ground: &Ground, settings: &Settings) -> Result<(), Trouble> {
    let Some(packets) = ask.work.packets() else { return Ok(()) };
    if settings.ssh || !Namespace::current().is_ok_and(|own| own.inode() == ground.inode()) {
        return Ok(());
    }
    let unread = |error| Trouble::unable(format!("the ssh sessions of this machine cannot be read: {error}"));
    let what = format!("`{}` on {}", ask.work, ask.object);
    spare(packets, &what, &sessions().map_err(unread)?)
}

/// Lists the established ssh sessions that come into the network namespace of this process, with that of whoever started it.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn sessions() -> io::Result<Vec<Session>> {
    let stated = stated();
    let mut found = Vec::new();
    for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        match fs::read_to_string(table) {
            Ok(text) => found.extend(established(&text)),
            // Without IPv6 there is no table of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let is_ssh = |port| port == SSH || stated.iter().any(|session| session.near.port() == port);
    found.retain(|session| is_ssh(session.near.port()));
    let unseen =
        |session: &Session| !found.iter().any(|seen| (seen.near, seen.far) == (session.near, session.far));
    let unseen: Vec<Session> = stated.iter().copied().filter(unseen).collect();
    found.extend(unseen);
    Ok(found)
}

/// Returns the sessions that this process and all that it was started from say they are of: `sudo` takes the variable away from what
/// it runs, and the shell before it has it still.
fn stated() -> Vec<Session> {
    let mut found: Vec<Session> =
        std::env::var(VARIABLE).ok().as_deref().and_then(connection).into_iter().collect();
    for pid in crate::processes::forebears().unwrap_or_default() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let said = environment.split(|byte| *byte == 0).find_map(|line| {
            let value = std::str::from_utf8(line).ok()?.strip_prefix(VARIABLE)?.strip_prefix('=')?;
            connection(value)
        });
        found.extend(said.filter(|session| !found.contains(session)));
    }
    found
}

/// Reads the value of [`VARIABLE`].
fn connection(value: &str) -> Option<Session> {
    let mut words = value.split(' ');
    let mut end = || {
        // A link-local address has its interface behind it.
        let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(address.to_canonical(), words.next()?.parse().ok()?))
    };
    let (far, near) = (end()?, end()?);
    Some(Session { near, far, stated: true })
}

/// Reads the established connections of a table in the form of proc(5), `/proc/net/tcp` and `/proc/net/tcp6`.
fn established(table: &str) -> impl Iterator<Item = Session> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (near, far, state) = (words.next()?, words.next()?, words.next()?);
        (state == ESTABLISHED).then_some(())?;
        Some(Session { near: address(near)?, far: address(far)?, stated: false })
    })
}

/// Reads an address as the kernel prints it: words of 32 bits in the order of this machine, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match (<[u8; 4]>::try_from(&bytes[..]), <[u8; 16]>::try_from(&bytes[..])) {
        (Ok(four), _) => IpAddr::from(Ipv4Addr::from(four)),
        (_, Ok(sixteen)) => IpAddr::from(Ipv6Addr::from(sixteen)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// Refuses a fault that would be on the packets of one of these sessions.
pub(crate) fn spare(packets: &Packets, what: &str, sessions: &[Session]) -> Result<(), Trouble> {
    let only_new = |spec: &FaultSpec| matches!(spec, FaultSpec::Block { connections: Blocked::New, .. });
    if packets.specs.iter().all(only_new) {
        return Ok(());
    }
    let Some(Session { near, far, stated }) = sessions.iter().find(|session| is_met(packets, session)) else {
        return Ok(());
    };
    let known = if *stated { " (as `SSH_CONNECTION` says)" } else { "" };
    Err(Trouble::unable(format!(
        "{what} would be on the ssh session of {far} with port {} of this machine{known}, and cut off or slow down whoever watches the run",
        near.port()
    ))
    .with_help("name destinations or ports that it is not among, such as `to 10.0.0.0/8`, start the run from a console or a timer, or allow it with `--allow-ssh`"))
}

fn is_met(packets: &Packets, session: &Session) -> bool {
    let matches = &packets.matches;
    let protocol = session.stated || matches.protocol.is_none_or(|protocol| protocol == Protocol::Tcp);
    let ports = match &matches.ports {
        Which::Any => true,
        Which::These(ports) => ports
            .iter()
            .any(|ports| ports.contains(session.near.port()) || ports.contains(session.far.port())),
    };
    let peers = match &matches.peers {
        Which::Any => true,
        Which::These(peers) => peers.iter().any(|peer| {
            contains(peer, session.far.ip()) && peer.port.is_none_or(|port| port.contains(session.far.port()))
        }),
    };
    protocol && ports && peers
}

fn contains(peer: &Peer, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(four) => (u128::from(four.to_bits()) << 96, 32),
        IpAddr::V6(six) => (six.to_bits(), 128),
    };
    let ((network, width), (address, other)) = (bits(peer.network.to_canonical()), bits(address));
    // A network of mapped addresses is written with the prefix of the sixteen bytes.
    let mapped = peer.network.is_ipv6() && peer.network.to_canonical().is_ipv4();
    let prefix = if mapped { peer.prefix.saturating_sub(96) } else { peer.prefix };
    let ignored = 128 - u32::from(prefix.min(width));
    width == other && (network ^ address).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use chaos_core::{
        injector::{Direction, PacketMatch},
        model::packets::{Ports, Refusal},
        non_empty::NonEmpty,
    };

    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0201000A:0016 0701000A:C822 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
";
    const TABLE6: &str =
        "  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000201000A:0016 0000000000000000FFFF00000701000A:C823 01 00000000:00000000
   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:C824 01 00000000:00000000
";

    fn all() -> Vec<Session> {
        established(TABLE).chain(established(TABLE6)).collect()
    }

    fn refuses(specs: FaultSpec, matches: PacketMatch) -> Option<String> {
        let packets =
            Packets { specs: vec![specs], matches, directions: vec![Direction::Egress], named: None };
        spare(&packets, "`loss 5%`", &all()).err().map(|error| error.message)
    }

    fn to(network: &str, prefix: u8, port: Option<Ports>) -> PacketMatch {
        let peer = Peer { network: network.parse().unwrap(), prefix, port };
        PacketMatch { peers: Which::These(NonEmpty::one(peer)), ..PacketMatch::default() }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_kernels_tables_are_read() {
        let said: Vec<_> = all().iter().map(|session| format!("{} {}", session.near, session.far)).collect();
        assert_eq!(
            said,
            [
                "10.0.1.2:22 10.0.1.7:51234",
                "10.0.1.2:22 10.0.1.7:51235",
                "[2001:db8::1]:22 [2001:db8::2]:51236"
            ]
        );
    }

    #[test]
    fn what_sshd_says_of_a_session_is_one_also_where_no_connection_is_seen() {
        let said = |value| connection(value).map(|session| format!("{} {}", session.near, session.far));
        assert_eq!(said("10.0.1.7 51234 10.0.1.2 2222").as_deref(), Some("10.0.1.2:2222 10.0.1.7:51234"));
        assert_eq!(
            said("fe80::1%eth0 51234 fe80::2%eth0 22").as_deref(),
            Some("[fe80::2]:22 [fe80::1]:51234")
        );
        for strange in ["", "10.0.1.7", "10.0.1.7 x 10.0.1.2 22", "UNKNOWN 65535 UNKNOWN 65535"] {
            assert_eq!(said(strange), None, "{strange}");
        }
        let session = connection("10.0.1.7 51234 10.0.1.2 2222").unwrap();
        let mosh = PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() };
        let packets = |matches| Packets {
            specs: vec![FaultSpec::loss(0.05)],
            matches,
            directions: vec![Direction::Egress],
            named: None,
        };
        let refused = spare(&packets(mosh), "it", &[session]).unwrap_err();
        assert!(refused.message.contains("(as `SSH_CONNECTION` says)"), "{refused}");
        assert!(spare(&packets(to("10.0.2.0", 24, None)), "it", &[session]).is_ok());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn what_would_be_on_a_session_is_refused() {
        let loss = || FaultSpec::loss(0.05);
        let refused = refuses(loss(), PacketMatch::default()).unwrap();
        assert!(
            refused.starts_with("`loss 5%` would be on the ssh session of 10.0.1.7:51234 with port 22"),
            "{refused}"
        );
        for (matches, is_refused) in [
            (to("10.0.0.0", 8, None), true),
            (to("10.0.1.7", 32, None), true),
            (to("10.0.1.8", 32, None), false),
            (to("::", 0, None), true),
            (to("0.0.0.0", 0, None), true),
            (to("2001:db8::", 32, None), true),
            (to("2001:db9::", 32, None), false),
            (to("::ffff:10.0.1.0", 120, None), true),
            (to("10.0.1.7", 32, Ports::between(5432, 5432)), false),
            (to("10.0.1.7", 32, Ports::between(50_000, 60_000)), true),
        ] {
            assert_eq!(refuses(loss(), matches.clone()).is_some(), is_refused, "{matches:?}");
        }
        let ports = |first, last| PacketMatch {
            ports: Which::These(NonEmpty::one(Ports::between(first, last).unwrap())),
            ..PacketMatch::default()
        };
        assert!(refuses(loss(), ports(22, 22)).is_some());
        assert!(refuses(loss(), ports(80, 443)).is_none());
        let udp = PacketMatch { protocol: Some(Protocol::Udp), ..PacketMatch::default() };
        assert!(refuses(loss(), udp).is_none());
        let block = |connections| FaultSpec::Block { connections, answer: Refusal::Drop };
        assert!(refuses(block(Blocked::New), PacketMatch::default()).is_none());
        assert!(refuses(block(Blocked::All), PacketMatch::default()).is_some());
    }
}
