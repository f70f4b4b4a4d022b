//! Terms of formulas: calls, values, phrases, and what is relative to the baseline.

use super::token::Kind;
use super::{Cursor, Failed, MAX_ITEMS};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::syntax::{Argument, Baseline, Call, Item, Scaled, Sign, Term, Unit, Word};
use crate::words;

/// Words of other notations in a claim, with what is written here.
const FOREIGN: &[(&str, &str)] = &[
    ("above", "write `>`"),
    ("at", "write `<=` for at most, `>=` for at least"),
    ("below", "write `<`"),
    ("between", "write two comparisons: `p >= 1% and p <= 5%`"),
    ("decreases", "write a comparison with the baseline: `<= baseline - 5ms`"),
    ("equals", "write `==`"),
    ("exceeds", "write `>`"),
    ("implies", "write `given p: q`"),
    ("increases", "write a comparison with the baseline: `<= baseline + 100ms`"),
    ("is", "write a comparison: `==`, `<=`, `>=`"),
    ("least", "write `>=`"),
    ("less", "write `<`"),
    ("more", "write `>`"),
    ("most", "write `<=`"),
    ("recovers", "write `settles to <= baseline + 10ms within 30s after rollback`"),
    ("until", "there is no `until`: name a phase or an event instead"),
    ("versus", "write a comparison with the baseline: `<= baseline + 100ms`"),
    ("vs", "write a comparison with the baseline: `<= baseline + 100ms`"),
];

