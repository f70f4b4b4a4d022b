//! Text to tree, going on after every mistake.
//!
//! [`token`] splits the text by nom; the constructs then read tokens, one file each, and never go back over what they
//! have read. A mistake is reported where it stands and fails its statement only: the parser goes on behind the
//! statement, so one run reports all mistakes of a file. Likely mistakes are parsed on purpose, to say what to write instead.

mod condition;
mod formula;
mod item;
mod quantity;
mod recover;
mod statement;
mod temporal;
mod term;
mod text;
mod token;

use chaos_core::span::{FileId, Span};
use chaos_core::{time::Nanos, trouble::Trouble};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Remark};
use crate::read::{MAX_FILE_BYTES, too_large};
use crate::suggest::Advice;
use crate::syntax::{Decimal, File, ItemKind, Quantity, Temporal, Unit};
pub(crate) use token::is_forbidden;
use token::{Kind, Token};

/// How deep blocks, lists, parentheses and operators may stand in each other.
pub const MAX_DEPTH: usize = 64;

/// How many statements a file may have.
pub const MAX_STATEMENTS: usize = 100_000;

/// How many items a statement, a list, an argument or a formula's chain may have.
pub const MAX_ITEMS: usize = 1_000;

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Parsed<'a> {
    /// The statements that could be read.
    pub tree: File<'a>,
    /// What is wrong, in order of place, at most [`MAX_DIAGNOSTICS`].
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed<'_> {
    /// Returns whether the tree is the whole text.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a text of at most [`MAX_FILE_BYTES`].
pub fn parse(file: FileId, text: &str) -> Parsed<'_> {
    if text.len() > MAX_FILE_BYTES {
        let diagnostic =
            too_large("the text", Some(text.len() as u64)).at(Span::new(file, 0, 0), "the whole text");
        return Parsed { tree: File { id: file, ..File::default() }, diagnostics: vec![diagnostic] };
    }
    let (tokens, diagnostics) = token::tokenize(file, text);
    let mut cursor = Cursor::new(file, text, tokens);
    let tree = cursor.file();
    Parsed { tree, diagnostics: cursor.diagnostics(diagnostics) }
}

/// Parses a formula in core notation, or as claims are written, of at most [`MAX_FILE_BYTES`].
///
/// # Errors
///
/// What is wrong, in order of place.
pub fn parse_temporal(file: FileId, text: &str) -> Result<Temporal<'_>, Vec<Diagnostic>> {
    if text.len() > MAX_FILE_BYTES {
        return Err(vec![
            too_large("the formula", Some(text.len() as u64)).at(Span::new(file, 0, 0), "the whole text"),
        ]);
    }
    let (tokens, diagnostics) = token::tokenize_formula(file, text);
    let mut cursor = Cursor::new(file, text, tokens);
    let formula = cursor.whole_temporal();
    let diagnostics = cursor.diagnostics(diagnostics);
    match formula {
        Ok(formula) if !diagnostics.iter().any(Diagnostic::is_error) => Ok(formula),
        _ => Err(diagnostics),
    }
}

/// Reads a length of time; zero needs no unit.
///
/// # Errors
///
/// What is wrong, and what to write.
pub fn duration(text: &str) -> Result<Nanos, Trouble> {
    const HELP: &str = "write a length of time: `30s`, `1m30s`, `250ms`";
    let number = text.starts_with(|c: char| c.is_ascii_digit()).then(|| quantity::number(text));
    let Some(number) = number else {
        return Err(Trouble::unable(format!("`{text}` is not a length of time")).with_help(HELP));
    };
    match number.map_err(|wrong| {
        let Remark { message, help, .. } = wrong.remark;
        Trouble::unable(message).with_help(help.unwrap_or_else(|| HELP.to_owned()))
    })? {
        ItemKind::Quantity(Quantity { value, unit: Unit::Duration, .. }) => {
            let nanos = value.whole().and_then(|nanos| Nanos::try_from(nanos).ok());
            nanos.filter(|nanos| *nanos <= Nanos::MAX / 4).ok_or_else(|| {
                Trouble::unable(format!("`{text}` is too long")).with_help("nothing that long can be meant")
            })
        }
        ItemKind::Quantity(Quantity { value, unit: Unit::Count, .. }) if value == Decimal::default() => Ok(0),
        ItemKind::Quantity(Quantity { unit: Unit::Count, .. }) => {
            let help = format!("write `{text}s` or `{text}ms`");
            Err(Trouble::unable(format!("`{text}` has no unit")).with_help(help))
        }
        _ => Err(Trouble::unable(format!("`{text}` is not a length of time")).with_help(HELP)),
    }
}

/// A mistake was reported; the statement it stands in cannot be read on.
#[derive(Clone, Copy, Debug)]
struct Failed;

