//! Items: the pieces a statement consists of.

use std::net::IpAddr;

use chaos_core::{model::packets::Ports, span::Span};

use super::{Block, Condition, Formula, Quantity, Text};

/// A piece of a statement.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// What it is.
    pub kind: ItemKind<'a>,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Item<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind<'a> {
    /// A keyword, name, dotted path or glob: `fault`, `api-1`, `spec.selector.app`, `api-*`.
    Word(&'a str),
    /// A string.
    Text(Text<'a>),
    /// A number with or without a unit.
    Quantity(Quantity<'a>),
    /// A time of day in minutes: `16:00`.
    Clock(u16),
    /// An address, with the length of its prefix: `10.0.0.0/8`.
    Address(IpAddr, Option<u8>),
    /// Ports from one to another: `8000-8100`.
    Ports(Ports),
    /// `[a, b]`.
    List(Vec<Item<'a>>),
    /// `low .. high`.
    Range(Box<(Item<'a>, Item<'a>)>),
    /// Punctuation.
    Symbol(Symbol),
    /// What follows `where` and `ok when`.
    Condition(Box<Condition<'a>>),
    /// What follows `abort when`, `proven by` or the name of an expectation.
    Formula(Box<Formula<'a>>),
    /// Statements in braces.
    Block(Box<Block<'a>>),
}

/// Punctuation that stands between items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// `=`
    Equals,
    /// `:`
    Colon,
    /// `->`
    Arrow,
    /// `<->`
    Link,
    /// A comma that does not end its statement: `tags dns, latency`.
    Comma,
}

impl Symbol {
    /// Returns how it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Symbol::Equals => "=",
            Symbol::Colon => ":",
            Symbol::Arrow => "->",
            Symbol::Link => "<->",
            Symbol::Comma => ",",
        }
    }
}

/// A word with its place.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// The word.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
}

impl PartialEq for Word<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<'a> Item<'a> {
    /// Pairs a kind with its place.
    pub fn new(kind: ItemKind<'a>, span: Span) -> Self {
        Item { kind, span }
    }

    /// Returns the word this is, if it is one.
    pub fn as_word(&self) -> Option<Word<'a>> {
        match self.kind {
            ItemKind::Word(text) => Some(Word { text, span: self.span }),
            _ => None,
        }
    }

    /// Returns the string this is, if it is one.
    pub fn as_text(&self) -> Option<&Text<'a>> {
        match &self.kind {
            ItemKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the quantity this is, if it is one.
    pub fn as_quantity(&self) -> Option<&Quantity<'a>> {
        match &self.kind {
            ItemKind::Quantity(quantity) => Some(quantity),
            _ => None,
        }
    }

    /// Returns whether this is the given word.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.kind, ItemKind::Word(text) if text == word)
    }

    /// Returns whether this is the given symbol.
    pub fn is_symbol(&self, symbol: Symbol) -> bool {
        matches!(self.kind, ItemKind::Symbol(found) if found == symbol)
    }

    /// Returns what it is in a few words, for "expected …, found …".
    pub fn describe(&self) -> String {
        match &self.kind {
            ItemKind::Word(text) => format!("`{text}`"),
            ItemKind::Text(_) => "a string".to_owned(),
            ItemKind::Quantity(quantity) => format!("the {} `{}`", quantity.unit.describe(), quantity.text),
            ItemKind::Clock(_) => "a time of day".to_owned(),
            ItemKind::Address(..) => "an address".to_owned(),
            ItemKind::Ports(ports) => format!("the ports `{ports}`"),
            ItemKind::List(_) => "a list".to_owned(),
            ItemKind::Range(_) => "a range".to_owned(),
            ItemKind::Symbol(symbol) => format!("`{}`", symbol.as_str()),
            ItemKind::Condition(_) => "a condition".to_owned(),
            ItemKind::Formula(_) => "a formula".to_owned(),
            ItemKind::Block(_) => "a block".to_owned(),
        }
    }
}
