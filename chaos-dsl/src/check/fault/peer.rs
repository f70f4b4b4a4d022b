//! The other end of the packets: addresses, networks and objects, with their ports.

#![warn(clippy::wildcard_enum_match_arm)]

use std::net::IpAddr;

use chaos_core::{
    model::{
        Selector,
        packets::{Destination, Who},
    },
    span::Spanned,
};

use crate::{
    check::{Checker, Names, target::CLUSTER_SELECTORS},
    codes::Code,
    syntax::{Cursor, ItemKind, Symbol},
};

impl Checker {
    /// Reads who the other end is: one, or several in a list, with their ports.
    pub(super) fn destinations(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        names: &Names,
    ) -> Option<Vec<Destination>> {
        let start = cursor.span();
        let all = match cursor.peek().map(|item| &item.kind) {
            Some(ItemKind::List(list)) => {
                cursor.take();
                let mut all = Vec::new();
                for item in list {
                    let mut one = Cursor::new(std::slice::from_ref(item), item.span);
                    all.push(self.who(&mut one, names)?);
                }
                if all.is_empty() {
                    self.error(Code::BadAddress, start, "a list of destinations without any").help =
                        Some("write `to [10.0.0.1, fd71::2]`, or leave out `to` for all".into());
                    return None;
                }
                all
            }
            _ => vec![self.who(cursor, names)?],
        };
        let ports = match cursor.take_symbol(Symbol::Colon) {
            Some(_) => self.take_ports(cursor)?.into_iter().map(Some).collect(),
            None => vec![None],
        };
        let span = start.to(cursor.previous());
        let of_one = |who: &Who| -> Vec<Destination> {
            ports.iter().map(|port| Destination { who: who.clone(), port: *port, span }).collect()
        };
        Some(all.iter().flat_map(of_one).collect())
    }

    /// Reads who the other end is.
    fn who(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<Who> {
        let start = cursor.span();
        Some(match cursor.peek().map(|i| &i.kind) {
            Some(ItemKind::Address(address, prefix)) => {
                let whole = if address.is_ipv4() { 32 } else { 128 };
                let (address, prefix) = (*address, prefix.unwrap_or(whole));
                cursor.take();
                Who::Network { address, prefix }
            }
            Some(ItemKind::Text(_)) => {
                let text = self.take_string(cursor, "a name in quotes")?;
                return self.named(&text, names);
            }
            Some(ItemKind::Word(word))
                if CLUSTER_SELECTORS.contains(word)
                    && !self.in_cluster
                    && !names.hosts().iter().any(|h| h == word) =>
            {
                self.needs_cluster(start, &format!("`{word}`"));
                return None;
            }
            _ => match self.selector(cursor, names)? {
                Selector::Here(_) | Selector::Netns(_) | Selector::Process(_) | Selector::Object(_) => {
                    self.error(Code::Misplaced, start, "the other end is an address here").help =
                        Some("write `to 10.0.0.0/8`, or `to 192.0.2.1:443`".into());
                    return None;
                }
                selector @ (Selector::Hosts(_)
                | Selector::Pods(_)
                | Selector::Service(_)
                | Selector::Named(_)) => Who::Objects(selector),
            },
        })
    }

    /// Reads the other end in quotes: an address, a host of the lab, or else a name that the target's place resolves.
    fn named(&mut self, text: &Spanned<String>, names: &Names) -> Option<Who> {
        if let Ok(address) = text.value.parse::<IpAddr>() {
            return Some(Who::Network { address, prefix: if address.is_ipv4() { 32 } else { 128 } });
        }
        if names.hosts().contains(&text.value) {
            return Some(Who::Objects(Selector::Hosts(text.clone())));
        }
        if is_host_name(&text.value) {
            return Some(Who::Name(text.value.clone()));
        }
        let help = match text.value.rsplit_once(':') {
            Some((name, port)) if is_host_name(name) && port.parse::<u16>().is_ok() => {
                format!("write the port behind the quotes: `\"{name}\":{port}`")
            }
            _ => "write an address, or a name such as `\"db.example.com\"`; hosts and targets of the file go without quotes".into(),
        };
        self.error(Code::BadAddress, text.span, format!("`{text}` is neither an address nor a host name"))
            .help = Some(help);
        None
    }
}

/// Returns whether this can be the name of a host; a dot at its end makes it a name in full.
fn is_host_name(text: &str) -> bool {
    const LONGEST: usize = 253;
    const LONGEST_LABEL: usize = 63;
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // What is all numbers looks like an address, and would be taken for one elsewhere.
    let numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    name.len() <= LONGEST && name.split('.').all(fits) && !numeric
}
