//! Files, blocks and statements.

use chaos_core::span::Span;

use super::token::{Kind, Token};
use super::{Cursor, Failed, MAX_STATEMENTS};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::Advice;
use crate::syntax::{Block, File, Item, ItemKind, Statement, Symbol, Trivia};
use crate::words;

/// What the statements of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Keywords with their items.
    Statements,
    /// `"name": formula`
    Claims,
    /// Formulas.
    Formulas,
}

impl<'a> Cursor<'a> {
    /// Reads the whole text.
    pub(super) fn file(&mut self) -> File<'a> {
        let mut statements = Vec::new();
        let mut trailing = Vec::new();
        loop {
            let (mut read, mut rest) = self.statements(Mode::Statements, true);
            statements.append(&mut read);
            trailing.append(&mut rest);
            match self.kind() {
                Kind::CloseBrace => {
                    let brace = self.advance();
                    let mut report = Diagnostic::new(Code::StrayBracket, "`}` closes nothing")
                        .at(self.span_of(brace), "no block is open here")
                        .help("remove it");
                    if let Some(suspect) = self.suspect.take() {
                        report =
                            report.and_at(suspect, "this block ends at another indentation than it begins");
                    }
                    self.report(report);
                }
                _ => break,
            }
        }
        File { id: self.file, statements, trailing }
    }

    /// Reads statements up to a closing brace or the end, and what trails them.
    fn statements(&mut self, mode: Mode, mut line_start: bool) -> (Vec<Statement<'a>>, Vec<Trivia<'a>>) {
        let mut statements: Vec<Statement<'a>> = Vec::new();
        let mut leading = Vec::new();
        loop {
            let token = self.token();
            match token.kind {
                Kind::End | Kind::CloseBrace => break,
                Kind::Newline => {
                    let nothing_yet = statements.is_empty() && leading.is_empty();
                    if line_start && !nothing_yet && leading.last() != Some(&Trivia::Blank) {
                        leading.push(Trivia::Blank);
                    }
                    line_start = true;
                    self.advance();
                }
                Kind::Comment => {
                    self.advance();
                    let comment = self.token_text(token).trim_end();
                    match statements.last_mut() {
                        Some(last) if !line_start && last.comment.is_none() => last.comment = Some(comment),
                        _ => leading.push(Trivia::Comment(comment)),
                    }
                    line_start = false;
                }
                Kind::Comma if !statements.is_empty() => {
                    self.advance();
                }
                Kind::OpenBrace => {
                    self.brace_on_own_line(statements.last_mut());
                    line_start = false;
                }
                _ => {
                    if self.leaves_out_brace(token) {
                        break;
                    }
                    self.statements += 1;
                    if self.statements > MAX_STATEMENTS {
                        let what = format!("more than {MAX_STATEMENTS} statements in one file");
                        self.too_much(token.start, token.end, &what);
                        break;
                    }
                    let start = self.at;
                    self.moved.clear();
                    match self.statement(mode) {
                        Ok(mut statement) => {
                            leading.extend(self.moved.drain(..).map(Trivia::Comment));
                            statement.leading = std::mem::take(&mut leading);
                            statements.push(statement);
                        }
                        Err(Failed) => self.skip_statement(start),
                    }
                    line_start = false;
                }
            }
        }
        while leading.last() == Some(&Trivia::Blank) {
            leading.pop();
        }
        (statements, leading)
    }

    /// Reads one statement and makes sure that nothing stands behind it.
    fn statement(&mut self, mode: Mode) -> Result<Statement<'a>, Failed> {
        let start = self.token().start;
        self.leading_operator()?;
        let (label, items) = match mode {
            Mode::Claims if self.word() != Some("judge") => self.claim()?,
            Mode::Formulas => (None, vec![self.formula_item()?]),
            _ => (None, self.keyword_statement()?),
        };
        if !self.at_end() {
            return Err(match self.kind() {
                Kind::CloseParen | Kind::CloseList => {
                    let token = self.token();
                    let sign = self.token_text(token);
                    self.report(
                        Diagnostic::new(Code::StrayBracket, format!("`{sign}` closes nothing"))
                            .at(self.span_of(token), "no such bracket is open here")
                            .help("remove it"),
                    );
                    Failed
                }
                _ => {
                    let advice = match mode {
                        Mode::Claims | Mode::Formulas => self.instead_of_during(),
                        Mode::Statements => None,
                    };
                    let end = || "a statement ends with its line or a comma".into();
                    self.expected_so("the end of the statement", Some(advice.unwrap_or_else(end)))
                }
            });
        }
        let span = self.span(start, self.previous_end());
        Ok(Statement { leading: Vec::new(), label, items, comment: None, span })
    }

    /// Returns what was meant by another language's word for `during`, behind a claim.
    fn instead_of_during(&self) -> Option<Advice> {
        let phase = self.nth_word(1)?;
        matches!(self.word()?, "in" | "while" | "throughout" | "under" | "when")
            .then(|| Advice::replace(format!("did you mean `during {phase}`?"), "during"))
    }

    /// Reads `"name": formula`.
    fn claim(&mut self) -> Result<(Option<Item<'a>>, Vec<Item<'a>>), Failed> {
        let token = self.token();
        let label = match token.kind {
            Kind::Text | Kind::BlockText => Some(self.value("a name in quotes")?),
            _ => {
                let reports = self.reports.len();
                let formula = self.formula();
                if self.reports.len() == reports {
                    let end = formula.as_ref().map_or(token.end, |f| f.span.end);
                    self.report(
                        Diagnostic::new(Code::MissingLabel, "an expectation needs a name")
                            .at(self.span(token.start, end), "nothing to call it in a report")
                            .help("write `\"what is expected\": formula`"),
                    );
                }
                return Err(Failed);
            }
        };
        if self.eat(Kind::Colon).is_none() {
            if self.kind() != Kind::Bad {
                let end = self.previous_end();
                self.report(
                    Diagnostic::new(Code::MissingColon, "the name of an expectation is followed by `:`")
                        .at(self.span(end, end), "expected `:`")
                        .help("write `\"what is expected\": formula`"),
                );
            }
            if self.at_end() {
                return Err(Failed);
            }
        }
        self.continue_line();
        Ok((label, vec![self.formula_item()?]))
    }

    /// Reads a formula as an item.
    pub(super) fn formula_item(&mut self) -> Result<Item<'a>, Failed> {
        let formula = self.formula()?;
        let span = formula.span;
        Ok(Item::new(ItemKind::Formula(Box::new(formula)), span))
    }

    /// Reads a keyword with what its shape asks for, and the items behind it.
    fn keyword_statement(&mut self) -> Result<Vec<Item<'a>>, Failed> {
        let Some(keyword) = self.word() else {
            return match self.kind() {
                Kind::Number | Kind::Text | Kind::BlockText | Kind::OpenList | Kind::Clock => {
                    self.items(Vec::new())
                }
                _ => Err(self.expected("a statement", None)),
            };
        };
        let mut items = vec![self.value("a keyword")?];
        self.guard_word(keyword)?;
        let defines = words::DEFINITIONS.contains(&keyword);
        if defines || words::NAMED.contains(&keyword) {
            items.push(self.name(keyword, defines)?);
        }
        if defines {
            let equals = self.equals(keyword, &items)?;
            items.push(equals);
        }
        if words::TITLED.contains(&keyword) && !matches!(self.kind(), Kind::Text | Kind::BlockText) {
            let what = if keyword == "use" { "a path in quotes" } else { "a title in quotes" };
            return Err(self
                .expected(&format!("{what} after `{keyword}`"), Some(&format!("write `{keyword} \"…\"`"))));
        }
        self.items(items)
    }

    /// Reports another language's word behind `abort` and `stop`: `abort if success(get) < 95%`.
    fn guard_word(&mut self, keyword: &str) -> Result<(), Failed> {
        let guards = words::FORMULA_AFTER.iter().any(|(first, then)| *first == keyword && *then == "when");
        match self.word() {
            Some(word @ ("if" | "on" | "once" | "unless")) if guards => {
                let message = format!("`{keyword} {word}` is not how a condition begins");
                let advice = match word {
                    "unless" => format!("write `{keyword} when`, and the opposite of the condition").into(),
                    _ => Advice::replace(format!("write `{keyword} when`"), "when"),
                };
                let at = self.span_of(self.token());
                self.report(
                    Diagnostic::new(Code::Unexpected, message).at(at, "expected `when`").help(advice),
                );
                Err(Failed)
            }
            _ => Ok(()),
        }
    }

    /// Reads the name behind a keyword.
    fn name(&mut self, keyword: &str, defines: bool) -> Result<Item<'a>, Failed> {
        let token = self.token();
        if token.kind != Kind::Word {
            if token.kind != Kind::Bad {
                let example = if defines {
                    format!("write `{keyword} NAME = …`")
                } else {
                    format!("write `{keyword} NAME`")
                };
                let end = self.previous_end();
                let span = if self.at_end() { self.span(end, end) } else { self.span_of(token) };
                self.report(
                    Diagnostic::new(Code::MissingName, format!("`{keyword}` needs a name"))
                        .at(span, "expected a name")
                        .help(example),
                );
            }
            return Err(Failed);
        }
        let name = self.token_text(token);
        let introduces = keyword != "inject" && keyword != "make";
        if introduces && words::is_reserved(name) {
            self.report(
                Diagnostic::new(
                    Code::KeywordAsName,
                    format!("`{name}` is a word of the language and no name"),
                )
                .at(self.span_of(token), "needs another name")
                .help(format!("choose another name, such as `{name}_1`")),
            );
        } else if name.contains(['*', '.']) {
            self.report(
                Diagnostic::new(Code::MissingName, format!("`{name}` is not a name"))
                    .at(self.span_of(token), "expected a plain name")
                    .help("names consist of letters, digits, `_` and `-`"),
            );
        }
        self.advance();
        Ok(Item::new(ItemKind::Word(name), self.span_of(token)))
    }

    /// Reads the `=` of a definition.
    fn equals(&mut self, keyword: &str, items: &[Item<'a>]) -> Result<Item<'a>, Failed> {
        let token = self.token();
        let name = items.last().and_then(Item::as_word).map_or("NAME", |w| w.text);
        match token.kind {
            Kind::Equals => {
                self.advance();
            }
            Kind::EqualEqual | Kind::Colon => {
                self.report(
                    Diagnostic::new(Code::WrongEquals, "a definition is written with `=`")
                        .at(self.span_of(token), "expected `=`")
                        .help(format!("write `{keyword} {name} = …`")),
                );
                self.advance();
            }
            Kind::Bad => return Err(Failed),
            _ => {
                let end = self.previous_end();
                self.report(
                    Diagnostic::new(
                        Code::MissingEquals,
                        format!("`{keyword} {name}` is not followed by `=`"),
                    )
                    .at(self.span(end, end), "expected `=`")
                    .help(format!("write `{keyword} {name} = …`")),
                );
                return Err(Failed);
            }
        }
        self.continue_line();
        if matches!(self.kind(), Kind::Comma | Kind::CloseBrace | Kind::End) {
            self.report(
                Diagnostic::new(Code::MissingBody, format!("`{keyword} {name}` defines nothing"))
                    .at(self.span_of(token), "nothing follows")
                    .help(format!("write what `{name}` is after the `=`")),
            );
            return Err(Failed);
        }
        Ok(Item::new(ItemKind::Symbol(Symbol::Equals), self.span_of(token)))
    }

    /// Reads a block from its opening brace on.
    pub(super) fn block(&mut self, mode: Mode, keyword: &'a str) -> Result<Block<'a>, Failed> {
        let open = self.advance();
        self.open.push((keyword, self.span_of(open)));
        let moved = std::mem::take(&mut self.moved);
        let result = self.deeper(|cursor| {
            let comment = cursor.eat(Kind::Comment).map(|token| cursor.token_text(token).trim_end());
            let one_line = cursor.eat(Kind::Newline).is_none();
            let (statements, trailing) = cursor.statements(mode, !one_line);
            Ok((comment, one_line, statements, trailing))
        });
        self.moved = moved;
        self.open.pop();
        let (comment, one_line, statements, trailing) = result?;
        let one_line = one_line && !self.slice(open.end, self.token().start).contains('\n');
        let Some(close) = self.eat(Kind::CloseBrace) else {
            if !std::mem::replace(&mut self.ended, true) {
                let mut report = Diagnostic::new(Code::UnclosedBracket, "a block is never closed")
                    .at(self.span_of(open), "opened here")
                    .help("write `}` behind its last statement");
                if let Some(suspect) = self.suspect {
                    report = report.and_at(suspect, "this block ends at another indentation than it begins");
                } else if self.kind() != Kind::End {
                    report = report.and_at(self.span_of(self.token()), "still open here");
                }
                self.report(report);
            }
            return Err(Failed);
        };
        if !one_line && self.suspect.is_none() && self.indentation(open) != self.indentation(close) {
            self.suspect = Some(self.span_of(open));
        }
        Ok(Block { comment, statements, trailing, one_line, span: self.span(open.start, close.end) })
    }

    fn indentation(&self, token: Token) -> usize {
        let before = &self.text[..token.start as usize];
        let line = &before[before.rfind('\n').map_or(0, |i| i + 1)..];
        line.len() - line.trim_start().len()
    }

    /// Reads a brace that begins a line, as the block of the statement before.
    fn brace_on_own_line(&mut self, previous: Option<&mut Statement<'a>>) {
        let open = self.token();
        let adopt = previous.filter(|statement| statement.block().is_none());
        let keyword = adopt.as_ref().map_or("", |statement| statement.keyword());
        let mode = match &adopt {
            Some(statement) => Self::mode(&statement.items),
            None => Mode::Statements,
        };
        let behind = adopt.as_ref().map(|statement| self.span(statement.span.end, statement.span.end));
        self.report(
            Diagnostic::new(Code::BraceOnOwnLine, "a block begins on the line of its statement")
                .at(behind.unwrap_or(self.span_of(open)), "`{` belongs here")
                .and_at(self.span_of(open), "not here")
                .help("move the `{` to the end of the line before"),
        );
        let Ok(block) = self.block(mode, keyword) else { return };
        if let Some(statement) = adopt {
            let span = block.span;
            statement.items.push(Item::new(ItemKind::Block(Box::new(block)), span));
            statement.span = statement.span.to(span);
        }
    }

    /// Reports a line that begins with what should have ended the line before.
    fn leading_operator(&mut self) -> Result<(), Failed> {
        let token = self.token();
        let operator = match token.kind {
            Kind::Word => matches!(self.word(), Some("and" | "or")),
            Kind::Equals
            | Kind::Arrow
            | Kind::Link
            | Kind::DotDot
            | Kind::Plus
            | Kind::Minus
            | Kind::Less => true,
            Kind::AtMost | Kind::Greater | Kind::AtLeast | Kind::EqualEqual | Kind::NotEqual => true,
            _ => false,
        };
        if !operator {
            return Ok(());
        }
        let sign = self.token_text(token);
        self.report(
            Diagnostic::new(Code::LeadingOperator, format!("a statement cannot begin with `{sign}`"))
                .at(self.span_of(token), "the statement before ended with its line")
                .help(format!("end the line before with `{sign}`: a line goes on after an operator")),
        );
        Err(Failed)
    }

    /// Returns whether a new experiment begins although the one before was not closed.
    fn leaves_out_brace(&self, token: Token) -> bool {
        let begins_line = token.start == 0 || self.text.as_bytes()[token.start as usize - 1] == b'\n';
        begins_line
            && matches!(self.word(), Some("experiment" | "gameday" | "use"))
            && self.open.first().is_some_and(|(keyword, _)| *keyword == "experiment")
    }

    /// Returns what the block behind these items holds.
    pub(super) fn mode(items: &[Item<'a>]) -> Mode {
        match items {
            [expect] if expect.is_word("expect") => Mode::Claims,
            [steady, state, ..] if steady.is_word("steady") && state.is_word("state") => Mode::Formulas,
            _ => Mode::Statements,
        }
    }

    /// Returns what the block of the statement that begins at a token holds.
    pub(super) fn mode_of(&self, start: usize) -> Mode {
        match (self.keyword_at(start), self.tokens.get(start + 1).map(|t| self.token_text(*t))) {
            ("expect", _) => Mode::Claims,
            ("steady", Some("state")) => Mode::Formulas,
            _ => Mode::Statements,
        }
    }

    /// Returns the word at a token, empty if it is none.
    pub(super) fn keyword_at(&self, index: usize) -> &'a str {
        let token = self.tokens[index];
        if token.kind == Kind::Word { self.token_text(token) } else { "" }
    }

    /// Returns the place of a whole item list.
    pub(super) fn span_from(&self, start: u32) -> Span {
        self.span(start, self.previous_end())
    }
}
