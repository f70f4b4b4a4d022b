//! Says to other processes that the maker of the queues and filters on an interface lives.
//!
//! Nothing in a qdisc or a filter says who made it, and a restore has to tell those of a dead agent from those of a run that goes
//! on. An abstract socket does: it belongs to the network namespace, and the kernel takes it away with its process.

use std::os::{
    linux::net::SocketAddrExt as _,
    unix::net::{SocketAddr, UnixDatagram},
};

use chaos_core::trouble::Trouble;
use chaos_netns::Namespace;

use super::ground::{Ground, failed};
use crate::holder::{self, Holder};

/// What this process has on one interface stands for as long as this does.
#[derive(Debug)]
pub(crate) struct Presence {
    _alive: UnixDatagram,
}

/// The name's end is random, so that nobody can take it beforehand.
fn prefix(index: u32) -> String {
    format!("chaos-tc-{index}-")
}

impl Presence {
    /// Says that this process has something on an interface; nothing where no socket can be had, which is no reason to fail.
    pub(crate) fn on(namespace: &Namespace, index: u32) -> Option<Self> {
        let name = format!("{}{:08x}", prefix(index), rand::random::<u32>());
        let bind = || UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?);
        let bound = namespace.run(bind).map_err(std::io::Error::other).flatten();
        match bound {
            Ok(alive) => Some(Presence { _alive: alive }),
            Err(error) => {
                tracing::debug!(%error, index, "other processes cannot see that this one is here");
                None
            }
        }
    }
}

/// Returns whether a living process says of itself that it has something on an interface, other than this one and `holder`. Its word
/// counts if it is root's or of this one's user. Where processes cannot be seen, none is.
pub(crate) fn of_another(ground: &Ground, index: u32, holder: Option<Holder>) -> Result<bool, Trouble> {
    let sockets = ground.connection.namespace().run(|| std::fs::read_to_string("/proc/thread-self/net/unix"));
    let Ok(sockets) = sockets.map_err(|error| failed(error.into()))? else { return Ok(false) };
    let name = format!("@{}", prefix(index));
    let named =
        sockets.lines().filter(|line| line.rsplit_once(' ').is_some_and(|(_, path)| path.starts_with(&name)));
    let inodes = named.filter_map(|line| line.split_whitespace().nth(6)?.parse().ok());
    let trusted = |pid: &u32| {
        let own = std::process::id();
        *pid != own
            && Some(*pid) != holder.map(Holder::pid)
            && user(*pid).is_some_and(|user| user == 0 || Some(user) == self::user(own))
    };
    Ok(inodes.filter_map(holder::of_socket).any(|pid| trusted(&pid)))
}

/// Returns the user that a process acts as. Who owns its files says nothing: a process can have root own them.
fn user(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_acts_as_the_user_that_it_is() {
        use std::os::unix::fs::MetadataExt as _;
        let own = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(user(std::process::id()), Some(own));
        assert_eq!(user(0), None);
    }
}
