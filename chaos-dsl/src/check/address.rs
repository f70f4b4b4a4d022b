//! Addresses that probes ask: hosts, ports and URLs.

use std::net::IpAddr;

use chaos_core::span::{Span, Spanned};

use super::{Checker, Names};
use crate::{
    codes::Code,
    suggest::{self, Advice},
};

impl Checker {
    /// Reports an address in a lab whose host the lab does not have: such a probe could only fail.
    pub(super) fn in_lab(&mut self, address: &Spanned<String>, host: &str, names: &Names) {
        let plain = host.strip_suffix(".lab").unwrap_or(host);
        if !names.scope.has_lab()
            || names.lab_in_doubt
            || host.parse::<IpAddr>().is_ok()
            || host.starts_with('[')
        {
            return;
        }
        let known = names.hosts();
        if plain != "localhost" && !known.iter().any(|k| k == plain) {
            let message = format!("the lab has no host `{host}`");
            let near = suggest::nearest(plain, known.iter().map(String::as_str));
            let at = part_of(address, plain);
            let advice = near.map_or_else(|| format!("there is {}", known.join(", ")).into(), Advice::meant);
            self.error(Code::UnknownName, address.span, message).advise_on(at.unwrap_or(Span::NONE), advice);
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

/// Returns where a part of a string stands in the file; nothing where the string is not written as it reads.
fn part_of(text: &Spanned<String>, part: &str) -> Option<Span> {
    const QUOTE: u32 = 1;
    let plain = text.span.end - text.span.start == text.value.len() as u32 + 2 * QUOTE;
    let start = text.span.start + QUOTE + text.value.find(part).filter(|_| plain)? as u32;
    Some(Span::new(text.span.file, start, start + part.len() as u32))
}
