//! Pairs of interfaces of our own in a namespace that others use, which whoever comes next removes once their maker is dead.
//!
//! A name says that a pair is ours, and an abstract socket of the same name says that its maker lives: the kernel takes the
//! socket away with the process, however it dies, and abstract names belong to the network namespace as the pair does.
//! (A process number would not do: containers of one pod share the network and number their processes each from 1.)

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

use chaos_netns::Namespace;

use crate::netlink::{Connection, NetlinkError};

const PREFIX: &str = "chaos";

/// How many digits follow the prefix. With the prefix and the end it is as long as an interface's name may be.
const DIGITS: usize = 8;

/// A name for a pair that nobody else has, for as long as this lives.
#[derive(Debug)]
pub(crate) struct PairName {
    stem: String,
    _alive: UnixDatagram,
}

impl PairName {
    /// Takes a random name in the namespace of this thread.
    pub(crate) fn claim() -> io::Result<Self> {
        Self::of(format!("{PREFIX}{:08x}", rand::random::<u32>()))
    }

    fn of(stem: String) -> io::Result<Self> {
        let _alive = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&stem)?)?;
        Ok(Self { stem, _alive })
    }

    /// Returns the name of the end that packets are led to.
    pub(crate) fn near(&self) -> String {
        format!("{}-a", self.stem)
    }

    /// Returns the name of the other end.
    pub(crate) fn far(&self) -> String {
        format!("{}-b", self.stem)
    }
}

/// Returns what both names of a pair begin with; nothing if it is none of ours.
fn stem(name: &str) -> Option<&str> {
    let stem = name.strip_suffix("-a").or_else(|| name.strip_suffix("-b"))?;
    let digits = stem.strip_prefix(PREFIX)?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == DIGITS && digits.bytes().all(hexadecimal)).then_some(stem)
}

/// Removes the pairs whose makers are dead, and returns the names of their ends.
///
/// # Errors
/// When the kernel refuses, or the namespace may not be entered.
pub(crate) async fn sweep(connection: &Connection) -> Result<Vec<String>, NetlinkError> {
    let mut removed = Vec::new();
    for link in connection.links().await? {
        let Some(stem) = stem(&link.name).filter(|_| link.kind.as_deref() == Some("veth")) else { continue };
        // A name that is taken has a maker that lives.
        let Ok(name) = connection.namespace().run(|| PairName::of(stem.to_owned()))? else { continue };
        connection.delete_link(link.index).await?;
        drop(name);
        removed.push(link.name);
    }
    Ok(removed)
}

/// Lists the pairs whose makers are dead.
pub(crate) async fn left(connection: &Connection) -> Result<Vec<String>, NetlinkError> {
    let mut left = Vec::new();
    for link in connection.links().await? {
        let Some(stem) = stem(&link.name).filter(|_| link.kind.as_deref() == Some("veth")) else { continue };
        if connection.namespace().run(|| PairName::of(stem.to_owned()))?.is_ok() {
            let name = link.name;
            left.push(format!(
                "an idle interface `{name}` of a fault is left (`ip link del {name}` removes it)"
            ));
        }
    }
    Ok(left)
}

/// Takes a random name in a namespace.
///
/// # Errors
/// When no socket can be made there, or the namespace may not be entered.
pub(crate) fn claim(namespace: &Namespace) -> Result<PairName, NetlinkError> {
    let failed =
        |source| NetlinkError::Refused { action: "reserve a name for a pair of interfaces".into(), source };
    namespace.run(PairName::claim)?.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_taken_for_ours() {
        assert_eq!(stem("chaos01ab9f7e-a"), Some("chaos01ab9f7e"));
        assert_eq!(stem("chaos01ab9f7e-b"), Some("chaos01ab9f7e"));
        for other in
            ["chaos0", "chaos-a", "chaos01ab9f7-a", "chaos01ab9f7E-a", "chaos01ab9f7e", "veth01ab9f7e-a"]
        {
            assert_eq!(stem(other), None, "{other}");
        }
        let name = PairName::claim().unwrap();
        assert_eq!((name.near().len(), stem(&name.far())), (15, Some(name.stem.as_str())));
    }

    #[test]
    fn a_name_is_taken_while_its_maker_lives() {
        let name = PairName::claim().unwrap();
        let stem = name.stem.clone();
        assert_eq!(PairName::of(stem.clone()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(name);
        PairName::of(stem).unwrap();
    }
}
