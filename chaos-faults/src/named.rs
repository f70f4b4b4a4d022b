//! Remote ends that are names: found as the place of the fault knows them.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use chaos_core::{
    injector::{Ask, LookUp, NamedPeer, Packets, Work},
    place::Place,
    trouble::{Kind, Trouble},
    which::Which,
};

/// How long one name is waited for: longer than the five seconds after which resolvers ask again.
const PATIENCE: Duration = Duration::from_secs(8);

/// Returns packets whose remote ends are all addresses: those that their names have at a place now.
///
/// # Errors
/// A name has no address there. A fault on the others alone would be another one than was asked for.
pub(crate) async fn resolved(
    packets: &Packets,
    place: &Place,
    look_up: Option<&dyn LookUp>,
) -> Result<Packets, Trouble> {
    let mut packets = packets.clone();
    if let Some(named) = &mut packets.named {
        for NamedPeer { name, addresses, .. } in &mut *named.names {
            *addresses = addresses_of(name, place, look_up).await?.0;
        }
        packets.matches.peers = Which::These(named.peers());
    }
    Ok(packets)
}

/// Returns an ask with other packets.
pub(crate) fn with_packets(ask: &Ask, packets: Packets) -> Ask {
    Ask { work: Work::Packets(packets), ..ask.clone() }
}

/// Looks one name up; returns its addresses in a fixed order, and how long they are good for.
async fn addresses_of(
    name: &str,
    place: &Place,
    look_up: Option<&dyn LookUp>,
) -> Result<(Vec<IpAddr>, Duration), Trouble> {
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
    let found = match tokio::time::timeout(PATIENCE, look_up.look_up(name, place)).await {
        Ok(found) => found.map_err(none)?,
        Err(_) => {
            let silent = format!("no answer within {} s", PATIENCE.as_secs());
            return Err(none(Trouble::unable(silent).of_kind(Kind::Unable)));
        }
    };
    let addresses: BTreeSet<IpAddr> = found.addresses.into_iter().collect();
    Ok((Vec::from_iter(addresses), found.good_for))
}

/// Says what names stand for, for people; nothing where there are none or their addresses are not known.
pub(crate) fn told(packets: &Packets) -> Vec<String> {
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
        injector::{LookedUp, Named, Peer},
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
            Ok(LookedUp { addresses, good_for: Duration::ZERO })
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
        let found = resolved(&asked, &here(), Some(&known)).await.unwrap();
        assert_eq!(found.unresolved(), None);
        let Which::These(peers) = &found.matches.peers else { panic!("anybody") };
        let text: Vec<String> = peers
            .iter()
            .map(|p| format!("{}/{} {:?}", p.network, p.prefix, p.port.map(|p| p.first())))
            .collect();
        assert_eq!(text, ["10.0.0.1/32 Some(5432)", "fd71::1/128 Some(5432)", "192.0.2.9/32 None"]);
        assert_eq!(told(&found), ["`db` is 10.0.0.1, fd71::1 there"]);
        // Looked up again, it is what it is then.
        let moved = Known(BTreeMap::from([("db", vec!["10.0.0.7"])]));
        let found = resolved(&found, &here(), Some(&moved)).await.unwrap();
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
}
