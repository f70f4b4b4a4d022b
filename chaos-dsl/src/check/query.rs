//! `fault NAME = dns … of "GLOB" on TARGET`: what is done to queries for names.

use std::{net::IpAddr, time::Duration};

use chaos_core::{
    model::{
        Action, NameEffect, NameFailure, NameFault,
        names::{MOST_ADDRESSES, Per},
    },
    non_empty::NonEmpty,
    span::{Span, Spanned},
};

use super::{Checker, Names, fault::Acting};
use crate::{
    codes::Code,
    suggest,
    syntax::{Cursor, Item, ItemKind, Statement, Symbol},
};

/// The words that may follow `dns`.
const EFFECTS: [&str; 7] = ["delay", "nxdomain", "servfail", "refused", "timeout", "truncate", "answer"];

/// The words that may follow what is done, and to which names.
const CLAUSES: &[&str] = &["on"];

/// The longest name that DNS has, in characters.
const LONGEST: usize = 253;

impl Checker {
    /// Checks what stands behind `=` where it begins with `dns`.
    pub(super) fn queries(&mut self, statement: &Statement<'_>, names: &Names) -> Option<Acting> {
        let mut cursor = Cursor::new(statement.definition(), statement.span);
        let start = cursor.span();
        cursor.take();
        let fault = self.name_fault(&mut cursor, start);
        // What it is on is wrong or right whatever it does.
        let Some(fault) = fault else {
            self.rest_of_fault(cursor, names);
            return None;
        };
        let mut on = None;
        if cursor.take_word("on").is_some() {
            on = Some(self.selector(&mut cursor, names)?);
        }
        if let Some(clause) = cursor.peek().and_then(Item::as_word)
            && matches!(
                clause.text,
                "to" | "from" | "port" | "protocol" | "egress" | "ingress" | "both" | "and"
            )
        {
            let message =
                format!("`{}` does not go with `dns`, which is about what the target asks", clause.text);
            self.error(Code::Misplaced, clause.span, message).help = Some(
                "remove it: queries to every server are meant, over UDP and TCP; for two effects write two faults".into(),
            );
            return None;
        }
        let proven_by = self.proven_by(&mut cursor, names);
        let before = self.out.len();
        self.end(&cursor, CLAUSES);
        let Some(on) = on else {
            if self.out.len() == before {
                self.without_target(statement);
            }
            return None;
        };
        Some(Acting { action: Action::Names(fault), on, proven_by })
    }

    /// Reads what is done, and to which names.
    fn name_fault(&mut self, cursor: &mut Cursor<'_, '_>, start: Span) -> Option<NameFault> {
        let Some(word) = cursor.take_any_word() else {
            self.expected(cursor, "what happens to queries").help = Some(effects());
            return None;
        };
        let failure = NameFailure::ALL.into_iter().find(|failure| failure.word() == word.text);
        let effect = match (word.text, failure) {
            ("answer", _) => return self.answer(cursor, start),
            ("delay", _) => self.query_delay(cursor)?,
            (_, Some(failure)) => {
                let mut ratio = 1.0;
                if cursor.take_word("to").is_some() {
                    ratio = self.take_share(cursor, "the share of queries", false)?;
                    if cursor.take_words(&["of", "queries"]).is_none() {
                        self.expected(cursor, "`of queries`").help =
                            Some(format!("write `dns {} to 30% of queries of \"NAME\"`", word.text));
                        return None;
                    }
                }
                NameEffect::Fail { failure, ratio }
            }
            (other, None) => {
                let near = suggest::did_you_mean(other, EFFECTS);
                self.error(Code::UnknownKind, word.span, format!("`dns` has no effect `{other}`"))
                    .advise(near.unwrap_or_else(|| effects().into()));
                return None;
            }
        };
        let effect = Spanned::new(effect, start.to(cursor.previous()));
        if cursor.take_word("of").is_none() {
            self.expected(cursor, "`of` and the names that are meant").help =
                Some("write `of \"pay.example\"`, `of \"*.example\"`, or `of \"*\"` for all names".into());
            return None;
        }
        let of = self.take_string(cursor, "the names that are meant, in quotes")?;
        self.asked_for(&of)?;
        Some(NameFault { effect, of })
    }

