//! Formulas by themselves: the core notation, and the forms of claims, on the names of signals.
//!
//! `not` and the operators with a window bind tightest, then `until` and `unless`, then the clauses of a claim, then `and`
//! or `or`, then `implies`. What could be read in two ways needs parentheses.

use chaos_core::span::{Span, Spanned};
use chaos_core::verdict::Nanos;

use super::token::Kind;
use super::{Cursor, Failed};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest;
use crate::syntax::{
    Anchor, Decimal, Happening, Operator, Quantity, Side, SignalName, Temporal, TemporalClause, TemporalKind,
    Unit, Window, WindowEnd, Word,
};

/// Words that cannot be the name of a signal without quotes.
const OPERATORS: &[&str] = &[
    "after",
    "always",
    "and",
    "during",
    "eventually",
    "for",
    "historically",
    "implies",
    "never",
    "not",
    "once",
    "or",
    "settles",
    "stays",
    "stops",
    "time",
    "unless",
    "until",
    "within",
];

/// Words and signs of other notations, with what is written here.
const FOREIGN: &[(&str, &str)] = &[
    ("G", "write `always[0s,2s] (x <= 5)`"),
    ("F", "write `eventually[0s,2s] (x <= 5)`"),
    ("H", "write `historically[0s,2s] (x <= 5)`"),
    ("O", "write `once[0s,2s] (x <= 5)`"),
    ("U", "write `(x <= 5) until[0s,2s] (y >= 1)`"),
    ("globally", "write `always[0s,2s] (x <= 5)`"),
    ("finally", "write `eventually[0s,2s] (x <= 5)`"),
    ("release", "write `q unless p`, or a formula with `until` and `not`"),
    ("since", "there is no `since`: look back with `once[0s,10s]` and `historically[0s,10s]`"),
    ("next", "time has no next instant: write `eventually[0s,1s]`"),
    ("xor", "write `(p and not q) or (q and not p)`"),
];

