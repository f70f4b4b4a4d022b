//! Names as faults look them up: by the same ways as probes do.

use std::fmt;

use async_trait::async_trait;
use chaos_core::{
    injector::{LookUp, LookedUp},
    non_empty::{Empty, NonEmpty},
    place::Place,
    trouble::Trouble,
};

use crate::{
    endpoint::Host,
    failure::{Failure, cannot},
    resolve::{self, Answer},
    socket::SocketThreads,
};

/// Looks names up as the clients of a place do: by its own `hosts`, `resolv.conf` and `nsswitch.conf`, from its network.
///
/// Entering a network namespace needs root or `CAP_SYS_ADMIN`.
#[derive(Default)]
pub struct PlaceNames {
    threads: SocketThreads,
}

impl PlaceNames {
    /// Returns one that reads the files of a place anew for each name.
    pub fn new() -> Self {
        PlaceNames::default()
    }
}

impl fmt::Debug for PlaceNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaceNames").finish_non_exhaustive()
    }
}

#[async_trait]
impl LookUp for PlaceNames {
    async fn look_up(&self, name: &str, place: &Place) -> Result<LookedUp, Trouble> {
        let host = Host::parse(name)?;
        let sockets = self.threads.sockets(&place.site).await?;
        let help = "have it resolve at the target, or write its addresses";
        let found = resolve::all(&host, place, &sockets).await;
        let Answer { addresses, ttl, whole } =
            found.map_err(|(Failure::Failed(why) | Failure::NotRun(why))| cannot(why.into_owned(), help))?;
        let addresses = NonEmpty::try_from(addresses.to_vec());
        let addresses = addresses.map_err(|Empty| cannot(format!("`{name}` has no address"), help))?;
        Ok(LookedUp { addresses, good_for: ttl, whole })
    }
}