    /// Reads `500ms jitter 50ms per lookup`.
    fn query_delay(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<NameEffect> {
        let delay = self.take_duration(cursor, "the delay", false)?;
        let mut jitter = Duration::ZERO;
        if cursor.take_word("jitter").is_some() {
            jitter = self.take_duration(cursor, "the jitter", true)?;
            if jitter > delay {
                let message = "the jitter is larger than the delay, and nothing arrives before it was sent";
                self.error(Code::OutOfRange, cursor.previous(), message).help =
                    Some("make the jitter at most the delay".into());
                return None;
            }
        }
        let help = "write `per query` to delay each, or `per lookup` to delay A, AAAA and the search list once together";
        if cursor.take_word("per").is_none() {
            self.expected(cursor, "`per query` or `per lookup`").help = Some(help.into());
            return None;
        }
        let per = match cursor.take_any_word().map(|word| word.text) {
            Some("query") => Per::Query,
            Some("lookup") => Per::Lookup,
            _ => {
                let span = cursor.previous();
                self.error(Code::Misplaced, span, "a delay is `per query` or `per lookup`").help =
                    Some(help.into());
                return None;
            }
        };
        Some(NameEffect::Delay { delay, jitter, per })
    }

    /// Reads `"NAME" with ADDRESS, ADDRESS`.
    fn answer(&mut self, cursor: &mut Cursor<'_, '_>, start: Span) -> Option<NameFault> {
        let of = self.take_string(cursor, "the name to answer, in quotes")?;
        self.asked_for(&of)?;
        const HELP: &str = "write `with 10.0.0.1`, or several: `with 10.0.0.1, fd71::2`";
        if cursor.take_word("with").is_none() {
            self.expected(cursor, "`with` and an address").help = Some(HELP.into());
            return None;
        }
        let mut with: Vec<IpAddr> = Vec::new();
        loop {
            let span = cursor.span();
            match cursor.peek().map(|item| &item.kind) {
                Some(ItemKind::Address(address, None)) => {
                    cursor.take();
                    if with.contains(address) {
                        let message = format!("the address {address} stands twice in one answer");
                        self.error(Code::DuplicateLine, span, message).help = Some("write it once".into());
                        return None;
                    }
                    with.push(*address);
                }
                Some(ItemKind::Address(address, Some(prefix))) => {
                    let message = format!("{address}/{prefix} is a network, and an answer has addresses");
                    self.error(Code::BadAddress, span, message).help = Some(HELP.into());
                    return None;
                }
                _ => {
                    self.expected(cursor, "an address").help = Some(HELP.into());
                    return None;
                }
            }
            if cursor.take_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        if with.len() > MOST_ADDRESSES {
            let message = format!("an answer of {} addresses does not fit into a datagram", with.len());
            self.error(Code::OutOfRange, start.to(cursor.previous()), message).help =
                Some(format!("write {MOST_ADDRESSES} or fewer"));
            return None;
        }
        let with = NonEmpty::try_from(with).ok()?;
        let effect = Spanned::new(NameEffect::Answer { with }, start.to(cursor.previous()));
        Some(NameFault { effect, of })
    }

    /// Refuses a pattern that no name can match.
    fn asked_for(&mut self, of: &Spanned<String>) -> Option<()> {
        let name = of.value.trim_end_matches('.');
        let wrong = if name.is_empty() {
            Some("the name is empty, and nothing asks for that".to_owned())
        } else if name.len() > LONGEST {
            Some(format!("the name is longer than {LONGEST} characters, and DNS has none such"))
        } else if let Some(other) = name.chars().find(|c| !c.is_ascii_graphic()) {
            Some(format!("`{}` is in no name that is asked for", other.escape_default()))
        } else if name.starts_with('.') || name.contains("..") {
            Some("the name has an empty part between its dots".to_owned())
        } else if name.split('.').any(|label| label.len() > 63) {
            Some("a part of the name is longer than 63 characters, and DNS has none such".to_owned())
        } else {
            None
        };
        let Some(wrong) = wrong else { return Some(()) };
        self.error(Code::Misplaced, of.span, wrong).help = Some(
            "write the name as a program asks for it, `*` standing for any characters: `\"*.example\"`"
                .into(),
        );
        None
    }
}

fn effects() -> String {
    format!("there is {}", super::join_words(&EFFECTS))
}
