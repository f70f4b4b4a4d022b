//! Parameters: their defaults, their ranges, and the values that a run sets.

use std::collections::BTreeMap;

use chaos_core::{
    model::{Param, Quantity},
    span::Spanned,
};

use super::Checker;
use crate::{
    codes::Code,
    diagnostic::Diagnostic,
    suggest,
    syntax::{ItemKind, Statement, Symbol},
};

/// The parameters of a file and of all that it uses, by name.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, Param>);

impl Params {
    /// Finds one by name.
    pub(super) fn get(&self, name: &str) -> Option<&Param> {
        self.0.get(name)
    }

    /// Adds one that is not there yet.
    pub(super) fn declare(&mut self, param: Param) {
        self.0.entry(param.name.value.clone()).or_insert(param);
    }

    /// Gives one another value, for as long as nothing else does.
    pub(super) fn vary(&mut self, name: &str, value: Quantity) {
        if let Some(param) = self.0.get_mut(name) {
            param.value = value;
        }
    }

    /// Returns all names.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> Vec<Param> {
        self.0.values().cloned().collect()
    }
}

impl Checker {
    /// Reads `param NAME = DEFAULT [in LOW .. HIGH]`.
    pub(super) fn param(&mut self, statement: &Statement<'_>) {
        let Some(name) = statement.name() else { return };
        let name = Spanned::new(name.text.to_owned(), name.span);
        let mut cursor = statement.cursor();
        cursor.take();
        cursor.take();
        cursor.take_symbol(Symbol::Equals);
        let Some((default, at)) = cursor.take_quantity() else {
            self.expected(&cursor, "a quantity with its unit").help =
                Some(format!("write `param {name} = 500ms in 0ms .. 1s`"));
            return;
        };
        let default = super::value::quantity(default);
        let mut range = None;
        if cursor.take_word("in").is_some() {
            match cursor.peek().map(|i| &i.kind) {
                Some(ItemKind::Range(ends)) => {
                    let low = self.value(&ends.0, default.unit, "the lower end");
                    let high = self.value(&ends.1, default.unit, "the upper end");
                    cursor.take();
                    if let (Some(low), Some(high)) = (low, high) {
                        if low.value.value > high.value.value {
                            let span = low.span.to(high.span);
                            self.error(
                                Code::OutOfRange,
                                span,
                                format!("the range {low} .. {high} is empty"),
                            )
                            .help = Some("write the smaller end first".into());
                        } else if default.value < low.value.value || default.value > high.value.value {
                            let message = format!("the default {default} lies outside of {low} .. {high}");
                            self.error(Code::OutOfRange, at, message).help =
                                Some("change the default, or widen the range".into());
                        } else {
                            range = Some((low.value, high.value));
                        }
                    }
                }
                _ => {
                    self.expected(&cursor, "a range such as `0ms .. 1s`");
                    return;
                }
            }
        }
        self.end(&cursor, &["in"]);
        if let Some(first) = self.params.get(&name.value) {
            let first = first.name.span;
            self.duplicate("param", &name, first);
            return;
        }
        self.params.0.insert(name.value.clone(), Param { name, value: default, default, range });
    }

    /// Gives parameters the values of the command line, each within its range.
    pub(super) fn apply_settings(&mut self, set: &[String]) {
        for setting in set {
            let bad = |message: String, help: String| Diagnostic::new(Code::BadSetting, message).help(help);
            let Some((name, text)) = setting.split_once('=') else {
                self.out.push(bad(
                    format!("`--set {setting}` has no `=`"),
                    "write `--set NAME=VALUE`, such as `--set extra=800ms`".into(),
                ));
                continue;
            };
            let (name, text) = (name.trim(), text.trim());
            let Some(param) = self.params.0.get(name) else {
                let known = self.params.names();
                let near = suggest::did_you_mean(name, known.iter().map(String::as_str));
                let advice = near.unwrap_or_else(|| match known.as_slice() {
                    [] => "the file declares no param".into(),
                    _ => format!("the file declares {}", known.join(", ")).into(),
                });
                let message = format!("`--set {setting}`: no param is named `{name}`");
                self.out.push(Diagnostic::new(Code::BadSetting, message).help(advice));
                continue;
            };
            let Some(value) = read(text) else {
                let help = format!(
                    "`{name}` is {}: write it as in `--set {name}={}`",
                    param.default.unit, param.default
                );
                self.out.push(bad(format!("`--set {setting}`: `{text}` is not a quantity"), help));
                continue;
            };
            if value.unit != param.default.unit {
                let help = format!("its default is {}", param.default);
                self.out.push(bad(
                    format!("`--set {setting}`: `{name}` is {}, not {}", param.default.unit, value.unit),
                    help,
                ));
                continue;
            }
            if let Some((low, high)) = param.range
                && !(low.value..=high.value).contains(&value.value)
            {
                let help =
                    format!("the reviewed range is {low} .. {high}; another range is a change of the file");
                self.out.push(bad(
                    format!("`--set {setting}`: {value} lies outside of the range of `{name}`"),
                    help,
                ));
                continue;
            }
            if let Some(param) = self.params.0.get_mut(name) {
                param.value = value;
            }
        }
    }
}

/// Reads a quantity that stands alone, with the language's own reader.
fn read(text: &str) -> Option<Quantity> {
    let line = format!("param x = {text}\n");
    let parsed = crate::parse(chaos_core::span::FileId(u32::MAX), &line);
    if !parsed.diagnostics.is_empty() {
        return None;
    }
    match parsed.tree.statements.first()?.definition() {
        [item] => item.as_quantity().map(super::value::quantity),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chaos_core::model::{Quantity, Unit};
    use proptest::prelude::*;

    use super::read;

    proptest! {
        /// The levels of a search are handed on as text: what is read must be what was meant.
        #[test]
        fn quantities_as_written_are_read_as_they_are(
            unit in prop::sample::select(vec![
                Unit::Seconds, Unit::Ratio, Unit::PerSecond, Unit::BitsPerSecond, Unit::Bytes, Unit::Count,
            ]),
            number in prop_oneof![0.0..1.0_f64, 0.0..100.0_f64, 0.0..1e5_f64, 0.0..1e8_f64],
        ) {
            let written = Quantity::new(number, unit).as_written();
            prop_assert_eq!(written.as_written(), written);
            let read = read(&written.to_string()).expect("what is written is a quantity");
            prop_assert_eq!(read.to_string(), written.to_string());
            prop_assert_eq!(read.unit, written.unit);
            // A unit's factor may cost the last bit.
            prop_assert!((read.value - written.value).abs() <= written.value * 1e-15, "{} {}", read.value, written.value);
        }
    }
}