/// The parser's place in the tokens.
struct Cursor<'a> {
    file: FileId,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    reports: Vec<Diagnostic>,
    /// Comments found within the current statement.
    moved: Vec<&'a str>,
    depth: usize,
    statements: usize,
    /// The braces that are open, with the keyword of their statement.
    open: Vec<(&'a str, Span)>,
    /// A block whose braces stand at different indentations: where a brace is probably missing.
    suspect: Option<Span>,
    /// Whether the rest of the file is not to be looked at.
    ended: bool,
}

impl<'a> Cursor<'a> {
    fn new(file: FileId, text: &'a str, tokens: Vec<Token>) -> Self {
        Cursor {
            file,
            text,
            tokens,
            at: 0,
            reports: Vec::new(),
            moved: Vec::new(),
            depth: 0,
            statements: 0,
            open: Vec::new(),
            suspect: None,
            ended: false,
        }
    }

    /// Returns all diagnostics, in order of place.
    fn diagnostics(self, scanned: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut diagnostics: Vec<_> = scanned.into_iter().chain(self.reports).collect();
        diagnostics.sort_by_key(|d| (d.place().map(|span| span.start), d.severity));
        diagnostics.dedup();
        diagnostics.truncate(MAX_DIAGNOSTICS);
        diagnostics
    }

    fn token(&self) -> Token {
        self.nth(0)
    }

    fn nth(&self, ahead: usize) -> Token {
        self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> Kind {
        self.token().kind
    }

    /// Moves behind the current token and returns it; the end stays the end.
    fn advance(&mut self) -> Token {
        let token = self.token();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn eat(&mut self, kind: Kind) -> Option<Token> {
        (self.kind() == kind).then(|| self.advance())
    }

    fn slice(&self, start: u32, end: u32) -> &'a str {
        &self.text[start as usize..end as usize]
    }

    fn token_text(&self, token: Token) -> &'a str {
        self.slice(token.start, token.end)
    }

    /// Returns the current word, or nothing.
    fn word(&self) -> Option<&'a str> {
        self.nth_word(0)
    }

    fn nth_word(&self, ahead: usize) -> Option<&'a str> {
        let token = self.nth(ahead);
        (token.kind == Kind::Word).then(|| self.token_text(token))
    }

    fn eat_word(&mut self, word: &str) -> Option<Token> {
        (self.word() == Some(word)).then(|| self.advance())
    }

    fn span(&self, start: u32, end: u32) -> Span {
        Span::new(self.file, start, end)
    }

    fn span_of(&self, token: Token) -> Span {
        self.span(token.start, token.end)
    }

    /// Returns the end of the token before the current one.
    fn previous_end(&self) -> u32 {
        if self.at == 0 { 0 } else { self.tokens[self.at - 1].end }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.reports.len() < MAX_DIAGNOSTICS {
            self.reports.push(diagnostic);
        }
    }

    /// Reports that something else was expected at the current token, unless that was reported already.
    fn expected(&mut self, what: &str, help: Option<&str>) -> Failed {
        self.expected_so(what, help.map(Advice::from))
    }

    /// Reports the same, with advice that may say what to write in place of the token.
    fn expected_so(&mut self, what: &str, advice: Option<Advice>) -> Failed {
        let token = self.token();
        if token.kind != Kind::Bad {
            let found = match token.kind.describe() {
                Some(name) => name.to_owned(),
                None => format!("`{}`", token::shorten(self.token_text(token))),
            };
            let behind = matches!(token.kind, Kind::Newline | Kind::End | Kind::Comment);
            let span = if behind {
                self.span(self.previous_end(), self.previous_end())
            } else {
                self.span_of(token)
            };
            let message = format!("expected {what}, found {found}");
            let mut diagnostic =
                Diagnostic::new(Code::Unexpected, message).at(span, format!("expected {what}"));
            if let Some(advice) = advice {
                diagnostic.advise(advice);
            }
            self.report(diagnostic);
        }
        Failed
    }

    /// Reports that a limit is exceeded and ends the parse: what follows would only repeat it.
    fn too_much(&mut self, start: u32, end: u32, what: &str) -> Failed {
        if !std::mem::replace(&mut self.ended, true) {
            self.report(
                Diagnostic::new(Code::TooMuch, what)
                    .at(self.span(start, end), "the limit is exceeded here")
                    .help("split it up; the limits protect every reader of this file"),
            );
        }
        self.at = self.tokens.len() - 1;
        Failed
    }

    /// Runs a parser one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Failed>) -> Result<T, Failed> {
        if self.depth == MAX_DEPTH {
            let token = self.token();
            return Err(self.too_much(
                token.start,
                token.end,
                &format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Moves over line ends and comments where a statement goes on; its comments are kept.
    fn continue_line(&mut self) {
        loop {
            match self.kind() {
                Kind::Newline => {}
                Kind::Comment => {
                    let comment = self.token_text(self.token()).trim_end();
                    self.moved.push(comment);
                }
                _ => return,
            }
            self.advance();
        }
    }

    /// Returns whether a statement ends here.
    fn at_end(&self) -> bool {
        matches!(self.kind(), Kind::Newline | Kind::Comma | Kind::CloseBrace | Kind::Comment | Kind::End)
    }
}

#[cfg(test)]
mod tests;
