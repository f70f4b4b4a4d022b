//! Finding the addresses of a name as a place knows it, for faults whose other end is a name.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;

use crate::{non_empty::NonEmpty, place::Place, trouble::Trouble};

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// All of both families.
    pub addresses: NonEmpty<IpAddr>,
    /// How long they are good for.
    pub good_for: Duration,
    /// Whether there are no others: not where nobody answered for one of both families.
    pub whole: bool,
}

/// Looks names up: as programs at the place do, by its own files and servers, and never as the machine of whoever asks would.
///
/// # Guarantees
/// It changes nothing, and answers within some seconds.
///
/// # Assumptions
/// The place is there; names of a cluster are for the place's own resolver.
///
/// # Errors
/// The name has no address there now, or nobody can say: the error says why, and what would help.
#[async_trait]
pub trait LookUp: Send + Sync {
    /// Finds all addresses of a name at a place.
    async fn look_up(&self, name: &str, place: &Place) -> Result<LookedUp, Trouble>;
}