impl<'a> Cursor<'a> {
    /// Reads the left side of a comparison, a claim on its own, or an event.
    pub(super) fn term(&mut self) -> Result<Term<'a>, Failed> {
        match self.kind() {
            Kind::Number => return self.bound(),
            Kind::Minus => return Err(self.negative()),
            Kind::Word | Kind::Text => {}
            _ => return Err(self.expected("a metric", Some("a claim is written `success(probe) >= 99%`"))),
        }
        if self.nth(1).kind == Kind::OpenParen {
            let term = Term::Call(Box::new(self.call()?));
            self.no_arithmetic()?;
            return self.no_foreign_phrase().map(|()| term);
        }
        if self.word() == Some("baseline") {
            let term = self.bound()?;
            return self.no_foreign_phrase().map(|()| term);
        }
        let mut items = Vec::new();
        while self.goes_on() && items.len() <= MAX_ITEMS {
            self.no_foreign_phrase()?;
            items.push(self.value("a metric")?);
        }
        match items.len() {
            0 => Err(self.expected("a metric", Some("a claim is written `success(probe) >= 99%`"))),
            1 => Ok(Term::Item(items.swap_remove(0))),
            _ => Ok(Term::Phrase(items)),
        }
    }

    /// Returns whether a phrase goes on.
    fn goes_on(&self) -> bool {
        match self.kind() {
            Kind::Text | Kind::Number => true,
            Kind::Word => {
                let word = self.word().unwrap_or_default();
                !words::CLAUSES.contains(&word) && !matches!(word, "and" | "or" | "settles")
            }
            _ => false,
        }
    }

    fn no_foreign_phrase(&mut self) -> Result<(), Failed> {
        let Some(word) = self.word() else { return Ok(()) };
        let Some((_, help)) = FOREIGN.iter().find(|(foreign, _)| *foreign == word) else { return Ok(()) };
        let token = self.token();
        self.report(
            Diagnostic::new(Code::ForeignPhrase, format!("`{word}` is not part of a claim"))
                .at(self.span_of(token), "not known here")
                .help(*help),
        );
        Err(Failed)
    }

    /// Reads the right side of a comparison: a value, a call, or what is relative to the baseline.
    pub(super) fn bound(&mut self) -> Result<Term<'a>, Failed> {
        let token = self.token();
        if token.kind == Kind::Minus {
            return Err(self.negative());
        }
        let term = match token.kind {
            Kind::Word if self.word() == Some("baseline") => self.baseline(None, token.start)?,
            Kind::Word if self.nth(1).kind == Kind::OpenParen => self.metric(None, token.start)?,
            Kind::Number => self.factor()?,
            Kind::Word if self.word().is_some_and(words::is_reserved) => {
                return Err(self.expected("a value to compare with", None));
            }
            _ => Term::Item(self.value("a value to compare with")?),
        };
        self.no_arithmetic().map(|()| term)
    }

    fn no_arithmetic(&mut self) -> Result<(), Failed> {
        if matches!(self.kind(), Kind::Plus | Kind::Minus | Kind::Slash)
            || self.word().is_some_and(|word| word.starts_with('*'))
        {
            let token = self.token();
            self.report(
                Diagnostic::new(Code::Arithmetic, "a formula computes no more than that")
                    .at(self.span_of(token), "not possible here")
                    .help("write `baseline + 5ms`, `1.5 x baseline` or `120% of baseline`"),
            );
            return Err(Failed);
        }
        Ok(())
    }

    /// Reads a number, and what makes it a multiple of the baseline.
    fn factor(&mut self) -> Result<Term<'a>, Failed> {
        let start = self.token().start;
        let number = self.number()?;
        let unit = number.as_quantity().map(|quantity| quantity.unit);
        let scaled = match unit {
            Some(Unit::Count) => self.word() == Some("x"),
            Some(Unit::Percentage) => self.word() == Some("of"),
            _ => false,
        };
        if scaled {
            self.advance();
            self.continue_line();
            if self.kind() == Kind::Word && self.nth(1).kind == Kind::OpenParen {
                return self.metric(Some(number), start);
            }
            if self.word() != Some("baseline") {
                let help = "write `1.5 x baseline`, `120% of baseline` or `1.2 x rate(probe)`";
                return Err(self.expected("`baseline` or a metric", Some(help)));
            }
            return self.baseline(Some(number), start);
        }
        if self.word() == Some("baseline") {
            return Err(self.expected(
                "`x` or `of` before `baseline`",
                Some("write `1.5 x baseline` or `120% of baseline`"),
            ));
        }
        Ok(Term::Item(number))
    }

    /// Reads `baseline` and what is added to it.
    fn baseline(&mut self, factor: Option<Item<'a>>, start: u32) -> Result<Term<'a>, Failed> {
        self.advance();
        // A multiple of the baseline is a limit on its own.
        let offset = if factor.is_some() { None } else { self.offset("baseline")? };
        Ok(Term::Baseline(Box::new(Baseline { factor, offset, span: self.span_from(start) })))
    }

    /// Reads a metric, and what is added to it.
    fn metric(&mut self, factor: Option<Item<'a>>, start: u32) -> Result<Term<'a>, Failed> {
        let call = self.call()?;
        let offset = self.offset("rate(probe)")?;
        if factor.is_none() && offset.is_none() {
            return Ok(Term::Call(Box::new(call)));
        }
        Ok(Term::Scaled(Box::new(Scaled { call, factor, offset, span: self.span_from(start) })))
    }

    /// Reads `+ 5ms` or `- 5ms`, where it stands.
    fn offset(&mut self, behind: &str) -> Result<Option<(Sign, Item<'a>)>, Failed> {
        let sign = match self.kind() {
            Kind::Plus => Sign::Plus,
            Kind::Minus => Sign::Minus,
            _ => return Ok(None),
        };
        let token = self.advance();
        self.operand_follows(token)?;
        let item = match self.kind() {
            Kind::Number => self.number()?,
            Kind::Word if !self.word().is_some_and(words::is_reserved) => self.value("a quantity")?,
            _ => {
                let help = format!("write `{behind} {} 5ms`", sign.as_str());
                return Err(self.expected("a quantity", Some(&help)));
            }
        };
        Ok(Some((sign, item)))
    }

    /// Reads `function(argument, …)`.
    pub(super) fn call(&mut self) -> Result<Call<'a>, Failed> {
        let name = self.advance();
        let function = Word { text: self.token_text(name), span: self.span_of(name) };
        let open = self.advance();
        let mut arguments = Vec::new();
        loop {
            self.continue_line();
            let start = self.token().start;
            let items = self.argument_items()?;
            if items.is_empty() && (self.kind() == Kind::Comma || !arguments.is_empty()) {
                return Err(match self.kind() {
                    Kind::End | Kind::OpenBrace | Kind::CloseBrace => self.unclosed(open, ")"),
                    _ => self.expected("an argument", Some("write `p95(probe.latency, over 10s)`")),
                });
            }
            if !items.is_empty() {
                let end = items.last().map_or(start, |item| item.span.end);
                arguments.push(Argument { items, span: self.span(start, end) });
            }
            if arguments.len() > MAX_ITEMS {
                return Err(self.too_much(start, start, &format!("more than {MAX_ITEMS} arguments")));
            }
            match self.kind() {
                Kind::Comma => {
                    self.advance();
                }
                Kind::CloseParen => {
                    self.advance();
                    break;
                }
                Kind::OpenParen | Kind::Colon | Kind::Bad | Kind::CloseList | Kind::Number => {
                    return Err(self.expected("`,` or `)`", None));
                }
                _ => return Err(self.unclosed(open, ")")),
            }
        }
        Ok(Call { function, arguments, span: self.span_from(name.start) })
    }
}
