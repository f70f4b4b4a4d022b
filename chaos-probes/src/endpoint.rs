//! Hosts and ports as they are written.

use std::net::IpAddr;

use chaos_core::trouble::Trouble;

use crate::failure::cannot;

/// A host as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, in lower case.
    Name(String),
    /// A name that a final dot ends, in lower case and without the dot: no domain is put behind it.
    Absolute(String),
}

impl Host {
    /// Reads a host; an IPv6 address may stand in brackets.
    pub(crate) fn parse(text: &str) -> Result<Host, Trouble> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Host::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let fits = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(fits) {
            return Err(cannot(
                format!("`{text}` is neither an address nor a host name"),
                "a host name has letters, digits, `-` and `.` only",
            ));
        }
        let absolute = name.len() < text.len();
        let name = name.to_ascii_lowercase();
        Ok(if absolute { Host::Absolute(name) } else { Host::Name(name) })
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host.
    pub(crate) host: Host,
    /// The port.
    pub(crate) port: u16,
}

impl Endpoint {
    /// Reads `host:port`, `address:port` or `[address]:port`; without a port the default counts, if there is one.
    pub(crate) fn parse(text: &str, default: Option<u16>) -> Result<Endpoint, Trouble> {
        let colon = match text.rfind(':') {
            // The colons of a bare IPv6 address are its own.
            Some(at) if text[..at].contains(':') && !text[..at].ends_with(']') => None,
            // Those inside brackets too.
            Some(_) if text.ends_with(']') => None,
            other => other,
        };
        let (host, port) = match (colon, default) {
            (Some(at), _) => (
                &text[..at],
                text[at + 1..].parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                    cannot(
                        format!("`{}` is not a port", &text[at + 1..]),
                        "a port is a number from 1 to 65535",
                    )
                })?,
            ),
            (None, Some(default)) => (text, default),
            (None, None) => return Err(cannot(format!("`{text}` has no port"), "write it as `host:port`")),
        };
        Ok(Endpoint { host: Host::parse(host)?, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        let name = |n: &str, port| Endpoint { host: Host::Name(n.into()), port };
        let address = |a: &str, port| Endpoint { host: Host::Address(a.parse().unwrap()), port };
        assert_eq!(Endpoint::parse("API.lab:80", None).unwrap(), name("api.lab", 80));
        let absolute = Endpoint { host: Host::Absolute("api.lab".into()), port: 80 };
        assert_eq!(Endpoint::parse("API.lab.:80", None).unwrap(), absolute);
        assert_eq!(Endpoint::parse("api", Some(53)).unwrap(), name("api", 53));
        assert_eq!(Endpoint::parse("10.0.0.1:80", None).unwrap(), address("10.0.0.1", 80));
        assert_eq!(Endpoint::parse("[::1]:80", None).unwrap(), address("::1", 80));
        assert_eq!(Endpoint::parse("[::1]", Some(53)).unwrap(), address("::1", 53));
        assert_eq!(Endpoint::parse("fd00::1", Some(53)).unwrap(), address("fd00::1", 53));
    }

    #[test]
    fn what_is_no_endpoint_is_named() {
        let message = |text| Endpoint::parse(text, None).unwrap_err().message;
        assert_eq!(message("api"), "`api` has no port");
        assert_eq!(message("api:http"), "`http` is not a port");
        assert_eq!(message("api:0"), "`0` is not a port");
        assert_eq!(message("a b:80"), "`a b` is neither an address nor a host name");
        assert_eq!(message(":80"), "`` is neither an address nor a host name");
        assert_eq!(message("::1"), "`::1` has no port");
    }
}
