//! Formulas: claims, what joins them, and the clauses behind them.

use chaos_core::span::Spanned;

use super::token::{Kind, shorten};
use super::{Cursor, Failed};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::Advice;
use crate::syntax::{
    Clause, ClauseKind, Compare, CompareOp, ForEach, Formula, FormulaKind, Prefix, Term, Word,
};
use crate::words;

impl<'a> Cursor<'a> {
    /// Reads a formula to its end.
    pub(super) fn formula(&mut self) -> Result<Formula<'a>, Failed> {
        self.deeper(|cursor| match (cursor.word(), cursor.nth_word(1)) {
            (Some("given"), _) => cursor.given(),
            (Some("for"), Some("each")) => cursor.for_each(),
            _ => cursor.joined(),
        })
    }

    /// Reads `given p: q`.
    fn given(&mut self) -> Result<Formula<'a>, Failed> {
        let start = self.advance().start;
        let condition = self.joined()?;
        self.colon("given CONDITION: claim")?;
        let claim = self.formula()?;
        let span = self.span_from(start);
        Ok(Formula { kind: FormulaKind::Given(Box::new((condition, claim))), clauses: Vec::new(), span })
    }

    /// Reads `for each h in api: p`, with `when EVENT` before the colon or without.
    fn for_each(&mut self) -> Result<Formula<'a>, Failed> {
        const SHAPE: &str = "for each NAME in HOSTS: claim";
        let start = self.advance().start;
        self.advance();
        let mut binder = Vec::new();
        while matches!(self.kind(), Kind::Word | Kind::Text)
            && self.word() != Some("when")
            && binder.len() < 8
        {
            binder.push(self.value("what to look at")?);
        }
        if binder.is_empty() {
            return Err(self.expected("what to look at after `for each`", Some(&format!("write `{SHAPE}`"))));
        }
        let event = match self.eat_word("when") {
            Some(_) => Some(self.term()?),
            None if self.kind() == Kind::Colon || self.at_end() => None,
            None => return Err(self.expected("`when` or `:`", Some(&format!("write `{SHAPE}`")))),
        };
        self.colon(SHAPE)?;
        let claim = self.formula()?;
        let kind = FormulaKind::ForEach(Box::new(ForEach { binder, event, claim }));
        Ok(Formula { kind, clauses: Vec::new(), span: self.span_from(start) })
    }

    fn colon(&mut self, shape: &str) -> Result<(), Failed> {
        if self.eat(Kind::Colon).is_none() {
            let end = self.previous_end();
            if self.kind() != Kind::Bad {
                self.report(
                    Diagnostic::new(Code::MissingColon, "a `:` is missing before the claim")
                        .at(self.span(end, end), "expected `:`")
                        .help(format!("write `{shape}`")),
                );
            }
            return Err(Failed);
        }
        self.continue_line();
        Ok(())
    }

    /// Reads claims joined by `and` or `or`.
    fn joined(&mut self) -> Result<Formula<'a>, Failed> {
        let start = self.token().start;
        let first = self.clauses_behind()?;
        let Some(logic) = self.logic() else { return Ok(first) };
        let mut operands = vec![first];
        while self.joins(logic, operands.len())? {
            operands.push(self.clauses_behind()?);
        }
        self.beside_logic(logic.as_str(), &operands)?;
        Ok(Formula {
            kind: FormulaKind::Join(logic, operands),
            clauses: Vec::new(),
            span: self.span_from(start),
        })
    }

    /// Refuses what could speak of one claim or of all of them.
    fn beside_logic(&mut self, logic: &str, operands: &[Formula<'a>]) -> Result<(), Failed> {
        let persistence = operands.iter().find_map(|operand| match &operand.kind {
            FormulaKind::Prefix(_, inner) => find_for(inner).or(find_for(operand)),
            _ => find_for(operand),
        });
        if let Some(clause) = persistence {
            self.report(
                Diagnostic::new(Code::AmbiguousClause, format!("`for` beside `{logic}` needs parentheses"))
                    .at(clause.span, "which part must hold so long?")
                    .help(format!("write `(p for 10s) {logic} q` or `(p {logic} q) for 10s`")),
            );
            return Err(Failed);
        }
        let prefix = |operand: &Formula<'a>| match &operand.kind {
            FormulaKind::Prefix(prefix, _) if !matches!(prefix.value, Prefix::Not | Prefix::Confident) => {
                Some(*prefix)
            }
            _ => None,
        };
        let prefixed = operands.iter().filter(|operand| prefix(operand).is_some()).count();
        if prefixed != 0
            && prefixed != operands.len()
            && let Some(found) = operands.iter().find_map(prefix)
        {
            let word = found.value.as_str();
            self.report(
                Diagnostic::new(
                    Code::AmbiguousClause,
                    format!("`{word}` beside `{logic}` needs parentheses"),
                )
                .at(found.span, "of which part?")
                .help(format!("write `({word} p) {logic} q` or `{word} (p {logic} q)`")),
            );
            return Err(Failed);
        }
        Ok(())
    }

    /// Reads a claim and the clauses that speak of the whole of it.
    fn clauses_behind(&mut self) -> Result<Formula<'a>, Failed> {
        let mut formula = self.prefixed()?;
        while let Some(keyword) = self.word().filter(|word| words::CLAUSES.contains(word)) {
            let token = self.token();
            if let Some(first) = formula.clauses.iter().find(|clause| clause.kind.keyword() == keyword) {
                let first = first.span;
                self.report(
                    Diagnostic::new(
                        Code::DuplicateClause,
                        format!("`{keyword}` stands twice behind one claim"),
                    )
                    .at(self.span_of(token), "again here")
                    .and_at(first, "first here")
                    .help("keep one of them; parentheses make two claims"),
                );
                return Err(Failed);
            }
            let clause = self.clause(keyword)?;
            formula.span = formula.span.to(clause.span);
            formula.clauses.push(clause);
        }
        Ok(formula)
    }

    fn clause(&mut self, keyword: &str) -> Result<Clause<'a>, Failed> {
        let keyword_token = self.advance();
        let start = keyword_token.start;
        let kind = match keyword {
            "for" => ClauseKind::For(self.length("for")?),
            "within" => ClauseKind::Within(self.length("within")?),
            "after" => {
                if self.at_end() || self.word().is_some_and(|word| words::CLAUSES.contains(&word)) {
                    let help = "write `after rollback` or `after NAME starts`";
                    return Err(self.expected("an event after `after`", Some(help)));
                }
                ClauseKind::After(Box::new(self.term()?))
            }
            "during" => ClauseKind::During(self.phase()?),
            "unless" => {
                self.operand_follows(keyword_token)?;
                ClauseKind::Unless(Box::new(self.deeper(Self::prefixed)?))
            }
            "with" => {
                let help = "write `with 99% confidence`";
                let share = match self.kind() {
                    Kind::Number => self.number()?,
                    Kind::Word if !self.word().is_some_and(words::is_reserved) => {
                        self.value("a percentage")?
                    }
                    _ => return Err(self.expected("a percentage after `with`", Some(help))),
                };
                if self.eat_word("confidence").is_none() {
                    return Err(self.expected("`confidence`", Some(help)));
                }
                ClauseKind::With(share)
            }
            _ => ClauseKind::Observed,
        };
        Ok(Clause { kind, span: self.span_from(start) })
    }

    /// Reads the phase behind `during`.
    fn phase(&mut self) -> Result<Vec<Word<'a>>, Failed> {
        const HELP: &str = "write `during baseline`, `during fault`, the name of a fault, `during watch` or `during whole run`";
        let mut phase = Vec::new();
        let Some(first) = self.word().filter(|word| !words::CLAUSES.contains(word)) else {
            return Err(self.expected("a phase after `during`", Some(HELP)));
        };
        let token = self.advance();
        phase.push(Word { text: first, span: self.span_of(token) });
        if first == "whole" {
            if self.word() != Some("run") {
                return Err(self.expected("`run` after `during whole`", Some(HELP)));
            }
            let token = self.advance();
            phase.push(Word { text: "run", span: self.span_of(token) });
        }
        Ok(phase)
    }

    /// Reads `always`, `never`, `not` and their like, and the claim behind them.
    fn prefixed(&mut self) -> Result<Formula<'a>, Failed> {
        let token = self.token();
        let prefix = match self.word() {
            Some("not") => Prefix::Not,
            Some("always") => Prefix::Always,
            Some("never") => Prefix::Never,
            Some("eventually") => Prefix::Eventually,
            Some("stops") => Prefix::Stops,
            Some("stays") => Prefix::Stays,
            Some("confident") => Prefix::Confident,
            _ => return self.primary(),
        };
        self.advance();
        self.operand_follows(token)?;
        let inner = self.deeper(Self::prefixed)?;
        let prefix = Spanned::new(prefix, self.span_of(token));
        let span = prefix.span.to(inner.span);
        Ok(Formula { kind: FormulaKind::Prefix(prefix, Box::new(inner)), clauses: Vec::new(), span })
    }

    /// Reads a claim without operators before it, and the `for` that belongs to it.
    fn primary(&mut self) -> Result<Formula<'a>, Failed> {
        let open = self.token();
        let mut formula = if open.kind == Kind::OpenParen {
            self.advance();
            self.continue_line();
            let inner = self.formula()?;
            self.continue_line();
            if self.eat(Kind::CloseParen).is_none() {
                return Err(match self.kind() {
                    Kind::End | Kind::CloseBrace | Kind::OpenBrace | Kind::Word | Kind::Text => {
                        self.unclosed(open, ")")
                    }
                    _ => self.expected("`)`", None),
                });
            }
            let kind = FormulaKind::Group(Box::new(inner));
            Formula { kind, clauses: Vec::new(), span: self.span_from(open.start) }
        } else {
            self.predicate()?
        };
        if self.word() == Some("for") {
            let clause = self.clause("for")?;
            formula.span = formula.span.to(clause.span);
            formula.clauses.push(clause);
        }
        Ok(formula)
    }

    /// Reads a comparison, or something that holds on its own.
    fn predicate(&mut self) -> Result<Formula<'a>, Failed> {
        let start = self.token().start;
        let left = self.term()?;
        let mut settles = None;
        if let Some(word) = self.eat_word("settles") {
            settles = Some(Spanned::new((), self.span_of(word)));
            if self.eat_word("to").is_none() {
                return Err(self.expected(
                    "`to` after `settles`",
                    Some("write `settles to <= baseline + 10ms within 30s after rollback`"),
                ));
            }
        }
        let Some(op) = self.comparison() else {
            if settles.is_some() {
                return Err(self.expected(
                    "a comparison after `settles to`",
                    Some("write `settles to <= baseline + 10ms`"),
                ));
            }
            let needs_one = match &left {
                Term::Item(item) => item.as_quantity().is_some(),
                Term::Baseline(_) | Term::Scaled(_) => true,
                Term::Call(_) => self.kind() == Kind::Number,
                Term::Phrase(_) => false,
            };
            if needs_one {
                return Err(
                    self.expected("a comparison", Some("a claim compares a metric: `success(probe) >= 99%`"))
                );
            }
            let kind = FormulaKind::Holds(left);
            return Ok(Formula { kind, clauses: Vec::new(), span: self.span_from(start) });
        };
        let middle = self.token().start;
        let right = self.bound()?;
        self.no_chain([start, middle], op, Self::bound, |[low, metric, high], [first, second]| {
            // A claim has its metric on the left.
            let one = match metric.contains('(') && !low.contains('(') {
                true => format!("{metric} {} {low}", first.mirrored().as_str()),
                false => format!("{low} {} {metric}", first.as_str()),
            };
            format!("write two claims: `{one}`, and `{metric} {} {high}`", second.as_str())
        })?;
        let kind = FormulaKind::Compare(Box::new(Compare { left, settles, op, right }));
        Ok(Formula { kind, clauses: Vec::new(), span: self.span_from(start) })
    }

    /// Refuses a second comparison behind a first one, which began, and whose right side began, at `starts`; `operand` reads
    /// what the second one ends with, and `two` says how both are written apart.
    pub(super) fn no_chain<T>(
        &mut self,
        starts: [u32; 2],
        first: Spanned<CompareOp>,
        operand: impl FnOnce(&mut Self) -> Result<T, Failed>,
        two: impl FnOnce([&str; 3], [CompareOp; 2]) -> String,
    ) -> Result<(), Failed> {
        let [start, middle] = starts;
        let end = self.previous_end();
        let Some(second) = self.comparison() else { return Ok(()) };
        let last = self.token().start;
        let before = self.reports.len();
        let complete = operand(self).is_ok();
        // A mistake in it waits until there is one comparison.
        self.reports.truncate(before);
        let operands = [(start, first.span.start), (middle, end), (last, self.previous_end())];
        let help = if complete {
            let written = operands.map(|(start, end)| {
                let words: Vec<&str> = self.slice(start, end).split_whitespace().collect();
                shorten(&words.join(" "))
            });
            two(written.each_ref().map(String::as_str), [first.value, second.value])
        } else {
            "write two comparisons, joined by `and`".to_owned()
        };
        self.report(
            Diagnostic::new(Code::ChainedComparison, "comparisons do not chain")
                .at(second.span, "second comparison")
                .and_at(first.span, "first comparison")
                .help(help),
        );
        Err(Failed)
    }

    /// Takes a sign of comparison and moves over a line end behind it.
    pub(super) fn comparison(&mut self) -> Option<Spanned<CompareOp>> {
        let token = self.token();
        let op = match token.kind {
            Kind::Less => CompareOp::Less,
            Kind::AtMost => CompareOp::AtMost,
            Kind::Greater => CompareOp::Greater,
            Kind::AtLeast => CompareOp::AtLeast,
            Kind::EqualEqual => CompareOp::Equal,
            Kind::NotEqual => CompareOp::NotEqual,
            Kind::Equals => {
                self.report(
                    Diagnostic::new(Code::WrongEquals, "a formula compares with `==`")
                        .at(self.span_of(token), "expected `==`")
                        .help(Advice::replace("write `==`; `=` defines, and compares behind `where`", "==")),
                );
                CompareOp::Equal
            }
            _ => return None,
        };
        self.advance();
        self.continue_line();
        Some(Spanned::new(op, self.span_of(token)))
    }
}

fn find_for<'f, 'a>(formula: &'f Formula<'a>) -> Option<&'f Clause<'a>> {
    formula.clauses.iter().find(|clause| matches!(clause.kind, ClauseKind::For(_)))
}
