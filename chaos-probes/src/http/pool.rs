//! The connections of a probe: a limited number, used again and again.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::Connection;

/// At most this many connections at once, used and idle ones together, to whatever addresses.
///
/// Whoever finds none free waits for one, first come, first served. Otherwise a server that answers late would get ever
/// more connections instead of ever later answers, until it, or this machine's ports, give out.
pub(super) struct Pool {
    limit: usize,
    /// One for each connection that may be in use.
    places: Semaphore,
    /// The one used last comes last.
    idle: Mutex<Vec<Connection>>,
}

/// The right to use one connection of a pool.
pub(super) type Permit<'a> = SemaphorePermit<'a>;

impl Pool {
    /// Returns an empty pool.
    pub(super) fn new(limit: usize) -> Pool {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Pool { limit, places: Semaphore::new(limit), idle: Mutex::default() }
    }

    /// Waits until a connection may be used. It must be kept or closed before the permit is given back.
    pub(super) async fn permit(&self) -> Permit<'_> {
        self.places.acquire().await.expect("invariant: the pool never closes its places")
    }

    /// Takes the connection to this address that was used last; those that the server closed meanwhile are dropped.
    pub(super) fn take(&self, address: IpAddr, _permit: &Permit<'_>) -> Option<Connection> {
        loop {
            let mut idle = self.lock();
            let newest = idle.iter().rposition(|connection| connection.peer == address)?;
            let mut connection = idle.remove(newest);
            drop(idle);
            if connection.is_usable() {
                return Some(connection);
            }
        }
    }

    /// Makes room for a connection that is about to be opened: the idle ones that were not used for longest are closed.
    pub(super) fn make_room(&self, _permit: &Permit<'_>) {
        let mut idle = self.lock();
        // Those that are being given back count twice for a moment, which only closes one too many.
        let used = self.limit - self.places.available_permits();
        let too_many = (idle.len() + used).saturating_sub(self.limit).min(idle.len());
        let closing: Vec<_> = idle.drain(..too_many).collect();
        drop(idle);
        drop(closing);
    }

    /// Keeps a connection, unless it cannot be used again.
    pub(super) fn keep(&self, mut connection: Connection, _permit: &Permit<'_>) {
        if connection.is_usable() {
            self.lock().push(connection);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