impl<'a> Cursor<'a> {
    /// Reads a formula that is the whole text.
    pub(super) fn whole_temporal(&mut self) -> Result<Temporal<'a>, Failed> {
        if self.kind() == Kind::End {
            return Err(
                self.expected("a formula", Some("write `always[0s,10s] (x <= 5)`, or `always x <= 5`"))
            );
        }
        let formula = self.implication()?;
        match self.kind() {
            Kind::End => Ok(formula),
            Kind::CloseParen => {
                let token = self.token();
                let stray = Diagnostic::new(Code::StrayBracket, "a `)` that closes nothing")
                    .at(self.span_of(token), "closes nothing")
                    .help("remove it");
                self.report(stray);
                Err(Failed)
            }
            _ => {
                self.foreign_operator()?;
                Err(self.expected("the end of the formula", Some("join formulas by `and`, `or`, `implies`")))
            }
        }
    }

    /// Refuses what other notations write.
    fn foreign_operator(&mut self) -> Result<(), Failed> {
        let Some(word) = self.word() else { return Ok(()) };
        let Some((_, help)) = FOREIGN.iter().find(|(foreign, _)| *foreign == word) else { return Ok(()) };
        let span = self.span_of(self.token());
        self.report(
            Diagnostic::new(Code::ForeignPhrase, format!("`{word}` is not written like this here"))
                .at(span, "not known here")
                .help(*help),
        );
        Err(Failed)
    }

    fn implication(&mut self) -> Result<Temporal<'a>, Failed> {
        self.deeper(|cursor| {
            let start = cursor.token().start;
            let first = cursor.connected()?;
            let Some(sign) = cursor.eat_word("implies") else { return Ok(first) };
            cursor.operand_follows(sign)?;
            let second = cursor.connected()?;
            if cursor.word() == Some("implies") {
                return Err(cursor.chains(sign.start, "implies", "`p implies (q implies r)`"));
            }
            Ok(cursor.temporal(TemporalKind::Implies(Box::new((first, second))), start))
        })
    }

    /// Refuses an operator that stands twice in a row.
    fn chains(&mut self, first: u32, word: &str, help: &str) -> Failed {
        let second = self.span_of(self.token());
        let first = self.span(first, first + word.len() as u32);
        self.report(
            Diagnostic::new(Code::ChainedLogic, format!("`{word}` does not chain: which comes first?"))
                .at(second, "second")
                .and_at(first, "first")
                .help(format!("add parentheses: {help}")),
        );
        Failed
    }

    fn temporal(&self, kind: TemporalKind<'a>, start: u32) -> Temporal<'a> {
        Temporal { kind, clauses: Vec::new(), span: self.span_from(start) }
    }

    fn connected(&mut self) -> Result<Temporal<'a>, Failed> {
        let start = self.token().start;
        let first = self.anchored()?;
        let Some(logic) = self.logic() else { return Ok(first) };
        let mut operands = vec![first];
        while self.joins(logic, operands.len())? {
            operands.push(self.anchored()?);
        }
        let persistent = |formula: &Temporal<'a>| {
            formula.clauses.iter().find(|clause| matches!(clause.value, TemporalClause::For(_))).cloned()
        };
        let innermost = operands.iter().find_map(|operand| match &operand.kind {
            TemporalKind::Prefixed(_, inner) => persistent(inner).or(persistent(operand)),
            _ => persistent(operand),
        });
        if let Some(clause) = innermost {
            let word = logic.as_str();
            self.report(
                Diagnostic::new(Code::AmbiguousClause, format!("`for` beside `{word}` needs parentheses"))
                    .at(clause.span, "which part must hold so long?")
                    .help(format!("write `(p for 10s) {word} q` or `(p {word} q) for 10s`")),
            );
            return Err(Failed);
        }
        Ok(self.temporal(TemporalKind::Join(logic, operands), start))
    }

    /// Reads a formula and the clauses that say when it is owed.
    fn anchored(&mut self) -> Result<Temporal<'a>, Failed> {
        let mut formula = self.bound_by_until()?;
        while let Some(keyword) = self.clause_keyword() {
            let token = self.token();
            if let Some(first) = formula.clauses.iter().find(|clause| clause.value.keyword() == keyword) {
                let first = first.span;
                self.report(
                    Diagnostic::new(Code::DuplicateClause, format!("`{keyword}` stands twice"))
                        .at(self.span_of(token), "again here")
                        .and_at(first, "first here")
                        .help("keep one of them; parentheses make two claims"),
                );
                return Err(Failed);
            }
            let clause = self.temporal_clause(keyword)?;
            formula.span = formula.span.to(clause.span);
            formula.clauses.push(clause);
        }
        Ok(formula)
    }

    fn clause_keyword(&self) -> Option<&'static str> {
        if self.kind() == Kind::At {
            return Some("@");
        }
        let word = self.word()?;
        ["for", "within", "after", "during"].into_iter().find(|keyword| *keyword == word)
    }

    fn temporal_clause(&mut self, keyword: &str) -> Result<Spanned<TemporalClause<'a>>, Failed> {
        let start = self.advance().start;
        let clause = match keyword {
            "for" => TemporalClause::For(self.duration("for 10s")?),
            "within" => TemporalClause::Within(self.duration("within 30s")?),
            "after" => TemporalClause::After(self.happening()?),
            "during" => TemporalClause::During(self.phase_name("during fault")?),
            _ => TemporalClause::At(self.anchor()?),
        };
        Ok(Spanned::new(clause, self.span_from(start)))
    }

    fn anchor(&mut self) -> Result<Anchor<'a>, Failed> {
        match self.word() {
            Some("start") => {
                self.advance();
                if self.eat_word("of").is_none() {
                    return Err(self.expected("`of` after `start`", Some("write `@ start of fault`")));
                }
                Ok(Anchor::StartOf(self.phase_name("@ start of fault")?))
            }
            Some("each") => {
                self.advance();
                Ok(Anchor::Each(self.happening()?))
            }
            Some(_) => Ok(Anchor::Each(self.happening()?)),
            None => {
                let length = self.duration("@ 30s")?;
                if self.eat_word("after").is_none() {
                    return Ok(Anchor::Instant(length));
                }
                let from = self.deeper(Self::anchor)?;
                Ok(Anchor::Later(length, Box::new(from)))
            }
        }
    }

    fn happening(&mut self) -> Result<Happening<'a>, Failed> {
        let name = self.plain_name("an event", "after rollback")?;
        Ok(if self.eat_word("starts").is_some() {
            Happening::Starts(name)
        } else if self.eat_word("ends").is_some() {
            Happening::Ends(name)
        } else {
            Happening::Named(name)
        })
    }

    fn phase_name(&mut self, example: &str) -> Result<Word<'a>, Failed> {
        let name = self.plain_name("a phase", example)?;
        if name.text != "whole" {
            return Ok(name);
        }
        match self.eat_word("run") {
            Some(run) => Ok(Word {
                text: self.slice(name.span.start, run.end),
                span: self.span(name.span.start, run.end),
            }),
            None => Err(self.expected("`run` after `whole`", Some("write `during whole run`"))),
        }
    }

    fn plain_name(&mut self, what: &str, example: &str) -> Result<Word<'a>, Failed> {
        match self.word().filter(|word| !OPERATORS.contains(word)) {
            Some(text) => {
                let token = self.advance();
                Ok(Word { text, span: self.span_of(token) })
            }
            None => Err(self.expected(what, Some(&format!("write `{example}`")))),
        }
    }

    fn bound_by_until(&mut self) -> Result<Temporal<'a>, Failed> {
        let start = self.token().start;
        let left = self.tight()?;
        let Some(word) = self.word().filter(|word| matches!(*word, "until" | "unless")) else {
            return Ok(left);
        };
        let sign = self.advance();
        let window = match (word, self.kind()) {
            ("until", Kind::OpenList) => Some(self.window()?),
            ("until", _) => {
                let help = "write `(x <= 5) until[0s,10s] (y >= 1)`; `unless` needs no deadline";
                return Err(self.expected("the window of `until`", Some(help)));
            }
            _ => None,
        };
        self.operand_follows(sign)?;
        let right = self.tight()?;
        if let Some(again) = self.word().filter(|word| matches!(*word, "until" | "unless")) {
            let example = if again == word {
                "`(p until[0s,5s] q) until[0s,5s] r`"
            } else {
                "`(p unless q) until[0s,5s] r`"
            };
            return Err(self.chains(sign.start, word, example));
        }
        let parts = Box::new((left, right));
        let kind = match window {
            Some(window) => TemporalKind::Until(window, parts),
            None => TemporalKind::Unless(parts),
        };
        Ok(self.temporal(kind, start))
    }

    /// Reads what binds tightest: `not`, operators, parentheses, comparisons.
    fn tight(&mut self) -> Result<Temporal<'a>, Failed> {
        let token = self.token();
        let start = token.start;
        let Some(word) = self.word() else { return self.atomic() };
        let windowed = self.nth(1).kind == Kind::OpenList;
        let operator = match word {
            "always" => Some(Operator::Always),
            "eventually" => Some(Operator::Eventually),
            "historically" => Some(Operator::Historically),
            "once" => Some(Operator::Once),
            _ => None,
        };
        if word == "not" {
            self.advance();
            self.operand_follows(token)?;
            let inner = self.deeper(Self::tight)?;
            return Ok(self.temporal(TemporalKind::Not(Box::new(inner)), start));
        }
        if let Some(operator) = operator.filter(|_| windowed) {
            self.advance();
            let window = self.window()?;
            self.operand_follows(token)?;
            let inner = self.deeper(Self::tight)?;
            let operator = Spanned::new(operator, self.span_of(token));
            return Ok(self.temporal(TemporalKind::Windowed(operator, window, Box::new(inner)), start));
        }
        if let Some(operator) = operator.filter(|o| matches!(o, Operator::Historically | Operator::Once)) {
            self.advance();
            let help = format!("write `{0}[0s,10s] (x <= 5)`", operator.as_str());
            return Err(self.expected(&format!("the window of `{}`", operator.as_str()), Some(&help)));
        }
        if matches!(word, "always" | "never" | "eventually" | "stops" | "stays") {
            self.advance();
            self.operand_follows(token)?;
            let inner = self.deeper(Self::tight)?;
            let prefix = Word { text: word, span: self.span_of(token) };
            return Ok(self.temporal(TemporalKind::Prefixed(prefix, Box::new(inner)), start));
        }
        let applied =
            self.nth(1).kind == Kind::OpenParen || self.nth(1).kind == Kind::Word && !self.is_operator(1);
        if (windowed || applied) && !OPERATORS.contains(&word) {
            self.foreign_operator()?;
            if windowed {
                let known = ["always", "eventually", "historically", "once", "until"];
                let help = suggest::nearest(word, known).map(|near| format!("did you mean `{near}`?"));
                let span = self.span_of(token);
                let help = help.unwrap_or_else(|| format!("operators are {}", quoted(&known)));
                self.report(
                    Diagnostic::new(Code::Unexpected, format!("`{word}` is no operator"))
                        .at(span, "not known")
                        .help(help),
                );
                return Err(Failed);
            }
        }
        self.atomic()
    }

    /// Reads `[0s,2s]` or `[0s,2s)`.
    fn window(&mut self) -> Result<Window, Failed> {
        const HELP: &str = "a window is written `[0s,2s]`";
        let open = self.advance();
        let from = self.duration("[0s,2s]")?;
        if self.eat(Kind::Comma).is_none() {
            return Err(self.expected("`,` between the ends of a window", Some(HELP)));
        }
        let to = match self.eat_word("end") {
            Some(_) => WindowEnd::End,
            None => WindowEnd::After(self.duration("[0s,2s]")?),
        };
        let closed = match self.kind() {
            Kind::CloseList => true,
            Kind::CloseParen => false,
            _ => return Err(self.expected("`]`", Some(HELP))),
        };
        self.advance();
        let window = Window { from, to, closed, span: self.span_from(open.start) };
        if closed && to == WindowEnd::End {
            self.report(
                Diagnostic::new(Code::OutOfRange, "the end itself belongs to no window")
                    .at(window.span, "closed")
                    .help("write `[0s,end)`"),
            );
            return Err(Failed);
        }
        let empty = match to {
            WindowEnd::After(to) if closed => to < from,
            WindowEnd::After(to) => to <= from,
            WindowEnd::End => false,
        };
        if empty {
            self.report(
                Diagnostic::new(Code::OutOfRange, "a window ends before it starts")
                    .at(window.span, "empty")
                    .help("the nearer end comes first: `[0s,2s]`"),
            );
            return Err(Failed);
        }
        Ok(window)
    }

    /// Reads a length of time; zero needs no unit.
    fn duration(&mut self, example: &str) -> Result<Nanos, Failed> {
        let help = format!("write `{example}`");
        match self.kind() {
            Kind::Number => {}
            Kind::Minus => return Err(self.negative()),
            _ => return Err(self.expected("a length of time", Some(&help))),
        }
        let token = self.token();
        let item = self.number()?;
        let Some(quantity) = item.as_quantity() else {
            return Err(self.expected("a length of time", Some(&help)));
        };
        match quantity.unit {
            Unit::Duration => {
                let whole = quantity.value.whole().and_then(|nanos| Nanos::try_from(nanos).ok());
                // Half of all time is left for windows to look ahead and back from any instant.
                whole.filter(|nanos| *nanos <= Nanos::MAX / 4).ok_or_else(|| {
                    self.out_of_range(
                        item.span,
                        "a length of time that is too large",
                        "nothing that long can be meant",
                    )
                })
            }
            Unit::Count if quantity.value == Decimal::default() => Ok(0),
            Unit::Count => {
                let text = self.token_text(token);
                self.report(
                    Diagnostic::new(Code::MissingUnit, format!("`{text}` has no unit"))
                        .at(item.span, "of what?")
                        .help(format!("write `{text}s` or `{text}ms`")),
                );
                Err(Failed)
            }
            other => {
                self.report(
                    Diagnostic::new(
                        Code::WrongUnit,
                        format!("a {} where a length of time belongs", other.describe()),
                    )
                    .at(item.span, "no length of time")
                    .help(help),
                );
                Err(Failed)
            }
        }
    }

    fn out_of_range(&mut self, span: Span, message: &str, help: &str) -> Failed {
        self.report(Diagnostic::new(Code::OutOfRange, message).at(span, "here").help(help));
        Failed
    }

    /// Reads parentheses or a comparison, and the `for` that belongs to it.
    fn atomic(&mut self) -> Result<Temporal<'a>, Failed> {
        let open = self.token();
        let mut formula = if open.kind == Kind::OpenParen {
            self.advance();
            let mut inner = self.implication()?;
            if self.eat(Kind::CloseParen).is_none() {
                self.foreign_operator()?;
                return Err(match self.kind() {
                    Kind::End => self.unclosed(open, ")"),
                    _ => self.expected("`)`", Some("join formulas by `and`, `or`, `implies`")),
                });
            }
            inner.span = self.span_from(open.start);
            if inner.clauses.is_empty() {
                inner
            } else {
                // The clauses inside speak of what is inside, those behind of the whole.
                let only = TemporalKind::Join(crate::syntax::Logic::And, vec![inner]);
                self.temporal(only, open.start)
            }
        } else {
            self.relation()?
        };
        if self.word() == Some("for") {
            let clause = self.temporal_clause("for")?;
            formula.span = formula.span.to(clause.span);
            formula.clauses.push(clause);
        }
        Ok(formula)
    }

    fn relation(&mut self) -> Result<Temporal<'a>, Failed> {
        let start = self.token().start;
        let left = self.side()?;
        let mut settles = None;
        if let Some(word) = self.eat_word("settles") {
            settles = Some(self.span_of(word));
            if self.eat_word("to").is_none() {
                return Err(self.expected(
                    "`to` after `settles`",
                    Some("write `x settles to <= 5 within 30s after rollback`"),
                ));
            }
        }
        let Some(op) = self.comparison() else {
            return match left {
                _ if settles.is_some() => {
                    Err(self.expected("a comparison after `settles to`", Some("write `settles to <= 5`")))
                }
                Side::Signal { signal, factor, offset, .. } if factor == 1.0 && offset == 0.0 => {
                    Ok(self.temporal(TemporalKind::Holds(signal), start))
                }
                _ => {
                    Err(self
                        .expected("a comparison", Some("compare with `<`, `<=`, `>`, `>=`, `==` or `!=`")))
                }
            };
        };
        let right = self.side()?;
        let second = self.token();
        if self.comparison().is_some() {
            self.report(
                Diagnostic::new(Code::ChainedComparison, "comparisons do not chain")
                    .at(self.span_of(second), "second comparison")
                    .and_at(op.span, "first comparison")
                    .help("write two: `(1 <= x) and (x <= 5)`"),
            );
            return Err(Failed);
        }
        Ok(self.temporal(TemporalKind::Compare { left, settles, op, right }, start))
    }

    /// Reads a number, or a signal with what it is multiplied by and what is added.
    fn side(&mut self) -> Result<Side, Failed> {
        let start = self.token().start;
        let mut factor = 1.0;
        if matches!(self.kind(), Kind::Number | Kind::Minus) {
            let (value, quantity) = self.signed_number()?;
            let followed = matches!(self.nth(1).kind, Kind::Word | Kind::Text) && !self.is_operator(1);
            if !(self.word() == Some("x") && followed) {
                self.no_more_arithmetic()?;
                let share = quantity.unit == Unit::Percentage;
                return Ok(Side::Number { value, share, span: self.span_from(start) });
            }
            let x = self.advance();
            if quantity.unit != Unit::Count || value < 0.0 {
                let span = self.span_from(start);
                let help = "a factor is a plain number that is not negative: `2 x y`";
                return Err(self.out_of_range(span, "a signal multiplied by what is no factor", help));
            }
            factor = value;
            self.operand_follows(x)?;
        }
        let signal = self.signal_name()?;
        let mut offset = 0.0;
        if let Some(sign) = self.eat(Kind::Plus).or_else(|| self.eat(Kind::Minus)) {
            if self.kind() != Kind::Number {
                return Err(self.expected("a number", Some("write `2 x y + 3`")));
            }
            let (value, _) = self.signed_number()?;
            offset = if sign.kind == Kind::Minus { -value } else { value };
        }
        self.no_more_arithmetic()?;
        Ok(Side::Signal { factor, signal, offset, span: self.span_from(start) })
    }

    fn is_operator(&self, ahead: usize) -> bool {
        self.nth_word(ahead).is_some_and(|word| OPERATORS.contains(&word))
    }

    fn no_more_arithmetic(&mut self) -> Result<(), Failed> {
        let sign = matches!(self.kind(), Kind::Plus | Kind::Minus | Kind::Slash);
        if !sign && !self.word().is_some_and(|word| word.starts_with('*')) {
            return Ok(());
        }
        let span = self.span_of(self.token());
        self.report(
            Diagnostic::new(Code::Arithmetic, "a comparison computes no more than that")
                .at(span, "not possible here")
                .help("write `2 x y + 3`, or record a signal of its own for what is computed"),
        );
        Err(Failed)
    }

    /// Reads a number with its unit, which may be negative, in base units.
    fn signed_number(&mut self) -> Result<(f64, Quantity<'a>), Failed> {
        let negative = self.eat(Kind::Minus).is_some();
        if self.kind() != Kind::Number {
            return Err(self.expected("a number", None));
        }
        // `2 m` would be taken for a unit apart from its number; a signal may be called `m`.
        let item = self.number()?;
        let Some(quantity) = item.as_quantity().copied() else {
            return Err(self.out_of_range(item.span, "an address is no number", "compare with a number"));
        };
        let value = base(&quantity);
        Ok((if negative { -value } else { value }, quantity))
    }

    fn signal_name(&mut self) -> Result<SignalName, Failed> {
        let token = self.token();
        let name = match token.kind {
            Kind::Text => {
                self.advance();
                let inner = self.slice(token.start + 1, token.end - 1);
                inner.replace("\\\"", "\"").replace("\\\\", "\\")
            }
            Kind::Word if self.is_operator(0) => {
                let word = self.token_text(token);
                let help = match word {
                    "time" => "a formula speaks of signals; time is in its windows".to_owned(),
                    _ => format!("if a signal is called so, write it in quotes: `\"{word}\"`"),
                };
                return Err(self.expected("a signal", Some(&help)));
            }
            Kind::Word if self.word() == Some("baseline") && self.nth(1).kind != Kind::OpenParen => {
                let span = self.span_of(token);
                self.report(
                    Diagnostic::new(
                        Code::NoBaseline,
                        "a formula on recorded signals has no baseline of its own",
                    )
                    .at(span, "not known here")
                    .help("write the number: `x <= 120ms`"),
                );
                return Err(Failed);
            }
            Kind::Word if self.nth(1).kind == Kind::OpenParen => {
                let call = self.call()?;
                let text = self.slice(call.span.start, call.span.end);
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Kind::Word => {
                self.advance();
                self.token_text(token).to_owned()
            }
            _ => return Err(self.expected("a signal or a number", Some("a comparison is written `x <= 5`"))),
        };
        Ok(SignalName { name, span: self.span_from(token.start) })
    }
}

/// Returns a quantity in the base unit of its kind: seconds, shares from 0 to 1, per second, bits per second, bytes.
fn base(quantity: &Quantity<'_>) -> f64 {
    let Decimal { mantissa, scale } = quantity.value;
    // Through the decimal digits, so that `99.9%` is the number nearest to 0.999.
    let divided = |digits: u8| Decimal::new(mantissa, scale.saturating_add(digits)).to_f64();
    match quantity.unit {
        Unit::Duration => divided(9),
        Unit::Percentage | Unit::Points => divided(2),
        Unit::Rate { per } => quantity.value.to_f64() * 1e9 / per as f64,
        Unit::Count | Unit::Bandwidth | Unit::Size => quantity.value.to_f64(),
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
