//! The forms of single tokens.

use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1, satisfy};
use nom::combinator::{not, recognize};
use nom::multi::many0_count;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::Input;

/// Returns the rest behind a parser that cannot fail where it is called.
pub(super) fn skip<'a>(read: IResult<Input<'a>, Input<'a>>) -> Input<'a> {
    match read {
        Ok((rest, _)) => rest,
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) => skip(take(1usize)(e.input)),
        Err(nom::Err::Incomplete(_)) => Input::new(""),
    }
}

/// Reads this many bytes, which end at a character boundary.
pub(super) fn take_bytes<'a>(
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
pub(super) fn word(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
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
pub(super) fn number(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
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

/// Reads an IPv6 address, which has a `::` or seven other colons, with its brackets, zone and prefix, and whatever stands
/// against it, so that a wrong one is seen as a whole. In brackets a list of addresses is none.
pub(super) fn ipv6(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    let text = *input.fragment();
    let no = || nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Tag));
    let bare = text.strip_prefix('[').unwrap_or(text);
    let run = |text: &str, fits: fn(u8) -> bool| text.bytes().take_while(|b| fits(*b)).count();
    let digits = &bare[..run(bare, |b| b.is_ascii_hexdigit() || b == b':')];
    if !digits.contains("::") && digits.matches(':').count() < 7 {
        return Err(no());
    }
    let mut rest = &bare[run(bare, |b| b.is_ascii_alphanumeric() || b == b':' || b == b'.')..];
    if let Some(zone) = rest.strip_prefix('%') {
        rest = &zone[run(zone, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))..];
    }
    if bare.len() < text.len() {
        rest = rest.strip_prefix(']').ok_or_else(no)?;
    }
    if let Some(prefix) = rest.strip_prefix('/') {
        rest = &prefix[run(prefix, |b| b.is_ascii_alphanumeric())..];
    }
    // All of it is ASCII.
    take(text.len() - rest.len())(input)
}

/// Reads a time of day: `9:30`, `16:00`.
pub(super) fn clock(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
    let digits = |from, to| take_while_m_n(from, to, |c: char| c.is_ascii_digit());
    recognize((digits(1, 2), char(':'), digits(2, 2), not(satisfy(is_word)))).parse(input)
}

/// Reads a string on one line, with its quotes.
pub(super) fn line_text(input: Input<'_>, quote: char) -> IResult<Input<'_>, Input<'_>> {
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
pub(super) fn block_text(input: Input<'_>) -> IResult<Input<'_>, Input<'_>> {
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
