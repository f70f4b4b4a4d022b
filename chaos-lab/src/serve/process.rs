//! A process that is one of the built-in servers.

use std::ffi::OsString;

use serde::de::DeserializeOwned;

use super::{dns, gateway, http, socket::ServeError};

/// Runs the server that the arguments name, until it is killed.
///
/// # Errors
///
/// Fails when the arguments or the configuration are wrong, or the port is taken.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<(), ServeError> {
    let arguments: Option<Vec<String>> = arguments.into_iter().map(|a| a.into_string().ok()).collect();
    let arguments = arguments.ok_or(ServeError::Arguments)?;
    let [kind, configuration] = arguments.as_slice() else { return Err(ServeError::Arguments) };
    // One thread each: a lab has many servers on few cores, and a thread less is memory saved.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match kind.as_str() {
        "http" => runtime.block_on(http::serve(read(configuration)?)),
        "gateway" => runtime.block_on(gateway::serve(read(configuration)?)),
        "dns" => runtime.block_on(dns::serve(read(configuration)?)),
        _ => Err(ServeError::Arguments),
    }
}

fn read<T: DeserializeOwned>(given: &str) -> Result<T, ServeError> {
    let fail = |reason: String| ServeError::Configuration { given: given.to_owned(), reason };
    let text = if given.starts_with('{') {
        given.to_owned()
    } else {
        std::fs::read_to_string(given).map_err(|e| fail(e.to_string()))?
    };
    serde_json::from_str(&text).map_err(|e| fail(e.to_string()))
}
