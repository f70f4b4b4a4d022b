//! Remote ends that are names: found as the place of the fault knows them.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use chaos_core::{
    injector::{Ask, LookUp, LookedUp, NamedPeer, Packets, Work},
    place::Place,
    trouble::Trouble,
    which::Which,
};

/// How soon names are looked up again at the earliest, and at the latest, whatever their time to live.
pub(crate) const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);

/// How long one name is waited for: longer than the five seconds after which resolvers ask again.
const PATIENCE: Duration = Duration::from_secs(8);

/// Packets whose remote ends are all addresses.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) packets: Packets,
    /// When the names are to be looked up again.
    pub(crate) again: Duration,
    /// Why some of the addresses are those of before.
    pub(crate) kept: Option<String>,
}

/// Returns packets whose remote ends are all addresses: those that their names have at a place now.
///
/// # Errors
/// A name has no address there. A fault on the others alone would be another one than was asked for.
pub(crate) async fn resolved(
    packets: &Packets,
    place: &Place,
    look_up: Option<&dyn LookUp>,
) -> Result<Resolved, Trouble> {
    let (mut packets, mut again, mut kept) = (packets.clone(), LATEST, Vec::new());
    if let Some(named) = &mut packets.named {
        for NamedPeer { name, addresses, .. } in named.names.iter_mut() {
            let found = addresses_of(name, place, look_up).await?;
            let mut now: BTreeSet<IpAddr> = found.addresses.into_iter().collect();
            // Nobody answered for the other family, so what is known of it may be there still.
            let answered = |old: &IpAddr| now.iter().any(|new| new.is_ipv4() == old.is_ipv4());
            let left: Vec<_> =
                addresses.iter().copied().filter(|old| !found.whole && !answered(old)).collect();
            if let Some(one) = left.first() {
                let family = if one.is_ipv4() { "IPv4" } else { "IPv6" };
                kept.push(format!("nobody answered for the {family} addresses of `{name}`"));
            }
            now.extend(left);
            *addresses = now.into_iter().collect();
            again = again.min(found.good_for);
        }
        packets.matches.peers = Which::These(named.peers());
    }
    let kept = (!kept.is_empty()).then(|| kept.join(", and "));
    Ok(Resolved { packets, again: again.max(SOONEST), kept })
}

/// Returns an ask with other packets.
pub(crate) fn with_packets(ask: &Ask, packets: Packets) -> Ask {
    Ask { work: Work::Packets(packets), ..ask.clone() }
}

/// Returns whether both are on names whose addresses are not known yet, and have none in common.
pub(crate) fn are_others(one: &Ask, other: &Ask) -> bool {
    let of = |ask: &Ask| {
        let packets = ask.work.packets().filter(|packets| packets.unresolved().is_some());
        let names = packets.and_then(|packets| packets.named.as_ref()).map(|named| named.names.iter());
        names.map(|names| names.map(|named| named.name.clone()).collect::<BTreeSet<_>>())
    };
    matches!((of(one), of(other)), (Some(one), Some(other)) if one.is_disjoint(&other))
}

/// Looks one name up.
async fn addresses_of(name: &str, place: &Place, look_up: Option<&dyn LookUp>) -> Result<LookedUp, Trouble> {
    let Some(look_up) = look_up else {
        return Err(Trouble::unable(format!(
            "nobody here can look up `{name}`, which the fault is to be on"
        ))
        .with_help("write its addresses, or use an executable that has the standard probes"));
    };
    let none = |why: Trouble| Trouble {
        message: format!("`{name}`, which the fault is to be on, has no address at {}: {why}", place.object),
        help: why.help.or_else(|| Some("write its addresses, or have it resolve there".into())),
        ..why
    };
    match tokio::time::timeout(PATIENCE, look_up.look_up(name, place)).await {
        Ok(found) => found.map_err(none),
        Err(_) => Err(none(Trouble::unable(format!("no answer within {} s", PATIENCE.as_secs())))),
    }
}

