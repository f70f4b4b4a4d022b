//! What begins no token: the report says what was likely meant, and reading goes on with that.

use chaos_core::span::Span;
use nom::Parser as _;
use nom::bytes::complete::{take, take_while, take_while1};
use nom::combinator::recognize;

use super::lexeme::{line_text, skip, take_bytes};
use super::{Input, Kind, Scanner, shorten};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::Advice;

impl Scanner {
    /// Reads an operator written the wrong way round.
    pub(super) fn swapped<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let found = &input.fragment()[..2];
        let (kind, meant) = if found == "=<" { (Kind::AtMost, "<=") } else { (Kind::AtLeast, ">=") };
        self.report(
            Diagnostic::new(Code::ForeignSyntax, format!("`{found}` is not an operator"))
                .at(self.span(input, 2), "not known")
                .help(Advice::write(meant)),
        );
        self.token(kind, take(2usize)(input), input)
    }

    /// Reads what begins no token, says what was likely meant, and goes on with that.
    pub(super) fn mistake<'a>(&mut self, input: Input<'a>) -> Input<'a> {
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
                // It may stand against what is behind it.
                let apart = if text[length..].starts_with(char::is_whitespace) { "" } else { " " };
                let advice = Advice::replace(format!("write `{word}`"), format!("{word}{apart}"));
                (Kind::Bad, length, Code::ForeignSyntax, advice)
            }
            ';' => {
                (Kind::Newline, 1, Code::ForeignSyntax, "a statement ends with its line or a comma".into())
            }
            '$' => (
                Kind::Bad,
                1,
                Code::ForeignSyntax,
                "write a param as `{name}` in strings and as `name` elsewhere".into(),
            ),
            '≤' => (Kind::AtMost, first.len_utf8(), Code::ForeignSyntax, Advice::write("<=")),
            '≥' => (Kind::AtLeast, first.len_utf8(), Code::ForeignSyntax, Advice::write(">=")),
            '≠' => (Kind::NotEqual, first.len_utf8(), Code::ForeignSyntax, Advice::write("!=")),
            '→' => (Kind::Arrow, first.len_utf8(), Code::ForeignSyntax, Advice::write("->")),
            '…' => (Kind::DotDot, first.len_utf8(), Code::ForeignSyntax, Advice::write("..")),
            '–' | '—' | '−' => (Kind::Minus, first.len_utf8(), Code::ForeignSyntax, Advice::write("-")),
            '×' => (Kind::Bad, first.len_utf8(), Code::ForeignSyntax, Advice::write("x")),
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
                    "strings stand in plain double quotes: `\"…\"`".into(),
                )
            }
            '\u{a0}' => (
                Kind::Bad,
                first.len_utf8(),
                Code::UnknownCharacter,
                Advice::replace("this is a no-break space: write a plain one", " "),
            ),
            c if c.is_alphabetic() => {
                let rest = skip(take_while1(|c: char| c.is_alphanumeric() || c == '_' || c == '-')(input));
                let length = rest.location_offset() - input.location_offset();
                (
                    Kind::Bad,
                    length,
                    Code::UnknownCharacter,
                    "names consist of the letters a to z, digits, `_` and `-`; anything goes in strings"
                        .into(),
                )
            }
            c => (
                Kind::Bad,
                c.len_utf8(),
                Code::UnknownCharacter,
                "if it belongs to a value, put that in double quotes".into(),
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

    /// Reads a URL without quotes, or without the first of them.
    pub(super) fn bare_url<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let mut rest = skip(take_while(|c: char| !c.is_whitespace() && c != '"')(input));
        let url = &input.fragment()[..rest.location_offset() - input.location_offset()];
        if rest.fragment().starts_with('"') {
            rest = skip(take(1usize)(rest));
        }
        self.report(
            Diagnostic::new(Code::ForeignSyntax, "a URL stands in double quotes")
                .at(self.span(input, rest.location_offset() - input.location_offset()), "not in quotes")
                .help(Advice::replace(format!("write `\"{}\"`", shorten(url)), format!("\"{url}\""))),
        );
        self.push(Kind::Bad, input, rest);
        rest
    }

    fn single_quotes<'a>(&mut self, input: Input<'a>) -> Input<'a> {
        let (kind, rest, help) = match line_text(input, '\'') {
            Ok((rest, found)) => {
                let inner = &found.fragment()[1..found.fragment().len() - 1];
                let help = format!("write `\"{}\"`", shorten(inner));
                let advice = match inner.contains(['"', '\\', '{', '}']) {
                    true => help.into(),
                    false => Advice::replace(help, format!("\"{inner}\"")),
                };
                (Kind::Text, rest, advice)
            }
            Err(_) => {
                let rest = skip(take_while(|c| c != '\n' && c != '\r')(input));
                (Kind::Bad, rest, "write `\"…\"`".into())
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
    pub(super) fn forbidden(&mut self, from: Input<'_>, to: Input<'_>) {
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
                .help(Advice::replace(
                    format!("remove it; in a string it can be written `\\u{{{:x}}}`", c as u32),
                    "",
                )),
            );
        }
    }
}

/// Returns whether a character could hide what a text says: controls and changes of direction.
pub(crate) fn is_forbidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
