//! Text to tokens, by nom.
//!
//! Tokens carry a kind and a place only, so the whole list costs one allocation; strings and quantities are read from
//! their slice when they are used. A mistake becomes a diagnostic and the token that was most likely meant.

use chaos_core::span::{FileId, Span};
use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_until, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1, satisfy};
use nom::combinator::{not, recognize};
use nom::multi::many0_count;
use nom::sequence::preceded;
use nom::{IResult, Parser};
use nom_locate::LocatedSpan;

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, MAX_DIAGNOSTICS};

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
        let bytes = input.fragment().as_bytes();
        let (first, second) = (*bytes.first()?, bytes.get(1).copied().unwrap_or(0));
        let (kind, length) = match (first, second) {
            (b' ', _) => return Some(skip(take_while(|c| c == ' ')(input))),
            (b'\t', _) => return Some(self.tab(input)),
            (b'\n', _) => (Kind::Newline, 1usize),
            (b'\r', b'\n') => (Kind::Newline, 2),
            (b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'*', _) => {
                return Some(self.token(Kind::Word, word(input), input));
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
                Diagnostic::new(Code::ForeignComment, "`/* … */` is no comment here")
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
                Diagnostic::new(Code::ForeignComment, format!("`{sign}` is no comment here"))
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

    fn swapped<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let found = &input.fragment()[..2];
        let (kind, meant) = if found == "=<" { (Kind::AtMost, "<=") } else { (Kind::AtLeast, ">=") };
        self.report(
            Diagnostic::new(Code::ForeignSyntax, format!("`{found}` is no operator"))
                .at(self.span(input, 2), "not known")
                .help(format!("write `{meant}`")),
        );
        self.token(kind, take(2usize)(input), input)
    }

    /// Reads what begins no token, says what was likely meant, and goes on with that.
    fn mistake<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let text = *input.fragment();
        let first = text.chars().next().unwrap_or(' ');
        if is_forbidden(first) {
            let rest = skip(take_while(is_forbidden)(input));
            self.forbidden(input, rest);
            return rest;
        }
        if first == '\'' {
            return self.single_quotes(input);
        }
        let (kind, length, code, meant) = match first {
            '&' | '|' | '!' => {
                let word = if first == '&' {
                    "and"
                } else if first == '|' {
                    "or"
                } else {
                    "not"
                };
                let length = if first != '!' && text[1..].starts_with(first) { 2 } else { 1 };
                (Kind::Bad, length, Code::ForeignSyntax, format!("write `{word}`"))
            }
            ';' => (
                Kind::Newline,
                1,
                Code::ForeignSyntax,
                "a statement ends with its line or a comma".to_owned(),
            ),
            '$' => (
                Kind::Bad,
                1,
                Code::ForeignSyntax,
                "write a param as `{name}` in strings and as `name` elsewhere".to_owned(),
            ),
            '≤' => (Kind::AtMost, first.len_utf8(), Code::ForeignSyntax, "write `<=`".to_owned()),
            '≥' => (Kind::AtLeast, first.len_utf8(), Code::ForeignSyntax, "write `>=`".to_owned()),
            '≠' => (Kind::NotEqual, first.len_utf8(), Code::ForeignSyntax, "write `!=`".to_owned()),
            '→' => (Kind::Arrow, first.len_utf8(), Code::ForeignSyntax, "write `->`".to_owned()),
            '…' => (Kind::DotDot, first.len_utf8(), Code::ForeignSyntax, "write `..`".to_owned()),
            '–' | '—' | '−' => {
                (Kind::Minus, first.len_utf8(), Code::ForeignSyntax, "write `-`".to_owned())
            }
            '×' => (Kind::Bad, first.len_utf8(), Code::ForeignSyntax, "write `x`".to_owned()),
            '“' | '”' | '„' | '«' | '»' | '‘' | '’' => {
                let closing = |c: char| matches!(c, '”' | '“' | '»' | '’' | '\n' | '\r' | '{');
                let inner = text[first.len_utf8()..].split(closing).next().unwrap_or_default();
                let behind = text[first.len_utf8() + inner.len()..].chars().next();
                let closed = behind.filter(|c| matches!(c, '”' | '“' | '»' | '’')).map_or(0, char::len_utf8);
                let length = first.len_utf8() + inner.len() + closed;
                (
                    Kind::Bad,
                    length,
                    Code::ForeignSyntax,
                    "strings stand in plain double quotes: `\"…\"`".to_owned(),
                )
            }
            '\u{a0}' => (
                Kind::Bad,
                first.len_utf8(),
                Code::UnknownCharacter,
                "this is a no-break space: write a plain one".to_owned(),
            ),
            c if c.is_alphabetic() => {
                let rest = skip(take_while1(|c: char| c.is_alphanumeric() || c == '_' || c == '-')(input));
                let length = rest.location_offset() - input.location_offset();
                (
                    Kind::Bad,
                    length,
                    Code::UnknownCharacter,
                    "names consist of the letters a to z, digits, `_` and `-`; anything goes in strings"
                        .to_owned(),
                )
            }
            c => (
                Kind::Bad,
                c.len_utf8(),
                Code::UnknownCharacter,
                "if it belongs to a value, put that in double quotes".to_owned(),
            ),
        };
        let found = &text[..length];
        let message = match code {
            Code::ForeignSyntax => format!("`{}` is not written like this here", shorten(found)),
            _ => format!("`{}` means nothing here", shorten(found)),
        };
        self.report(Diagnostic::new(code, message).at(self.span(input, length), "not known").help(meant));
        let rest = skip(recognize(take_bytes(length)).parse(input));
        self.push(kind, input, rest);
        rest
    }

    fn single_quotes<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let (kind, rest, help) = match line_text(input, '\'') {
            Ok((rest, found)) => {
                let inner = &found.fragment()[1..found.fragment().len() - 1];
                (Kind::Text, rest, format!("write `\"{}\"`", shorten(inner)))
            }
            Err(_) => {
                let rest = skip(take_while(|c| c != '\n' && c != '\r')(input));
                (Kind::Bad, rest, "write `\"…\"`".to_owned())
            }
        };
        let length = rest.location_offset() - input.location_offset();
        self.report(
            Diagnostic::new(Code::SingleQuotes, "strings stand in double quotes")
                .at(self.span(input, length), "single quotes")
                .help(help),
        );
        self.push(kind, input, rest);
        rest
    }

    /// Reports the first character between two places that a reader could not see.
    fn forbidden(&mut self, from: Input<'_>, to: Input<'_>) {
        let length = to.location_offset() - from.location_offset();
        let text = &from.fragment()[..length];
        if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return;
        }
        if let Some((at, c)) = text.char_indices().find(|(at, c)| {
            is_forbidden(*c) && !(*c == '\r' && matches!(text.as_bytes().get(at + 1), None | Some(b'\n')))
        }) {
            let start = from.location_offset() as u32 + at as u32;
            self.report(
                Diagnostic::new(
                    Code::ForbiddenCharacter,
                    format!("an invisible character, U+{:04X}", c as u32),
                )
                .at(Span::new(self.file, start, start + c.len_utf8() as u32), "here")
                .help(format!("remove it; in a string it can be written `\\u{{{:x}}}`", c as u32)),
            );
        }
    }
}

