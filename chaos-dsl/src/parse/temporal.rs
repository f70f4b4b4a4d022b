//! Formulas on their own: the core notation, and the forms of claims, on the names of signals.
//!
//! `not` and the operators with a window bind tightest, then `until` and `unless`, then the clauses of a claim, then `and`
//! or `or`, then `implies`. What could be read in two ways needs parentheses.

mod relation;
mod window;

use chaos_core::span::Spanned;

use super::token::Kind;
use super::{Cursor, Failed};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::{self, Advice};
use crate::syntax::{Anchor, Happening, Operator, Temporal, TemporalClause, TemporalKind, Word};

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
                let near = suggest::nearest(word, known).map(Advice::meant);
                let span = self.span_of(token);
                let help = near.unwrap_or_else(|| format!("operators are {}", quoted(&known)).into());
                self.report(
                    Diagnostic::new(Code::Unexpected, format!("`{word}` is not an operator"))
                        .at(span, "not known")
                        .help(help),
                );
                return Err(Failed);
            }
        }
        self.atomic()
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
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
