//! Items on one line.

use std::fmt::Write;

use super::formula::formula;
use super::layout::inline_block;
use crate::syntax::{Condition, Item, ItemKind, Logic, Part, Quote, Relation, Symbol, Text};

/// Appends items with the spaces between them; blocks are written on one line.
pub(super) fn items(out: &mut String, items: &[Item<'_>]) {
    for (i, current) in items.iter().enumerate() {
        let colon = |item: &Item<'_>| item.is_symbol(Symbol::Colon);
        let tight = i == 0 || colon(current) || current.is_symbol(Symbol::Comma) || colon(&items[i - 1]);
        if !tight {
            out.push(' ');
        }
        match &current.kind {
            // Without brackets nobody sees where the address ends.
            ItemKind::Address(host, prefix) if host.is_ipv6() && items.get(i + 1).is_some_and(colon) => {
                let _ = write!(out, "[{host}]");
                if let Some(prefix) = prefix {
                    let _ = write!(out, "/{prefix}");
                }
            }
            _ => item(out, current),
        }
    }
}

/// Appends one item.
pub(super) fn item(out: &mut String, item_: &Item<'_>) {
    match &item_.kind {
        ItemKind::Word(word) => out.push_str(word),
        ItemKind::Text(found) => text(out, found),
        ItemKind::Quantity(quantity) => out.push_str(quantity.text),
        ItemKind::Clock(minutes) => {
            let _ = write!(out, "{:02}:{:02}", minutes / 60, minutes % 60);
        }
        ItemKind::Address(host, prefix) => {
            let _ = write!(out, "{host}");
            if let Some(prefix) = prefix {
                let _ = write!(out, "/{prefix}");
            }
        }
        ItemKind::Ports(ports) => {
            let _ = write!(out, "{ports}");
        }
        ItemKind::List(list) => {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                item(out, element);
            }
            out.push(']');
        }
        ItemKind::Range(range) => {
            item(out, &range.0);
            // Times of day stand close together, as people write opening hours.
            out.push_str(if matches!(range.0.kind, ItemKind::Clock(_)) { ".." } else { " .. " });
            item(out, &range.1);
        }
        ItemKind::Symbol(symbol) => out.push_str(symbol.as_str()),
        ItemKind::Condition(found) => condition(out, found),
        ItemKind::Formula(found) => formula(out, found),
        ItemKind::Block(block) => inline_block(out, block),
    }
}

/// Appends a condition.
fn condition(out: &mut String, found: &Condition<'_>) {
    match found {
        Condition::Test(test) => {
            if test.negated {
                out.push_str("not ");
            }
            out.push_str(test.key.text);
            if let Some(of) = &test.of {
                out.push(' ');
                item(out, of);
            }
            if !matches!(test.relation, Relation::Is | Relation::Exists) {
                out.push(' ');
                out.push_str(test.relation.as_str());
            }
            if let Some(value) = &test.value {
                out.push(' ');
                item(out, value);
            }
        }
        Condition::Join(logic, operands) => joined(out, *logic, operands, condition),
        Condition::Group(inner) => {
            out.push('(');
            condition(out, inner);
            out.push(')');
        }
    }
}

/// Appends parts with a word between them.
pub(super) fn joined<T>(out: &mut String, logic: Logic, parts: &[T], mut print: impl FnMut(&mut String, &T)) {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push(' ');
            out.push_str(logic.as_str());
            out.push(' ');
        }
        print(out, part);
    }
}

/// Appends a string with its quotes and escapes.
pub(super) fn text(out: &mut String, text: &Text<'_>) {
    let block = text.quote == Quote::Block;
    out.push_str(if block { "\"\"\"\n" } else { "\"" });
    for (i, part) in text.parts.iter().enumerate() {
        let last = i + 1 == text.parts.len();
        match part {
            Part::Hole(word) => {
                out.push('{');
                out.push_str(word.text);
                out.push('}');
            }
            Part::Literal(literal) if block => block_literal(out, literal, last),
            Part::Literal(literal) => literal.chars().for_each(|c| match c {
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c => character(out, c),
            }),
        }
    }
    out.push_str(if block { "\"\"\"" } else { "\"" });
}

/// Appends characters between triple quotes, so that no three quotes follow each other.
fn block_literal(out: &mut String, literal: &str, last: bool) {
    let mut rest = literal;
    while let Some(c) = rest.chars().next() {
        let quotes = rest.len() - rest.trim_start_matches('"').len();
        if quotes > 0 {
            let at_end = last && quotes == rest.len();
            let quote = if quotes >= 3 || at_end { "\\\"" } else { "\"" };
            (0..quotes).for_each(|_| out.push_str(quote));
            rest = &rest[quotes..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        character(out, c);
    }
}

/// Appends a character as it may stand in a string.
fn character(out: &mut String, c: char) {
    match c {
        '{' => out.push_str("{{"),
        '}' => out.push_str("}}"),
        '\\' => out.push_str("\\\\"),
        '\r' => out.push_str("\\r"),
        c if crate::parse::is_forbidden(c) => {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
        c => out.push(c),
    }
}
