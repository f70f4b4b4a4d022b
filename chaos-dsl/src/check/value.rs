//! Quantities of a known unit.

use std::time::Duration;

use chaos_core::{
    model::{Quantity, Unit, packets::Ports},
    span::Spanned,
};

use super::Checker;
use crate::{
    codes::Code,
    syntax::{self, Cursor, Item, ItemKind, Symbol},
    words,
};

/// Turns a quantity as written into one of the model's base units.
pub(super) fn quantity(written: &syntax::Quantity<'_>) -> Quantity {
    let number = written.value.to_f64();
    match written.unit {
        syntax::Unit::Count => Quantity::new(number, Unit::Count),
        syntax::Unit::Duration => Quantity::new(number / 1e9, Unit::Seconds),
        syntax::Unit::Percentage => Quantity::new(written.value.hundredth(), Unit::Ratio),
        syntax::Unit::Points => Quantity::new(written.value.hundredth(), Unit::Points),
        syntax::Unit::Rate { per } => Quantity::new(number * 1e9 / per as f64, Unit::PerSecond),
        syntax::Unit::Bandwidth => Quantity::new(number, Unit::BitsPerSecond),
        syntax::Unit::Size => Quantity::new(number, Unit::Bytes),
    }
}

fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "250ms",
        Unit::Ratio => "5%",
        Unit::Points => "0.2pp",
        Unit::PerSecond => "50/s",
        Unit::BitsPerSecond => "10mbit",
        Unit::Bytes => "64kb",
        Unit::Count => "3",
    }
}

impl Checker {
    /// Reads an item as a quantity of a unit, or as the name of a parameter of that unit.
    pub(super) fn value(&mut self, item: &Item<'_>, unit: Unit, what: &str) -> Option<Spanned<Quantity>> {
        let found = match &item.kind {
            ItemKind::Quantity(written) => quantity(written),
            // The word begins what follows, so that the amount is missing: `delay on web 200ms`.
            ItemKind::Word(name) if words::is_reserved(name) => {
                let message = format!("expected {what}, found `{name}`");
                let help =
                    format!("{what} stands before `{name}`: write {unit}, such as `{}`", example(unit));
                self.error(Code::Misplaced, item.span, message).help = Some(help);
                return None;
            }
            ItemKind::Word(name) => match self.params.get(name) {
                Some(param) => param.value,
                None => {
                    let known = self.params.names();
                    let name = syntax::Word { text: name, span: item.span };
                    self.unknown("param", name, known.iter().map(String::as_str));
                    return None;
                }
            },
            _ => {
                let message = format!("expected {what}, found {}", item.describe());
                self.error(Code::Misplaced, item.span, message).help =
                    Some(format!("write {unit}, such as `{}`", example(unit)));
                return None;
            }
        };
        if found.unit != unit {
            let written = match &item.kind {
                ItemKind::Quantity(q) => format!("`{}`", q.text),
                _ => format!("the param {}", item.describe()),
            };
            let message = format!("{what} is {unit}, and {written} is {}", found.unit);
            self.error(Code::WrongUnit, item.span, message).help = Some(match (unit, found.unit) {
                (Unit::Points, Unit::Ratio) => {
                    format!(
                        "shares differ by percentage points: write `{}`",
                        Quantity::new(found.value, unit)
                    )
                }
                _ => format!("write {unit}, such as `{}`", example(unit)),
            });
            return None;
        }
        Some(Spanned::new(found, item.span))
    }

    /// Takes the next item as a quantity of a unit.
    pub(super) fn take_value(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        unit: Unit,
        what: &str,
    ) -> Option<Spanned<Quantity>> {
        match cursor.take() {
            Some(item) => self.value(item, unit, what),
            None => {
                self.expected(cursor, what).help = Some(format!("write {unit}, such as `{}`", example(unit)));
                None
            }
        }
    }

    /// Takes a duration of at least a nanosecond unless `zero` is allowed, and of at most a day.
    pub(super) fn take_duration(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        what: &str,
        zero: bool,
    ) -> Option<Duration> {
        let value = self.take_value(cursor, Unit::Seconds, what)?;
        self.duration(value, what, zero)
    }

    /// Checks a duration.
    pub(super) fn duration(&mut self, value: Spanned<Quantity>, what: &str, zero: bool) -> Option<Duration> {
        let duration = value.as_duration().unwrap_or(Duration::MAX);
        if duration > Duration::from_secs(86_400) {
            self.error(Code::OutOfRange, value.span, format!("{what} is longer than a day")).help =
                Some("an experiment is short: shorten it".into());
            return None;
        }
        if duration.is_zero() && !zero {
            self.error(Code::OutOfRange, value.span, format!("{what} must be longer than nothing")).help =
                Some("write a duration above zero".into());
            return None;
        }
        Some(duration)
    }

    /// Takes a percentage between 0 % and 100 %; 0 % only where `zero` is allowed.
    pub(super) fn take_share(&mut self, cursor: &mut Cursor<'_, '_>, what: &str, zero: bool) -> Option<f64> {
        let value = self.take_value(cursor, Unit::Ratio, what)?;
        if value.value.value > 1.0 {
            let message = format!("{what} is {value}, and there is no more than 100%");
            self.error(Code::OutOfRange, value.span, message).help =
                Some("write a share from 0% to 100%".into());
            return None;
        }
        if value.value.value == 0.0 && !zero {
            let message = format!("{what} is 0%, which does nothing");
            self.error(Code::OutOfRange, value.span, message).help =
                Some("write a share above 0%, or remove it".into());
            return None;
        }
        Some(value.value.value)
    }

    /// Takes a whole number between two bounds.
    pub(super) fn take_count(
        &mut self,
        cursor: &mut Cursor<'_, '_>,
        what: &str,
        low: u32,
        high: u32,
    ) -> Option<u32> {
        let value = self.take_value(cursor, Unit::Count, what)?;
        let number = value.value.value;
        if number.fract() != 0.0 || number < f64::from(low) || number > f64::from(high) {
            let message = format!("{what} must be a whole number from {low} to {high}, and is {value}");
            self.error(Code::OutOfRange, value.span, message).help = Some(if number > f64::from(high) {
                format!("write {high} or less")
            } else if number < f64::from(low) {
                format!("write {low} or more")
            } else {
                format!("write {} or {}", number.floor(), number.ceil())
            });
            return None;
        }
        Some(number as u32)
    }

    /// Takes ports: `80`, `8000-8100`, `80, 443`.
    pub(super) fn take_ports(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Vec<Ports>> {
        let mut all = Vec::new();
        loop {
            match cursor.peek().map(|item| &item.kind) {
                Some(ItemKind::Ports(ports)) => {
                    all.push(*ports);
                    cursor.take();
                }
                _ => all.push(self.take_port(cursor)?.into()),
            }
            if cursor.take_symbol(Symbol::Comma).is_none() {
                return Some(all);
            }
        }
    }

    /// Takes a port number.
    pub(super) fn take_port(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<u16> {
        self.take_count(cursor, "the port", 1, 65_535).map(|n| n as u16)
    }
}