/// What became of the names of a fault while it stood.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// How often they became others.
    changes: u32,
    /// What they are by now.
    now: Vec<String>,
    /// Why they, or some of their addresses, could not be looked up the last time.
    missing: Option<String>,
}

impl History {
    /// Keeps that the names were looked up, and what they are if they are others than `before`.
    pub(crate) fn found(&mut self, now: &Resolved, before: &Packets) {
        self.missing.clone_from(&now.kept);
        if now.packets != *before {
            self.changes += 1;
            self.now = addresses_in_words(&now.packets);
        }
    }

    /// Keeps that a name could not be looked up.
    pub(crate) fn missed(&mut self, why: &Trouble) {
        self.missing = Some(why.message.clone());
    }

    /// Adds what became of the names to what a fault did.
    pub(crate) fn add_to(&self, line: &mut String) {
        let mut add = |text: &str| {
            if !line.is_empty() {
                line.push_str("; ");
            }
            line.push_str(text);
        };
        if self.changes > 0 {
            let times = if self.changes == 1 { "once".into() } else { format!("{} times", self.changes) };
            add(&format!("its addresses changed {times}, and it followed: {} by now", self.now.join(", ")));
        }
        if let Some(missing) = &self.missing {
            add(&format!("it stayed on the addresses that were known, because {missing}"));
        }
    }
}

