//! Numbers with their units, addresses and times of day.

use std::net::{Ipv4Addr, Ipv6Addr};

use chaos_core::span::{FileId, Span};
use nom::bytes::complete::take_while;
use nom::character::complete::{char, digit1};
use nom::combinator::opt;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::suggest::{self, Advice};
use crate::syntax::{Decimal, ItemKind, Quantity, Unit};

/// Units of a duration in nanoseconds, longest first.
const DURATIONS: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of bandwidth in bits per second, as tc reads them.
const BANDWIDTHS: &[(&str, u64)] = &[
    ("bit", 1),
    ("kbit", 1_000),
    ("mbit", 1_000_000),
    ("gbit", 1_000_000_000),
    ("kibit", 1 << 10),
    ("mibit", 1 << 20),
    ("gibit", 1 << 30),
];

/// Units of size in bytes, as tc reads them: `k` is 1024.
const SIZES: &[(&str, u64)] = &[("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)];

/// Words that are meant as a unit, with the unit.
const MEANT: &[(&str, &str)] = &[
    ("byte", "b"),
    ("bytes", "b"),
    ("day", "d"),
    ("days", "d"),
    ("gib", "gb"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("hrs", "h"),
    ("k", "kb"),
    ("kib", "kb"),
    ("mib", "mb"),
    ("micros", "us"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("msec", "ms"),
    ("percent", "%"),
    ("pct", "%"),
    ("rps", "/s"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("secs", "s"),
    ("usec", "us"),
    ("µs", "us"),
    ("μs", "us"),
];

/// All units, for "did you mean".
const UNITS: &[&str] =
    &["ns", "us", "ms", "s", "m", "h", "d", "%", "pp", "bit", "kbit", "mbit", "gbit", "b", "kb", "mb", "gb"];

/// Returns the unit a word stands for or is meant as, for `100 ms` and `5 seconds`.
pub(super) fn unit_word(word: &str) -> Option<&'static str> {
    let meant = MEANT.iter().find(|(written, _)| *written == word).map(|(_, unit)| *unit);
    // Units of bandwidth are often written with capitals; those of a size and of time would be other ones.
    let bits = word.to_lowercase();
    meant.or_else(|| {
        UNITS.iter().copied().find(|unit| *unit == word || (*unit == bits && bits.ends_with("bit")))
    })
}

fn lookup(table: &[(&str, u64)], unit: &str) -> Option<u64> {
    table.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

/// Reads a whole number token: a quantity, or an IPv4 address with its prefix.
pub(super) fn number(text: &str) -> Result<ItemKind<'_>, Box<Diagnostic>> {
    if text.bytes().filter(|b| *b == b'.').count() > 1 {
        return address(text);
    }
    let (amount, per) = match text.split_once('/') {
        Some((amount, per)) => (amount, Some(per)),
        None => (text, None),
    };
    let Ok((mut rest, (value, unit))) = part(amount) else {
        return Err(wrong(
            Code::BadNumber,
            "a number is too large or too precise",
            0,
            text.len(),
            "at most 18 digits",
        ));
    };
    if let Some(per) = per {
        let Some(length) = lookup(DURATIONS, per).filter(|_| unit.is_empty() && rest.is_empty()) else {
            if let Some(refused) = bits_per_second(text, amount, unit, per) {
                return Err(refused);
            }
            let help = if unit.is_empty() {
                "a rate is written `50/s`, per `ms`, `s`, `m` or `h`"
            } else {
                "a rate is a plain number per time: `50/s`"
            };
            return Err(wrong(Code::UnknownUnit, format!("`{text}` is not a rate"), 0, text.len(), help));
        };
        return Ok(quantity(text, value, Unit::Rate { per: length }));
    }
    let simple = |value: Option<Decimal>, unit| {
        value.map(|value| quantity(text, value, unit)).ok_or_else(|| {
            wrong(
                Code::BadNumber,
                format!("`{text}` is too large"),
                0,
                text.len(),
                "nothing that large can be meant",
            )
        })
    };
    if rest.is_empty() {
        match unit {
            "" => return simple(Some(value), Unit::Count),
            "%" => return simple(Some(value), Unit::Percentage),
            "pp" => return simple(Some(value), Unit::Points),
            _ => {}
        }
        if let Some(factor) = lookup(BANDWIDTHS, unit) {
            return simple(value.times(factor), Unit::Bandwidth);
        }
        if let Some(factor) = lookup(SIZES, unit) {
            return simple(value.times(factor), Unit::Size);
        }
    }
    // A duration, possibly of several parts, each smaller than the one before.
    let (mut total, mut previous) = (Decimal::default(), u64::MAX);
    let (mut value, mut unit, mut at) = (value, unit, 0);
    loop {
        let end = amount.len() - rest.len();
        let Some(factor) = lookup(DURATIONS, unit) else { return Err(unknown(text, unit, end)) };
        if factor >= previous {
            let message = format!("`{text}` has its parts out of order");
            return Err(wrong(Code::UnitOrder, message, at, end, "the larger unit comes first: `1m30s`"));
        }
        previous = factor;
        total = match value.times(factor).and_then(|part| total.plus(part)) {
            Some(total) if total.mantissa <= i64::MAX as u64 => total,
            _ => return simple(None, Unit::Duration),
        };
        if rest.is_empty() {
            break;
        }
        at = end;
        let Ok((next, part)) = part(rest) else {
            let help = "at most 18 digits";
            return Err(wrong(Code::BadNumber, "a number is too large or too precise", at, text.len(), help));
        };
        (rest, (value, unit)) = (next, part);
    }
    if total.whole().is_none() {
        let message = format!("`{text}` is finer than a nanosecond");
        return Err(wrong(Code::BadNumber, message, 0, text.len(), "durations are whole nanoseconds"));
    }
    simple(Some(total), Unit::Duration)
}

/// Reads a time of day that has the right shape.
pub(super) fn clock(text: &str) -> Result<ItemKind<'_>, Box<Diagnostic>> {
    let parts =
        text.split_once(':').and_then(|(h, m)| Some((h.parse::<u16>().ok()?, m.parse::<u16>().ok()?)));
    match parts {
        Some((hour, minute)) if minute < 60 && (hour < 24 || (hour == 24 && minute == 0)) => {
            Ok(ItemKind::Clock(hour * 60 + minute))
        }
        _ => Err(wrong(
            Code::BadNumber,
            format!("`{text}` is not a time of day"),
            0,
            text.len(),
            "from `00:00` to `24:00`",
        )),
    }
}

fn quantity<'a>(text: &'a str, value: Decimal, unit: Unit) -> ItemKind<'a> {
    ItemKind::Quantity(Quantity { text, value, unit })
}

fn address(text: &str) -> Result<ItemKind<'_>, Box<Diagnostic>> {
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(prefix.parse::<u8>().ok().filter(|p| *p <= 32))),
        None => (text, None),
    };
    match (host.parse::<Ipv4Addr>(), prefix) {
        (Ok(host), None) => Ok(ItemKind::Address(host.into(), None)),
        (Ok(host), Some(Some(prefix))) => Ok(ItemKind::Address(host.into(), Some(prefix))),
        (Ok(_), Some(None)) => Err(prefix_too_long(text, 32)),
        _ => Err(wrong(
            Code::BadNumber,
            format!("`{text}` is neither a number nor an address"),
            0,
            text.len(),
            "an address is written `10.0.0.1` or `10.0.0.0/8`",
        )),
    }
}

