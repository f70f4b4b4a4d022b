//! Which of a host's addresses comes first: RFC 6724, as far as one place can see.

use std::{cmp::Reverse, net::IpAddr};

/// A host's addresses, best first, in groups between which nothing decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranked(Vec<Vec<IpAddr>>);

impl Ranked {
    /// Takes addresses in the order in which they were found.
    pub(crate) fn unsorted(addresses: &[IpAddr]) -> Ranked {
        Ranked(vec![addresses.to_vec()])
    }

    /// Sorts addresses, each given with the own address that packets to it would come from; one without is out of reach.
    /// Those out of reach are left out where others are not.
    pub(crate) fn of(addresses: &[(IpAddr, Option<IpAddr>)]) -> Ranked {
        let reachable = addresses.iter().any(|(_, own)| own.is_some());
        let mut sorted: Vec<(Merit, IpAddr)> = addresses
            .iter()
            .filter(|(_, own)| own.is_some() || !reachable)
            .map(|(address, own)| (Merit::of(*address, *own), *address))
            .collect();
        // Stable: what nothing decides stays as it was found.
        sorted.sort_by_key(|(merit, _)| Reverse(*merit));
        let mut groups: Vec<Vec<IpAddr>> = Vec::new();
        let mut last = None;
        for (merit, address) in sorted {
            if last != Some(merit) || groups.is_empty() {
                groups.push(Vec::new());
                last = Some(merit);
            }
            groups.last_mut().expect("invariant: one was just made").push(address);
        }
        Ranked(groups)
    }

    /// Returns all addresses in the order in which the request of this turn tries them.
    ///
    /// Those that are as good as one another take turns, as a server of names turns them. Families alternate (RFC 8305, 4),
    /// and the second one begins with another host's, since a host that is down is down in both.
    pub(crate) fn choices(&self, turn: usize) -> Vec<IpAddr> {
        let Some(first) = self.0.first().map(|group| group[turn % group.len()]) else { return Vec::new() };
        let in_turn = |of_first: bool| {
            self.0.iter().flat_map(move |group| {
                let turn = turn.wrapping_add(usize::from(!of_first)) % group.len();
                let members = group.iter().cycle().skip(turn).take(group.len());
                members.copied().filter(move |address| (address.is_ipv6() == first.is_ipv6()) == of_first)
            })
        };
        let (mut same, mut other) = (in_turn(true), in_turn(false));
        let mut choices = Vec::new();
        loop {
            let (next, alternative) = (same.next(), other.next());
            if next.is_none() && alternative.is_none() {
                return choices;
            }
            choices.extend(next.into_iter().chain(alternative));
        }
    }
}

/// What rules 1, 2, 5, 6 and 8 say of an address, the more the better. Rules 3, 4 and 7 need to know of an own address that it is
/// deprecated, mobile or in a tunnel; rule 9 would always choose the same of several servers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    reachable: bool,
    same_scope: bool,
    same_label: bool,
    precedence: u8,
    smaller_scope: Reverse<u8>,
}

impl Merit {
    fn of(address: IpAddr, own: Option<IpAddr>) -> Merit {
        let (precedence, label) = policy(address);
        Merit {
            reachable: own.is_some(),
            same_scope: own.is_some_and(|own| scope(own) == scope(address)),
            same_label: own.is_some_and(|own| policy(own).1 == label),
            precedence,
            smaller_scope: Reverse(scope(address)),
        }
    }
}

/// How far an address reaches: 2 the link, 5 the site, 14 everywhere (RFC 6724, 3.1 and 3.2).
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() => 2,
        IpAddr::V4(_) => 14,
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 0x0f,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unicast_link_local() => 2,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => 5,
        IpAddr::V6(_) => 14,
    }
}

/// Returns precedence and label by the default policy table (RFC 6724, 2.1).
fn policy(address: IpAddr) -> (u8, u8) {
    let IpAddr::V6(v6) = address else { return (35, 4) };
    let [first, second, ..] = v6.segments();
    match first {
        _ if v6.is_loopback() => (50, 0),
        _ if v6.to_ipv4_mapped().is_some() => (35, 4),
        _ if v6.segments()[..6] == [0; 6] => (1, 3),
        0x2001 if second == 0 => (5, 5),
        0x2002 => (30, 2),
        0x3ffe => (1, 12),
        _ if first & 0xffc0 == 0xfec0 => (1, 11),
        _ if first & 0xfe00 == 0xfc00 => (3, 13),
        _ => (40, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ranked(addresses: &[(&str, &str)]) -> Ranked {
        let own = |text: &str| (text != "-").then(|| ip(text));
        Ranked::of(&addresses.iter().map(|(a, o)| (ip(a), own(o))).collect::<Vec<_>>())
    }

    fn order(addresses: &[(&str, &str)]) -> Vec<String> {
        ranked(addresses).0.concat().iter().map(ToString::to_string).collect()
    }

    /// The examples of RFC 6724, 10.2, that need no other rules.
    #[test]
    fn addresses_are_in_the_order_of_the_rfc() {
        for (addresses, first) in [
            (vec![("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "198.51.100.117")], "2001:db8:1::1"),
            (vec![("2001:db8:1::1", "fe80::1"), ("198.51.100.121", "198.51.100.117")], "198.51.100.121"),
            (vec![("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")], "2001:db8:1::1"),
            (vec![("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")], "fe80::1"),
            (
                vec![("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8:1::1", "2002:c633:6401::2")],
                "2002:c633:6401::1",
            ),
            (
                vec![("fd11:1111:1111:1::1", "2001:db8:1::2"), ("2001:db8:1::1", "2001:db8:1::2")],
                "2001:db8:1::1",
            ),
            // A lab: its IPv6 addresses are unique local ones.
            (vec![("fd77::2", "fd77::1"), ("10.77.0.2", "10.77.0.1")], "10.77.0.2"),
            (vec![("127.0.0.1", "127.0.0.1"), ("::1", "::1")], "::1"),
        ] {
            assert_eq!(order(&addresses)[0], first, "{addresses:?}");
        }
    }

    #[test]
    fn what_cannot_be_reached_is_left_out_unless_nothing_can() {
        assert_eq!(order(&[("2001:db8::1", "-"), ("10.0.0.1", "10.0.0.2")]), ["10.0.0.1"]);
        assert_eq!(order(&[("10.0.0.1", "-"), ("2001:db8::1", "-")]), ["2001:db8::1", "10.0.0.1"]);
    }

    #[test]
    fn equals_take_turns_and_families_alternate() {
        let hosts = [("10.0.0.1", "fd00::1"), ("10.0.0.2", "fd00::2"), ("10.0.0.3", "fd00::3")];
        let all: Vec<(&str, &str)> =
            hosts.iter().flat_map(|(v4, v6)| [(*v4, "10.0.0.9"), (*v6, "fd00::9")]).collect();
        let choices =
            |turn| -> Vec<String> { ranked(&all).choices(turn).iter().map(ToString::to_string).collect() };
        assert_eq!(choices(0), ["10.0.0.1", "fd00::2", "10.0.0.2", "fd00::3", "10.0.0.3", "fd00::1"]);
        assert_eq!(choices(4)[..2], ["10.0.0.2", "fd00::3"]);
        assert_eq!(choices(usize::MAX).len(), 6);
        assert_eq!(Ranked::default().choices(3), Vec::<IpAddr>::new());
    }
}