/// Says what names stand for, for people; nothing where there are none or their addresses are not known.
pub(crate) fn addresses_in_words(packets: &Packets) -> Vec<String> {
    let names = packets.named.iter().flat_map(|named| named.names.iter());
    let known = names.filter(|named| !named.addresses.is_empty());
    known.map(|named| format!("`{}` is {} there", named.name, listed(&named.addresses))).collect()
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use async_trait::async_trait;
    use chaos_core::{
        injector::{Named, Peer},
        non_empty::NonEmpty,
    };

    use super::*;

    struct Known(BTreeMap<&'static str, Vec<&'static str>>);

    #[async_trait]
    impl LookUp for Known {
        async fn look_up(&self, name: &str, _: &Place) -> Result<LookedUp, Trouble> {
            let known = self.0.get(name).into_iter().flatten().map(|text| text.parse().unwrap());
            let addresses = NonEmpty::try_from(Vec::from_iter(known));
            let addresses = addresses.map_err(|_| Trouble::unable("no such name"))?;
            Ok(LookedUp { addresses, good_for: Duration::ZERO, whole: name != "half" })
        }
    }

    fn to_names(names: &[&str], others: &[&str]) -> Packets {
        let one =
            |name: &&str| NamedPeer { name: (*name).to_owned(), port: Some(5432.into()), addresses: vec![] };
        let names = Vec::from_iter(names.iter().map(one)).try_into().unwrap();
        let others = others.iter().map(|text| Peer::address(text.parse().unwrap())).collect();
        let named = Named { names, others };
        let matches =
            chaos_core::injector::PacketMatch { peers: Which::These(named.peers()), ..Default::default() };
        Packets { specs: vec![], directions: vec![], matches, named: Some(named) }
    }

    fn here() -> Place {
        Place::runner()
    }

    #[tokio::test]
    async fn a_name_becomes_all_of_its_addresses_beside_those_that_were_written() {
        let known = Known(BTreeMap::from([("db", vec!["10.0.0.1", "fd71::1", "10.0.0.1"])]));
        let asked = to_names(&["db"], &["192.0.2.9"]);
        assert_eq!(asked.unresolved(), Some("db"));
        let found = resolved(&asked, &here(), Some(&known)).await.unwrap().packets;
        assert_eq!(found.unresolved(), None);
        let Which::These(peers) = &found.matches.peers else { panic!("anybody") };
        let text: Vec<String> = peers
            .iter()
            .map(|p| format!("{}/{} {:?}", p.network, p.prefix, p.port.map(|p| p.first())))
            .collect();
        assert_eq!(text, ["10.0.0.1/32 Some(5432)", "fd71::1/128 Some(5432)", "192.0.2.9/32 None"]);
        assert_eq!(addresses_in_words(&found), ["`db` is 10.0.0.1, fd71::1 there"]);
        // Looked up again, it is what it is then.
        let moved = Known(BTreeMap::from([("db", vec!["10.0.0.7"])]));
        let found = resolved(&found, &here(), Some(&moved)).await.unwrap();
        assert_eq!(found.again, SOONEST);
        let found = found.packets;
        let Which::These(peers) = &found.matches.peers else { panic!("anybody") };
        assert_eq!(peers.len(), 2);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_refused_whatever_the_others_have() {
        let known = Known(BTreeMap::from([("db", vec!["10.0.0.1"])]));
        let error = resolved(&to_names(&["db", "gone"], &[]), &here(), Some(&known)).await.unwrap_err();
        assert!(
            error.message.starts_with("`gone`, which the fault is to be on, has no address at"),
            "{error}"
        );
        let error = resolved(&to_names(&["db"], &[]), &here(), None).await.unwrap_err();
        assert!(error.message.starts_with("nobody here can look up `db`"), "{error}");
    }

    #[tokio::test]
    async fn half_an_answer_takes_no_address_away() {
        let known = Known(BTreeMap::from([("half", vec!["10.0.0.1"])]));
        let mut asked = to_names(&["half"], &[]);
        asked.named.as_mut().unwrap().names[0].addresses = vec!["fd71::1".parse().unwrap()];
        let found = resolved(&asked, &here(), Some(&known)).await.unwrap().packets;
        assert_eq!(addresses_in_words(&found), ["`half` is 10.0.0.1, fd71::1 there"]);
    }

    #[tokio::test]
    async fn half_an_answer_is_the_whole_of_its_family() {
        let known = Known(BTreeMap::from([("half", vec!["10.0.0.2"])]));
        let on = |addresses: &[&str]| {
            let mut packets = to_names(&["half"], &[]);
            packets.named.as_mut().unwrap().names[0].addresses =
                addresses.iter().map(|text| text.parse().unwrap()).collect();
            packets
        };
        let found = resolved(&on(&["10.0.0.1"]), &here(), Some(&known)).await.unwrap();
        assert_eq!(addresses_in_words(&found.packets), ["`half` is 10.0.0.2 there"]);
        assert_eq!(found.kept, None);
        let before = on(&["10.0.0.1", "fd71::1"]);
        let found = resolved(&before, &here(), Some(&known)).await.unwrap();
        let mut history = History::default();
        history.found(&found, &before);
        let mut line = String::new();
        history.add_to(&mut line);
        assert_eq!(
            line,
            "its addresses changed once, and it followed: `half` is 10.0.0.2, fd71::1 there by now; it stayed on the \
             addresses that were known, because nobody answered for the IPv6 addresses of `half`"
        );
    }

    #[test]
    fn it_is_told_what_became_of_names() {
        let reported = |history: &History| {
            let mut line = "matched 3 packets".to_owned();
            history.add_to(&mut line);
            line
        };
        let mut history = History::default();
        let mut packets = to_names(&["db"], &[]);
        let before = packets.clone();
        let found = |packets: &Packets| Resolved { packets: packets.clone(), again: SOONEST, kept: None };
        history.found(&found(&before), &before);
        assert_eq!(reported(&history), "matched 3 packets");
        packets.named.as_mut().unwrap().names[0].addresses = vec!["10.0.0.7".parse().unwrap()];
        history.found(&found(&packets), &before);
        history.missed(&Trouble::unable("`db` does not resolve"));
        assert_eq!(
            reported(&history),
            "matched 3 packets; its addresses changed once, and it followed: `db` is 10.0.0.7 there by now; it stayed on \
             the addresses that were known, because `db` does not resolve"
        );
        history.found(&found(&packets), &packets);
        assert!(!reported(&history).contains("stayed"));
    }
}