/// Reads an IPv6 address with its prefix, in brackets or not.
pub(super) fn ipv6(text: &str) -> Result<ItemKind<'_>, Box<Diagnostic>> {
    let no = |message: String, label: &str| Err(wrong(Code::BadAddress, message, 0, text.len(), label));
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(prefix)),
        None => (text, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = host.split('%').next().unwrap_or(host).parse::<Ipv6Addr>() else {
        return no(
            format!("`{text}` is not an IPv6 address"),
            "an address is written `fd71::2`, `fd71::/64`, or `[fd71::2]:8080` with its port",
        );
    };
    if let Some((_, zone)) = host.split_once('%') {
        return no(
            format!(
                "`{text}` names the interface `{zone}`, and a destination is an address, whichever interface leads to it"
            ),
            "leave out the zone",
        );
    }
    match prefix.map(str::parse::<u8>) {
        None => Ok(ItemKind::Address(address.into(), None)),
        Some(Ok(prefix)) if prefix <= 128 => Ok(ItemKind::Address(address.into(), Some(prefix))),
        Some(_) => Err(prefix_too_long(text, 128)),
    }
}

fn prefix_too_long(text: &str, most: u8) -> Box<Diagnostic> {
    let message = format!("the network `{text}` has a prefix that is not a number from 0 to {most}");
    let help = format!(
        "the number behind the `/` says how many leading bits of the address count: `/{most}` is all"
    );
    wrong(Code::BadAddress, message, 0, text.len(), help)
}

