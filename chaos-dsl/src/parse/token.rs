//! Text to tokens, by nom.
//!
//! Tokens carry a kind and a place only, so the whole list costs one allocation; strings and quantities are read from
//! their slice when they are used. A mistake becomes a diagnostic and the token that was most likely meant.

mod lexeme;
mod mistake;

use chaos_core::span::{FileId, Span};
use nom::IResult;
use nom::bytes::complete::{tag, take, take_until, take_while};
use nom_locate::LocatedSpan;

use self::lexeme::{block_text, clock, ipv6, line_text, number, skip, word};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS};

pub(crate) use self::mistake::is_forbidden;

/// The rest of the text, which knows its offset.
pub(super) type Input<'a> = LocatedSpan<&'a str>;

/// A token: its kind and its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Clock,
    /// An IPv6 address, in brackets or not.
    Address,
    Text,
    BlockText,
    Comment,
    Newline,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    OpenList,
    CloseList,
    Comma,
    Colon,
    Equals,
    Arrow,
    Link,
    DotDot,
    Plus,
    Minus,
    Percent,
    Slash,
    Less,
    AtMost,
    Greater,
    AtLeast,
    EqualEqual,
    NotEqual,
    /// `@`, in the notation of formulas only.
    At,
    /// Something a diagnostic was already given for.
    Bad,
    End,
}

impl Kind {
    /// Returns what it is called in "expected …, found …".
    pub(super) fn describe(self) -> Option<&'static str> {
        Some(match self {
            Kind::Newline | Kind::Comment => "the end of the line",
            Kind::End => "the end of the file",
            Kind::Text | Kind::BlockText => "a string",
            _ => return None,
        })
    }
}

/// Splits a text into tokens; the last one is always [`Kind::End`].
pub(super) fn tokenize(file: FileId, text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    scan(file, text, false)
}

/// Splits a formula in core notation into tokens, with `@` and without the ends of lines.
pub(super) fn tokenize_formula(file: FileId, text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let (mut tokens, diagnostics) = scan(file, text, true);
    tokens.retain(|token| !matches!(token.kind, Kind::Newline | Kind::Comment));
    (tokens, diagnostics)
}

fn scan(file: FileId, text: &str, notation: bool) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut scanner = Scanner {
        file,
        tokens: Vec::with_capacity(text.len() / 5 + 1),
        diagnostics: Vec::new(),
        tab: false,
        notation,
    };
    let mut input = Input::new(text);
    if let Ok((rest, _)) = tag::<_, _, nom::error::Error<Input<'_>>>("\u{feff}")(input) {
        input = rest;
    }
    while let Some(rest) = scanner.step(input) {
        input = rest;
    }
    scanner.push(Kind::End, input, input);
    (scanner.tokens, scanner.diagnostics)
}

struct Scanner {
    file: FileId,
    tokens: Vec<Token>,
    diagnostics: Vec<Diagnostic>,
    tab: bool,
    notation: bool,
}

