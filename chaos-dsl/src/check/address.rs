//! Addresses that probes ask: hosts, ports and URLs.

use std::net::IpAddr;

use chaos_core::span::Spanned;

use super::{Checker, Names};
use crate::{codes::Code, suggest};

impl Checker {
    /// Reports an address in a lab whose host the lab does not have: such a probe could only fail.
    pub(super) fn in_lab(&mut self, address: &Spanned<String>, host: &str, names: &Names) {
        let plain = host.strip_suffix(".lab").unwrap_or(host);
        if names.lab.is_none()
            || names.lab_in_doubt
            || host.parse::<IpAddr>().is_ok()
            || host.starts_with('[')
        {
            return;
        }
        let known = names.hosts();
        if plain != "localhost" && !known.iter().any(|k| k == plain) {
            let message = format!("the lab has no host `{host}`");
            let help = suggest::nearest(plain, known.iter().map(String::as_str))
                .map_or_else(|| format!("there is {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
            self.error(Code::UnknownName, address.span, message).help = Some(help);
        }
    }

    /// Checks a URL that is to be asked.
    pub(super) fn web_address(&mut self, url: &Spanned<String>, names: &Names) -> Option<()> {
        let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
            self.error(Code::BadAddress, url.span, format!("`{url}` is not a URL")).help =
                Some("write the whole URL: `\"http://api:8080/path\"`".into());
            return None;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
        let port_is_bad = port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0));
        if host.is_empty() || port_is_bad || rest.contains(char::is_whitespace) || authority.contains('@') {
            self.error(Code::BadAddress, url.span, format!("`{url}` is not a URL that can be asked")).help =
                Some("write it as `\"http://host:port/path\"`".into());
            return None;
        }
        self.in_lab(url, host, names);
        Some(())
    }

    pub(super) fn host_and_port(&mut self, address: &Spanned<String>, names: &Names) -> bool {
        let good = address
            .rsplit_once(':')
            .is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok_and(|p| p > 0));
        if !good {
            self.error(Code::BadAddress, address.span, format!("`{address}` is not a host and port")).help =
                Some("write `\"db:6379\"`".into());
        } else if let Some((host, _)) = address.rsplit_once(':') {
            self.in_lab(address, host, names);
        }
        good
    }
}
