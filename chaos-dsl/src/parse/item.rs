//! Items of statements, and single values.

use chaos_core::model::packets::Ports;
use chaos_core::span::Span;

use super::quantity::{self, unit_word};
use super::token::{Kind, Token};
use super::{Cursor, Failed, MAX_ITEMS};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Fix, Remark};
use crate::suggest::Advice;
use crate::syntax::{Item, ItemKind, Quote, Symbol, Unit};
use crate::words;

impl<'a> Cursor<'a> {
    /// Reads the rest of a statement behind its first items.
    pub(super) fn items(&mut self, mut items: Vec<Item<'a>>) -> Result<Vec<Item<'a>>, Failed> {
        loop {
            if items.len() > MAX_ITEMS {
                let token = self.token();
                return Err(self.too_much(
                    token.start,
                    token.end,
                    &format!("more than {MAX_ITEMS} items in one statement"),
                ));
            }
            let token = self.token();
            match token.kind {
                Kind::Newline | Kind::CloseBrace | Kind::Comment | Kind::End => break,
                Kind::Comma => {
                    if !self.comma_goes_on(&items) {
                        break;
                    }
                    self.advance();
                    items.push(Item::new(ItemKind::Symbol(Symbol::Comma), self.span_of(token)));
                }
                Kind::OpenBrace => {
                    let keyword = items.first().and_then(Item::as_word).map_or("", |w| w.text);
                    let block = self.block(Self::mode(&items), keyword)?;
                    let span = block.span;
                    items.push(Item::new(ItemKind::Block(Box::new(block)), span));
                }
                Kind::Equals | Kind::Colon | Kind::Arrow | Kind::Link => {
                    self.advance();
                    let symbol = match token.kind {
                        Kind::Equals => Symbol::Equals,
                        Kind::Colon => Symbol::Colon,
                        Kind::Arrow => Symbol::Arrow,
                        _ => Symbol::Link,
                    };
                    self.operand_follows(token)?;
                    items.push(Item::new(ItemKind::Symbol(symbol), self.span_of(token)));
                }
                Kind::Word if self.begins_formula(&items) => {
                    let word = self.advance();
                    items.push(Item::new(ItemKind::Word(self.token_text(word)), self.span_of(word)));
                    items.push(self.formula_item()?);
                    break;
                }
                Kind::Word if self.word() == Some("where") || self.begins_condition(&items) => {
                    let word = self.advance();
                    items.push(Item::new(ItemKind::Word(self.token_text(word)), self.span_of(word)));
                    items.push(self.condition_item()?);
                }
                Kind::Word
                | Kind::Number
                | Kind::Clock
                | Kind::Address
                | Kind::Text
                | Kind::BlockText
                | Kind::OpenList => {
                    items.push(self.value("a value")?);
                }
                Kind::CloseParen | Kind::CloseList => break,
                _ => return Err(self.no_item(token, &items)),
            }
        }
        Ok(items)
    }

    /// Reads a single value: a word, string, number, list, or a range of two of them.
    pub(super) fn value(&mut self, what: &str) -> Result<Item<'a>, Failed> {
        let low = self.single(what)?;
        if self.kind() != Kind::DotDot {
            return Ok(low);
        }
        if low.as_word().is_some_and(|word| words::is_reserved(word.text)) {
            return Err(self.expected("a value before `..`", Some("a range is written `0ms .. 1s`")));
        }
        let dots = self.advance();
        self.operand_follows(dots)?;
        let high = self.single("the upper end of the range")?;
        let span = low.span.to(high.span);
        Ok(Item::new(ItemKind::Range(Box::new((low, high))), span))
    }