impl Scanner {
    /// Reads one token, or white space; none at the end.
    fn step<'a>(&mut self, input: Input<'a>) -> Option<Input<'a>> {
        // Formulas have no addresses.
        if !self.notation
            && let Ok((rest, _)) = ipv6(input)
        {
            self.push(Kind::Address, input, rest);
            return Some(rest);
        }
        let bytes = input.fragment().as_bytes();
        let (first, second) = (*bytes.first()?, bytes.get(1).copied().unwrap_or(0));
        let (kind, length) = match (first, second) {
            (b' ', _) => return Some(skip(take_while(|c| c == ' ')(input))),
            (b'\t', _) => return Some(self.tab(input)),
            (b'\n', _) => (Kind::Newline, 1usize),
            (b'\r', b'\n') => (Kind::Newline, 2),
            (b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'*', _) => {
                return Some(self.word(input));
            }
            (b'0'..=b'9', _) => return Some(self.number(input)),
            (b'"', _) => return Some(self.text(input)),
            (b'#', _) => return Some(self.comment(input)),
            (b'{', _) => (Kind::OpenBrace, 1),
            (b'}', _) => (Kind::CloseBrace, 1),
            (b'(', _) => (Kind::OpenParen, 1),
            (b')', _) => (Kind::CloseParen, 1),
            (b'[', _) => (Kind::OpenList, 1),
            (b']', _) => (Kind::CloseList, 1),
            (b',', _) => (Kind::Comma, 1),
            (b':', _) => (Kind::Colon, 1),
            (b'-', b'>') => (Kind::Arrow, 2),
            (b'<', b'-') if bytes.get(2) == Some(&b'>') => (Kind::Link, 3),
            (b'.', b'.') => (Kind::DotDot, 2),
            (b'+', _) => (Kind::Plus, 1),
            (b'-', b'-') => return Some(self.comment(input)),
            (b'-', _) => (Kind::Minus, 1),
            (b'%', _) => (Kind::Percent, 1),
            (b'<', b'=') => (Kind::AtMost, 2),
            (b'<', _) => (Kind::Less, 1),
            (b'>', b'=') => (Kind::AtLeast, 2),
            (b'>', _) => (Kind::Greater, 1),
            (b'=', b'=') => (Kind::EqualEqual, 2),
            (b'!', b'=') => (Kind::NotEqual, 2),
            (b'=', b'<' | b'>') => return Some(self.swapped(input)),
            (b'=', _) => (Kind::Equals, 1),
            (b'@', _) if self.notation => (Kind::At, 1),
            (b'/', b'/' | b'*') => return Some(self.comment(input)),
            (b'/', _) => (Kind::Slash, 1),
            _ => return Some(self.mistake(input)),
        };
        Some(self.token(kind, take(length)(input), input))
    }

    fn push(&mut self, kind: Kind, from: Input<'_>, to: Input<'_>) {
        self.tokens.push(Token {
            kind,
            start: from.location_offset() as u32,
            end: to.location_offset() as u32,
        });
    }

    fn token<'a>(&mut self, kind: Kind, read: IResult<Input<'a>, Input<'a>>, from: Input<'a>) -> Input<'a> {
        let rest = skip(read);
        self.push(kind, from, rest);
        rest
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    fn span(&self, from: Input<'_>, length: usize) -> Span {
        let start = from.location_offset() as u32;
        Span::new(self.file, start, start + length as u32)
    }

    /// Skips tabs; the first one of a file gets a warning, which `chaos fmt` settles for all of them.
    fn tab<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        if !std::mem::replace(&mut self.tab, true) {
            self.report(
                Diagnostic::new(Code::Tab, "a tab outside of a string")
                    .at(self.span(input, 1), "first tab of this file")
                    .help("indent by two spaces; `chaos fmt` replaces all tabs"),
            );
        }
        skip(take_while(|c| c == '\t')(input))
    }

    /// Reads a word, or a URL that lacks its quotes: what follows its `:` would not be a comment, and would not end its line.
    fn word<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let rest = skip(word(input));
        if rest.fragment().starts_with("://") {
            return self.bare_url(input);
        }
        self.push(Kind::Word, input, rest);
        rest
    }

    fn number<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        match clock(input) {
            Ok((rest, _)) => {
                self.push(Kind::Clock, input, rest);
                rest
            }
            Err(_) => self.token(Kind::Number, number(input), input),
        }
    }

    /// Reads a comment to the end of its line; those of other languages get a diagnostic.
    fn comment<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let sign = if input.fragment().starts_with('#') { "#" } else { &input.fragment()[..2] };
        if sign == "/*" {
            self.report(
                Diagnostic::new(Code::ForeignComment, "`/* … */` is not a comment here")
                    .at(self.span(input, 2), "comments begin with `#`")
                    .help("begin each line of the comment with `#`"),
            );
            let end = take_until::<_, _, nom::error::Error<Input<'a>>>("*/")(input);
            return match end.and_then(|(rest, _)| take(2usize)(rest)) {
                Ok((rest, _)) => rest,
                Err(_) => skip(take(input.fragment().len())(input)),
            };
        }
        if !sign.starts_with('#') {
            self.report(
                Diagnostic::new(Code::ForeignComment, format!("`{sign}` is not a comment here"))
                    .at(self.span(input, 2), "comments begin with `#`")
                    .help("write `#`"),
            );
        }
        let rest = skip(take_while(|c| c != '\n')(input));
        self.forbidden(input, rest);
        self.push(Kind::Comment, input, rest);
        rest
    }

    fn text<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let block = input.fragment().starts_with("\"\"\"");
        let read = if block { block_text(input) } else { line_text(input, '"') };
        if let Ok((rest, _)) = read {
            self.forbidden(input, rest);
            self.push(if block { Kind::BlockText } else { Kind::Text }, input, rest);
            return rest;
        }
        if block {
            self.report(
                Diagnostic::new(Code::UnterminatedText, "a string is never closed")
                    .at(self.span(input, 3), "opened here")
                    .help("close it with `\"\"\"`"),
            );
            return self.token(Kind::Bad, take(input.fragment().len())(input), input);
        }
        let rest = skip(take_while(|c| c != '\n' && c != '\r')(input));
        self.report(
            Diagnostic::new(Code::UnterminatedText, "a string does not end on its line")
                .at(self.span(input, rest.location_offset() - input.location_offset()), "no closing `\"`")
                .help("close it with `\"`, or write `\"\"\"…\"\"\"` for several lines"),
        );
        self.push(Kind::Bad, input, rest);
        rest
    }
}

/// Cuts a text for a message.
pub(super) fn shorten(text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