/// Reads `1.5ms`: digits and the letters behind them.
fn part(input: &str) -> IResult<&str, (Decimal, &str)> {
    let (rest, (whole, fraction)) = (digit1, opt(preceded(char('.'), digit1))).parse(input)?;
    let fraction: &str = fraction.unwrap_or("");
    let whole = whole.trim_start_matches('0');
    let too_large = || nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::TooLarge));
    if whole.len() + fraction.len() > 18 {
        return Err(too_large());
    }
    let mantissa = whole.bytes().chain(fraction.bytes()).fold(0u64, |sum, b| sum * 10 + u64::from(b - b'0'));
    let (rest, unit) = take_while(|c: char| !c.is_ascii_digit() && c != '.')(rest)?;
    if rest.starts_with('.') {
        return Err(too_large());
    }
    Ok((rest, (Decimal::new(mantissa, fraction.len() as u8), unit)))
}

/// Returns what a bandwidth is called here that is written as bits or bytes per second: `1Mbit/s`, `100KB/s`, `1Gb/sec`.
fn bits_per_second(text: &str, amount: &str, unit: &str, per: &str) -> Option<Box<Diagnostic>> {
    if !matches!(per, "s" | "sec" | "second") {
        return None;
    }
    let number = amount.strip_suffix(unit)?;
    let lower = unit.to_lowercase();
    let whole = |message: String, advice: Advice, code| Some(wrong(code, message, 0, text.len(), advice));
    let bits = lower.strip_suffix('s').unwrap_or(&lower);
    if lookup(BANDWIDTHS, bits).is_some() {
        let message = format!("`{bits}` is already per second");
        return whole(message, Advice::write(format!("{number}{bits}")), Code::UnknownUnit);
    }
    let (prefix, last) = unit.split_at_checked(unit.len().checked_sub(1)?)?;
    let prefix = prefix.to_lowercase();
    let bits = lookup(BANDWIDTHS, &format!("{prefix}bit")).map(|_| format!("{prefix}bit"))?;
    let (_, (value, _)) = part(amount).ok()?;
    let bytes = format!("{}{bits}", value.times(8)?.to_f64());
    match last {
        "B" => {
            let message = format!("a bandwidth is written in bits per second, and `{unit}` is bytes");
            whole(message, Advice::write(bytes), Code::UnknownUnit)
        }
        "b" => {
            let message = format!("`{unit}/{per}` is bits for some tools and bytes for others");
            let help = format!("write `{number}{bits}` for bits per second, `{bytes}` for bytes");
            whole(message, help.into(), Code::AmbiguousUnit)
        }
        _ => None,
    }
}