    fn single(&mut self, what: &str) -> Result<Item<'a>, Failed> {
        let token = self.token();
        let kind = match token.kind {
            Kind::Word => ItemKind::Word(self.token_text(token)),
            Kind::Number if self.ports_follow() => return self.ports(),
            Kind::Number => return self.number(),
            Kind::Address => match quantity::ipv6(self.token_text(token)) {
                Ok(kind) => kind,
                Err(wrong) => return Err(self.wrong_number(token, *wrong)),
            },
            Kind::Clock => match quantity::clock(self.token_text(token)) {
                Ok(kind) => kind,
                Err(wrong) => return Err(self.wrong_number(token, *wrong)),
            },
            Kind::Text => ItemKind::Text(self.text(token.start, token.end, Quote::Line)?),
            Kind::BlockText => ItemKind::Text(self.text(token.start, token.end, Quote::Block)?),
            Kind::OpenList => return self.deeper(Self::list),
            Kind::Minus => return Err(self.negative()),
            _ => return Err(self.expected(what, None)),
        };
        self.advance();
        Ok(Item::new(kind, self.span_of(token)))
    }

    /// Returns whether a range of ports comes: `8000-8100`, without spaces.
    fn ports_follow(&self) -> bool {
        let [first, dash, last] = [0, 1, 2].map(|n| self.nth(n));
        (dash.kind, last.kind) == (Kind::Minus, Kind::Number)
            && first.end == dash.start
            && dash.end == last.start
    }

    fn ports(&mut self) -> Result<Item<'a>, Failed> {
        let [first, _, last] = [(); 3].map(|()| self.advance());
        let span = self.span(first.start, last.end);
        let port = |token: Token| self.token_text(token).parse::<u16>().ok().filter(|port| *port > 0);
        let ports = port(first).zip(port(last)).and_then(|(first, last)| Ports::between(first, last));
        let Some(ports) = ports else {
            let message =
                format!("`{}-{}` is not a range of ports", self.token_text(first), self.token_text(last));
            self.report(
                Diagnostic::new(Code::BadAddress, message)
                    .at(span, "from a port to a higher one, both from 1 to 65535")
                    .help("write `8000-8100`"),
            );
            return Err(Failed);
        };
        Ok(Item::new(ItemKind::Ports(ports), span))
    }

    /// Reads a number; a unit that stands apart from it is reported and read as if it did not.
    pub(super) fn number(&mut self) -> Result<Item<'a>, Failed> {
        let token = self.advance();
        let kind = match quantity::number(self.token_text(token)) {
            Ok(kind) => kind,
            Err(wrong) => return Err(self.wrong_number(token, *wrong)),
        };
        if let ItemKind::Quantity(quantity) = &kind
            && quantity.unit == Unit::Count
        {
            let next = self.token();
            let unit = match next.kind {
                Kind::Percent => Some("%".to_owned()),
                Kind::Slash if self.nth_word(1).is_some() => self.nth_word(1).map(|per| format!("/{per}")),
                Kind::Word if self.nth(1).kind != Kind::OpenParen => {
                    let unit = unit_word(self.token_text(next)).map(str::to_owned);
                    // `1 Mbit/s`: the bandwidth is per second already.
                    let second = matches!(self.nth_word(2), Some("s" | "sec" | "second"));
                    if unit.as_ref().is_some_and(|unit| unit.ends_with("bit"))
                        && self.nth(1).kind == Kind::Slash
                        && second
                    {
                        self.advance();
                        self.advance();
                    }
                    unit
                }
                _ => None,
            };
            if let Some(unit) = unit {
                self.advance();
                if next.kind == Kind::Slash {
                    self.advance();
                }
                self.report(
                    Diagnostic::new(Code::SpacedUnit, "a number and its unit are one word")
                        .at(self.span_from(token.start), "a space between them")
                        .help(Advice::write(format!("{}{unit}", quantity.text))),
                );
            }
        }
        Ok(Item::new(kind, self.span_of(token)))
    }

    /// Reports what is wrong with a number, which counts from the start of its token.
    fn wrong_number(&mut self, token: Token, wrong: Diagnostic) -> Failed {
        let here = |span: Span| self.span(token.start + span.start, token.start + span.end);
        let fix = wrong.fix.as_ref().map(|fix| Fix { span: here(fix.span), text: fix.text.clone() });
        let remark = Remark { span: here(wrong.span), fix, ..wrong.remark };
        self.report(Diagnostic { remark, ..wrong });
        Failed
    }

    pub(super) fn negative(&mut self) -> Failed {
        let token = self.token();
        if self.nth(1).kind != Kind::Number {
            return self.expected("a value", None);
        }
        let span = self.span(token.start, self.nth(1).end);
        self.report(
            Diagnostic::new(Code::NegativeQuantity, "a quantity is never negative")
                .at(span, "below zero")
                .help("write it without the `-`; less than the baseline is `baseline - 5ms`"),
        );
        Failed
    }

    fn list(&mut self) -> Result<Item<'a>, Failed> {
        let open = self.advance();
        let mut items = Vec::new();
        loop {
            self.continue_line();
            if self.eat(Kind::CloseList).is_some() {
                break;
            }
            if matches!(self.kind(), Kind::End | Kind::OpenBrace | Kind::CloseBrace) {
                return Err(self.unclosed(open, "]"));
            }
            if items.len() >= MAX_ITEMS {
                let token = self.token();
                return Err(self.too_much(
                    token.start,
                    token.end,
                    &format!("more than {MAX_ITEMS} items in one list"),
                ));
            }
            items.push(self.value("an item of the list")?);
            let line_ends = self.kind() == Kind::Newline;
            self.continue_line();
            if self.eat(Kind::Comma).is_none() && self.kind() != Kind::CloseList {
                return Err(match self.kind() {
                    _ if line_ends => self.unclosed(open, "]"),
                    Kind::End | Kind::OpenBrace | Kind::CloseBrace => self.unclosed(open, "]"),
                    _ => self.expected("`,` or `]`", Some("items of a list are separated by commas")),
                });
            }
        }
        Ok(Item::new(ItemKind::List(items), self.span_from(open.start)))
    }

    /// Moves over line ends behind an operator and makes sure that something follows it.
    pub(super) fn operand_follows(&mut self, operator: Token) -> Result<(), Failed> {
        self.continue_line();
        if !matches!(self.kind(), Kind::Comma | Kind::CloseBrace | Kind::End) {
            return Ok(());
        }
        let sign = self.token_text(operator);
        self.report(
            Diagnostic::new(Code::MissingBody, format!("nothing follows `{sign}`"))
                .at(self.span_of(operator), "expected a value behind it")
                .help(format!("write what belongs behind `{sign}`, or remove it")),
        );
        Err(Failed)
    }

    /// Returns whether a comma stands within its statement: in `tags a, b` and `hold until x done, at most 10m`.
    fn comma_goes_on(&self, items: &[Item<'a>]) -> bool {
        let Some(first) = items.first() else { return false };
        let value = matches!(self.nth(1).kind, Kind::Word | Kind::Text);
        // `port 80, 443` and `to api:80, 443`.
        let is_port = |item: &Item<'_>| match item.kind {
            ItemKind::Ports(_) => true,
            ItemKind::Quantity(quantity) => quantity.unit == Unit::Count,
            _ => false,
        };
        if self.nth(1).kind == Kind::Number && items.last().is_some_and(is_port) {
            let before = items.iter().rev().find(|item| !is_port(item) && !item.is_symbol(Symbol::Comma));
            return before.is_some_and(|item| item.is_symbol(Symbol::Colon) || item.is_word("port"))
                && first.is_word("fault");
        }
        // `with 10.0.0.1, fd71::2`.
        let is_address = |item: &Item<'_>| matches!(item.kind, ItemKind::Address(..));
        if matches!(self.nth(1).kind, Kind::Number | Kind::Address) && items.last().is_some_and(is_address) {
            let before = items.iter().rev().find(|item| !is_address(item) && !item.is_symbol(Symbol::Comma));
            return before.is_some_and(|item| item.is_word("with"));
        }
        (first.is_word("tags") && value) || (first.is_word("hold") && self.nth_word(1) == Some("at"))
    }

    fn begins_formula(&self, items: &[Item<'a>]) -> bool {
        self.behind(items, words::FORMULA_AFTER)
    }

    fn begins_condition(&self, items: &[Item<'a>]) -> bool {
        self.behind(items, words::CONDITION_AFTER)
    }

    fn behind(&self, items: &[Item<'a>], pairs: &[(&str, &str)]) -> bool {
        let (Some(last), Some(word)) = (items.last(), self.word()) else { return false };
        pairs.iter().any(|(first, second)| *second == word && last.is_word(first))
    }

    fn no_item(&mut self, token: Token, items: &[Item<'a>]) -> Failed {
        match token.kind {
            Kind::Minus => self.negative(),
            Kind::EqualEqual => {
                self.report(
                    Diagnostic::new(Code::WrongEquals, "`==` compares, and there is nothing to compare here")
                        .at(self.span_of(token), "expected `=`")
                        .help("write `=`"),
                );
                Failed
            }
            Kind::OpenParen => {
                let call = items.last().and_then(Item::as_word).map_or("name", |w| w.text);
                self.expected("a value", Some(&format!("calls such as `{call}(…)` stand in formulas only")))
            }
            Kind::DotDot => self.expected("a value before `..`", Some("a range is written `0ms .. 1s`")),
            Kind::Less | Kind::AtMost | Kind::Greater | Kind::AtLeast | Kind::NotEqual | Kind::Plus => self
                .expected(
                    "a value",
                    Some("comparisons stand in formulas and behind `where` and `ok when` only"),
                ),
            _ => self.expected("a value", None),
        }
    }

    /// Reads the items of an argument, up to a comma or the closing parenthesis.
    pub(super) fn argument_items(&mut self) -> Result<Vec<Item<'a>>, Failed> {
        let mut items = Vec::new();
        loop {
            self.continue_line();
            if items.len() > MAX_ITEMS {
                let token = self.token();
                return Err(self.too_much(
                    token.start,
                    token.end,
                    &format!("more than {MAX_ITEMS} items in one argument"),
                ));
            }
            match self.kind() {
                Kind::Comma | Kind::CloseParen => return Ok(items),
                Kind::Word if self.word() == Some("where") => {
                    let word = self.advance();
                    items.push(Item::new(ItemKind::Word("where"), self.span_of(word)));
                    self.continue_line();
                    items.push(self.condition_item()?);
                }
                Kind::Word if self.word() == Some("over") => {
                    let word = self.advance();
                    items.push(Item::new(ItemKind::Word("over"), self.span_of(word)));
                    items.push(self.length("over")?);
                }
                Kind::Word | Kind::Number | Kind::Text | Kind::OpenList => {
                    items.push(self.value("an argument")?)
                }
                _ => return Ok(items),
            }
        }
    }

    /// Reads the length of time behind a word: a duration or the name of a param.
    pub(super) fn length(&mut self, keyword: &str) -> Result<Item<'a>, Failed> {
        if self.word().is_some_and(|word| !words::is_reserved(word)) {
            return self.single("a duration");
        }
        if self.kind() != Kind::Number {
            let help = format!("write `{keyword} 10s`");
            return Err(self.expected(&format!("a duration after `{keyword}`"), Some(&help)));
        }
        let reports = self.reports.len();
        let item = self.number()?;
        if let Some(quantity) = item.as_quantity()
            && quantity.unit == Unit::Count
            && self.reports.len() == reports
        {
            self.report(
                Diagnostic::new(Code::MissingUnit, format!("`{keyword} {}` has no unit", quantity.text))
                    .at(item.span, "of what?")
                    .help(format!("write `{keyword} {}s` or `{keyword} {}ms`", quantity.text, quantity.text)),
            );
        }
        Ok(item)
    }

    /// Reads a condition as an item.
    fn condition_item(&mut self) -> Result<Item<'a>, Failed> {
        let start = self.token().start;
        let condition = self.condition()?;
        Ok(Item::new(ItemKind::Condition(Box::new(condition)), self.span_from(start)))
    }
}
