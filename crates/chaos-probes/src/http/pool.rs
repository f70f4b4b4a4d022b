//! Connections that wait to be used again.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use super::connection::Connection;

/// Idle connections, at most so many per address.
pub(super) struct Pool {
    limit: usize,
    idle: Mutex<HashMap<IpAddr, Vec<Connection>>>,
}

impl Pool {
    /// Returns an empty pool.
    pub(super) fn new(limit: usize) -> Pool {
        Pool { limit, idle: Mutex::default() }
    }

    /// Takes the connection used last; those that the server closed meanwhile are dropped.
    pub(super) fn take(&self, address: IpAddr) -> Option<Connection> {
        if self.limit == 0 {
            return None;
        }
        loop {
            let mut connection = self.lock().get_mut(&address)?.pop()?;
            if connection.is_usable() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, unless it cannot be used again or there are enough.
    pub(super) fn keep(&self, mut connection: Connection) {
        if self.limit == 0 || !connection.is_usable() {
            return;
        }
        let mut idle = self.lock();
        let of_address = idle.entry(connection.peer).or_default();
        if of_address.len() < self.limit {
            of_address.push(connection);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