fn unknown(text: &str, unit: &str, end: usize) -> Box<Diagnostic> {
    let start = end - unit.len();
    let lower = unit.to_lowercase();
    let number = &text[..start];
    if unit.is_empty() {
        let help = format!("write the unit: `{text}s` or `{text}ms`");
        return wrong(Code::MissingUnit, format!("`{text}` ends without a unit"), 0, text.len(), help);
    }
    if unit == "x" {
        let help = format!("write `{number} x baseline`");
        let advice = match end == text.len() {
            true => Advice::replace(help, format!("{number} x")),
            false => help.into(),
        };
        return wrong(Code::UnknownUnit, "a factor stands apart from its `x`", 0, text.len(), advice);
    }
    if let Some(factor) = ["bps", "kbps", "mbps", "gbps"].iter().position(|name| *name == lower) {
        let bits = ["bit", "kbit", "mbit", "gbit"][factor];
        let message = format!("`{unit}` is bits for some tools and bytes for others");
        return wrong(
            Code::AmbiguousUnit,
            message,
            start,
            end,
            Advice::replace(format!("write `{number}{bits}` for bits per second"), bits),
        );
    }
    let meant = unit_word(&lower).or_else(|| suggest::nearest(&lower, UNITS.iter().copied()));
    let help = match meant {
        Some("/s") => Advice::replace(format!("a rate is written `{number}/s`"), "/s"),
        Some(unit) => Advice { text: Some(unit.to_owned()), ..Advice::meant(format!("{number}{unit}")) },
        None => {
            let units = UNITS.iter().map(|u| format!("`{u}`")).collect::<Vec<_>>().join(", ");
            format!("units are {units}").into()
        }
    };
    wrong(Code::UnknownUnit, format!("`{unit}` is not a unit"), start, end, help)
}

/// Makes a diagnostic about some bytes of a number, counted from its start.
fn wrong(
    code: Code,
    message: impl Into<String>,
    start: usize,
    end: usize,
    advice: impl Into<Advice>,
) -> Box<Diagnostic> {
    let label = match code {
        Code::UnknownUnit => "not known",
        Code::AmbiguousUnit => "which of them?",
        _ => "here",
    };
    let span = Span::new(FileId::default(), start as u32, end as u32);
    Box::new(Diagnostic::new(code, message).at(span, label).help(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (u64, u8, Unit) {
        match number(text) {
            Ok(ItemKind::Quantity(q)) => (q.value.mantissa, q.value.scale, q.unit),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn quantities_are_exact() {
        assert_eq!(read("1m30s"), (90_000_000_000, 0, Unit::Duration));
        assert_eq!(read("1.5ms"), (1_500_000, 0, Unit::Duration));
        assert_eq!(read("500us"), (500_000, 0, Unit::Duration));
        assert_eq!(read("0.2pp"), (2, 1, Unit::Points));
        assert_eq!(read("99.90%"), (999, 1, Unit::Percentage));
        assert_eq!(read("50/s"), (50, 0, Unit::Rate { per: 1_000_000_000 }));
        assert_eq!(read("10mbit"), (10_000_000, 0, Unit::Bandwidth));
        assert_eq!(read("1.5mbit"), (1_500_000, 0, Unit::Bandwidth));
        assert_eq!(read("64kb"), (65_536, 0, Unit::Size));
        assert_eq!(read("007"), (7, 0, Unit::Count));
        assert_eq!(clock("16:30").unwrap(), ItemKind::Clock(990));
        assert_eq!(
            number("10.0.0.0/8").unwrap(),
            ItemKind::Address(Ipv4Addr::new(10, 0, 0, 0).into(), Some(8))
        );
    }

    #[test]
    fn mistakes_name_the_unit_that_was_meant() {
        let help = |text| number(text).unwrap_err().remark.help.unwrap();
        assert_eq!(help("10mms"), "did you mean `10ms`?");
        assert_eq!(help("5sec"), "did you mean `5s`?");
        assert_eq!(help("10mbps"), "write `10mbit` for bits per second");
        assert_eq!(help("1.5x"), "write `1.5 x baseline`");
        assert_eq!(help("50/lightyear"), "a rate is written `50/s`, per `ms`, `s`, `m` or `h`");
        assert_eq!(help("1m30"), "write the unit: `1m30s` or `1m30ms`");
    }

    #[test]
    fn absurd_numbers_are_refused() {
        for text in [
            "99999999999999999999",
            "1.2.3",
            "0.1ns",
            "999999999999999999h",
            "30s1m",
            "1.2.3.4/99",
            "1.2.3.400",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
        assert!(clock("24:01").is_err());
    }
}