/// Returns whether a character could hide what a text says: controls and changes of direction.
pub(crate) fn is_forbidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Cuts a text for a message.
pub(super) fn shorten(text: &str) -> String {
    const MAX: usize = 60;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns the rest behind a parser that cannot fail where it is called.
fn skip<'a>(read: IResult<Input<'a>, Input<'a>>) -> Input<'a> {
    match read {
        Ok((rest, _)) => rest,
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) => skip(take(1usize)(e.input)),
        Err(nom::Err::Incomplete(_)) => Input::new(""),
    }
}

/// Reads so many bytes, which end at a character boundary.
fn take_bytes<'a>(
    length: usize,
) -> impl Parser<Input<'a>, Output = Input<'a>, Error = nom::error::Error<Input<'a>>> {
    move |input: Input<'a>| {
        let characters = input.fragment()[..length].chars().count();
        take(characters)(input)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '*'
}

/// Reads a word: `api-1`, `spec.selector.app`, `p99.9`, `api-*`.
fn word(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    let percentile = recognize((char('p'), digit1, char('.'), digit1, not(satisfy(is_word))));
    let segment = || {
        recognize((
            satisfy(|c| is_word(c) && !c.is_ascii_digit()),
            take_while(is_word),
            many0_count(preceded(char('-'), take_while1(is_word))),
        ))
    };
    let path = recognize((segment(), many0_count(preceded(char('.'), segment()))));
    if input.fragment().starts_with('p') {
        alt((percentile, path)).parse(input)
    } else {
        { path }.parse(input)
    }
}

/// Reads a number and whatever stands against it, so that a wrong unit is seen as a whole.
fn number(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    recognize((
        digit1,
        many0_count(alt((
            take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '%' | 'µ' | 'μ')),
            recognize((char('.'), digit1)),
            recognize((char('/'), take_while1(|c: char| c.is_ascii_alphanumeric()))),
        ))),
    ))
    .parse(input)
}

/// Reads a time of day: `9:30`, `16:00`.
fn clock(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    let digits = |from, to| take_while_m_n(from, to, |c: char| c.is_ascii_digit());
    recognize((digits(1, 2), char(':'), digits(2, 2), not(satisfy(is_word)))).parse(input)
}

/// Reads a string on one line, with its quotes.
fn line_text(input: Input<'_>, quote: char) -> IResult<Input<'_>, Input<'_>> {
    recognize((
        char(quote),
        many0_count(alt((
            take_while1(move |c| c != quote && c != '\\' && c != '\n'),
            recognize((char('\\'), satisfy(|c| c != '\n'))),
        ))),
        char(quote),
    ))
    .parse(input)
}

/// Reads a string over several lines, with its quotes.
fn block_text(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    recognize((
        tag("\"\"\""),
        many0_count(alt((
            take_while1(|c| c != '"' && c != '\\'),
            recognize((char('\\'), satisfy(|_| true))),
            recognize((not(tag("\"\"\"")), char('"'))),
        ))),
        tag("\"\"\""),
    ))
    .parse(input)
}
