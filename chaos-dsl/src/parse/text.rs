//! Strings: escapes and `{param}` holes.

use std::borrow::Cow;

use super::token::shorten;
use super::{Cursor, Failed};
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::Advice;
use crate::syntax::{Part, Quote, Text, Word};

/// The most parts one string may have.
const MAX_PARTS: usize = 1000;

impl<'a> Cursor<'a> {
    /// Reads the string token between two bytes, quotes included.
    pub(super) fn text(&mut self, start: u32, end: u32, quote: Quote) -> Result<Text<'a>, Failed> {
        let quotes = if quote == Quote::Block { 3 } else { 1 };
        let (mut from, to) = (start + quotes, end - quotes);
        if quote == Quote::Block {
            // The line of the opening quotes is not part of the string.
            let inner = self.slice(from, to);
            from += if inner.starts_with('\n') {
                1
            } else if inner.starts_with("\r\n") {
                2
            } else {
                0
            };
        }
        let inner = self.slice(from, to);
        if !inner.bytes().any(|b| matches!(b, b'\\' | b'{' | b'}' | b'\r')) {
            let parts = if inner.is_empty() { Vec::new() } else { vec![Part::Literal(Cow::Borrowed(inner))] };
            return Ok(Text { quote, parts });
        }
        self.text_with_holes(inner, from, quote)
    }

    fn text_with_holes(&mut self, inner: &'a str, from: u32, quote: Quote) -> Result<Text<'a>, Failed> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        let mut failed = false;
        while at < inner.len() {
            let rest = &inner[at..];
            let place = from + at as u32;
            let step = match rest.as_bytes()[0] {
                b'\\' => self.escape(rest, place, &mut literal),
                b'{' if rest.starts_with("{{") => {
                    literal.push('{');
                    Ok(2)
                }
                b'}' if rest.starts_with("}}") => {
                    literal.push('}');
                    Ok(2)
                }
                b'{' => self.hole(rest, place).map(|hole| {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(Cow::Owned(std::mem::take(&mut literal))));
                    }
                    let length = hole.text.len() + 2;
                    parts.push(Part::Hole(hole));
                    length
                }),
                b'}' => {
                    self.report(
                        Diagnostic::new(Code::BadHole, "a `}` in a string that closes no hole")
                            .at(self.span(place, place + 1), "closes nothing")
                            .help(Advice::replace("write `}}` for a brace itself", "}}")),
                    );
                    Err(1)
                }
                // A line end is one character, however the file was saved.
                b'\r' => Ok(1),
                _ => {
                    let plain = rest.find(['\\', '{', '}', '\r']).unwrap_or(rest.len());
                    literal.push_str(&rest[..plain]);
                    Ok(plain)
                }
            };
            at += step.unwrap_or_else(|length| {
                failed = true;
                length
            });
            if parts.len() > MAX_PARTS {
                return Err(self.too_much(
                    from,
                    from + inner.len() as u32,
                    &format!("more than {MAX_PARTS} holes in one string"),
                ));
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(Cow::Owned(literal)));
        }
        if failed { Err(Failed) } else { Ok(Text { quote, parts }) }
    }

    /// Reads an escape; the error is the length to skip.
    fn escape(&mut self, rest: &str, place: u32, literal: &mut String) -> Result<usize, usize> {
        let second = rest[1..].chars().next().unwrap_or('\\');
        let known = match second {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '"' | '\\' => second,
            'u' => return self.unicode_escape(rest, place, literal),
            _ => {
                let length = 1 + second.len_utf8();
                let help = match second {
                    '{' | '}' => Advice::replace(
                        format!("write `{second}{second}` for a brace itself"),
                        format!("{second}{second}"),
                    ),
                    _ => Advice::replace(
                        format!(
                            "write `\\\\{second}` for a backslash; there are \\n \\t \\r \\\" \\\\ \\u{{…}}"
                        ),
                        format!("\\\\{second}"),
                    ),
                };
                self.report(
                    Diagnostic::new(Code::BadEscape, format!("unknown escape `\\{second}`"))
                        .at(self.span(place, place + length as u32), "not known")
                        .help(help),
                );
                return Err(length);
            }
        };
        literal.push(known);
        Ok(2)
    }

    fn unicode_escape(&mut self, rest: &str, place: u32, literal: &mut String) -> Result<usize, usize> {
        let digits = rest[2..].strip_prefix('{').and_then(|r| r.split_once('}')).map(|(digits, _)| digits);
        let digits =
            digits.filter(|d| (1..=6).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let found = digits.and_then(|d| Some((char::from_u32(u32::from_str_radix(d, 16).ok()?)?, d.len())));
        let Some((character, length)) = found else {
            self.report(
                Diagnostic::new(Code::BadEscape, "a broken escape of a character by its number")
                    .at(self.span(place, place + 2), "no character")
                    .help("write `\\u{e9}`: one to six hexadecimal digits in braces"),
            );
            return Err(rest[2..]
                .strip_prefix('{')
                .and_then(|r| r.find('}'))
                .map_or(2, |i| (i + 4).min(rest.len())));
        };
        literal.push(character);
        Ok(4 + length)
    }

    fn hole(&mut self, rest: &'a str, place: u32) -> Result<Word<'a>, usize> {
        let inner = &rest[1..];
        let length = inner
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
            .unwrap_or(inner.len());
        let name = &inner[..length];
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts_well && !name.ends_with('-') && !name.contains("--") && inner[length..].starts_with('}') {
            return Ok(Word { text: name, span: self.span(place + 1, place + 1 + length as u32) });
        }
        let end = inner.find('}').map_or(1, |i| i + 2);
        let shown = shorten(&rest[..end]);
        self.report(
            Diagnostic::new(Code::BadHole, format!("`{shown}` is not a hole for a param"))
                .at(self.span(place, place + end as u32), "expected `{name}`")
                .help("write `{{` and `}}` for the braces themselves"),
        );
        Err(end)
    }
}
