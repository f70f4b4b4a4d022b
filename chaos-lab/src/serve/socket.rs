//! The sockets that a built-in server listens on, and why one does not run.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

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
    use std::ffi::OsString;

    use super::super::main;
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
