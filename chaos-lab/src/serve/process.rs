//! A process that is one of the built-in servers, and the sockets it listens on.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::de::DeserializeOwned;
use socket2::{Domain, Protocol, Socket, Type};

use super::{dns, gateway, http};

/// Why a built-in server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The words on the command line.
    #[error(
        "expected `http`, `gateway` or `dns` and its configuration as JSON or the path of a file with it"
    )]
    Arguments,
    /// The configuration.
    #[error("cannot read the configuration `{given}`: {reason}")]
    Configuration {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The port.
    #[error("cannot listen on port {port}: {source}{}", taken(.source))]
    Listen {
        /// The port.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// The runtime or a connection to the outside of the process.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn taken(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => "; another program of this host has it, give one of them another port",
        io::ErrorKind::PermissionDenied => "; ports below 1024 take root or `CAP_NET_BIND_SERVICE`",
        _ => "",
    }
}

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

/// Opens a socket for both address families on `port`, or for IPv4 alone where the kernel has no IPv6.
pub(super) fn bound(port: u16, kind: Type) -> Result<Socket, ServeError> {
    let fail = |source| ServeError::Listen { port, source };
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let (socket, address) = match Socket::new(Domain::IPV6, kind, Some(protocol)) {
        Ok(socket) => {
            socket.set_only_v6(false).map_err(fail)?;
            (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        }
        Err(_) => {
            let socket = Socket::new(Domain::IPV4, kind, Some(protocol)).map_err(fail)?;
            (socket, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
    };
    if kind == Type::STREAM {
        // A restart may not wait for old connections to be forgotten.
        socket.set_reuse_address(true).map_err(fail)?;
    }
    socket.set_nonblocking(true).map_err(fail)?;
    socket.bind(&address.into()).map_err(fail)?;
    Ok(socket)
}

/// Opens a listener for TCP connections.
pub(super) fn listener(port: u16) -> Result<tokio::net::TcpListener, ServeError> {
    let socket = bound(port, Type::STREAM)?;
    socket.listen(4096).map_err(|source| ServeError::Listen { port, source })?;
    Ok(tokio::net::TcpListener::from_std(socket.into())?)
}

/// Accepts connections for ever and hands each to `handle`.
pub(super) async fn accept(listener: tokio::net::TcpListener, handle: impl Fn(tokio::net::TcpStream)) -> ! {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers must not wait for the peer's acknowledgement.
                let _ = stream.set_nodelay(true);
                handle(stream);
            }
            // Out of descriptors, mostly: what is open must close first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_named() {
        let run = |words: &[&str]| main(words.iter().map(OsString::from)).unwrap_err().to_string();
        assert!(run(&[]).contains("expected `http`"));
        assert!(run(&["ftp", "{}"]).contains("expected `http`"));
        assert!(run(&["http", "{}"]).contains("missing field"), "{}", run(&["http", "{}"]));
        assert!(run(&["http", "/no/such/file"]).contains("/no/such/file"));
    }

    #[test]
    fn a_taken_port_is_named() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let first = listener(0).unwrap();
        let port = first.local_addr().unwrap().port();
        let error = listener(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}")) && error.contains("another program"), "{error}");
    }
}
