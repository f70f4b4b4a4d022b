//! The tree: what was written and where, without what it means.
//!
//! A file is a list of [`Statement`]s. A statement is a list of [`Item`]s, the first of which is mostly its keyword:
//! words, quantities, strings, symbols, lists, ranges, conditions, formulas and blocks of further statements. So
//! `fault lossy = loss 5% on api { proven by … }` is the words `fault` and `lossy`, the symbol `=`, the word `loss`,
//! the quantity `5%`, the words `on` and `api`, and a block. [`Cursor`] walks over the items of a statement.
//!
//! Two trees are equal when the same was written, wherever it stands: places do not count.

mod condition;
mod cursor;
mod formula;
mod item;
mod quantity;
mod temporal;
mod text;

use chaos_core::span::{FileId, Span};

pub use condition::{Condition, Relation, Test};
pub use cursor::Cursor;
pub use formula::{
    Argument, Baseline, Call, Clause, ClauseKind, Compare, CompareOp, ForEach, Formula, FormulaKind, Logic,
    Prefix, Scaled, Sign, Term,
};
pub use item::{Item, ItemKind, Symbol, Word};
pub use quantity::{Decimal, Quantity, Unit};
pub use temporal::{
    Anchor, Happening, Operator, Side, SignalName, Temporal, TemporalClause, TemporalKind, Window, WindowEnd,
};
pub use text::{Part, Quote, Text};

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File<'a> {
    /// The id it was parsed under.
    pub id: FileId,
    /// The statements, in order.
    pub statements: Vec<Statement<'a>>,
    /// Comments and blank lines after the last statement.
    pub trailing: Vec<Trivia<'a>>,
}

/// A comment on its own line, or a blank line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trivia<'a> {
    /// One or more blank lines.
    Blank,
    /// A comment, with its `#`, without white space at its end.
    Comment(&'a str),
}

/// One statement: up to the end of its line, a comma, or the end of its block.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// Comments and blank lines before it; a comment from within it is moved here.
    pub leading: Vec<Trivia<'a>>,
    /// The name of an expectation, before its `:`.
    pub label: Option<Item<'a>>,
    /// What it consists of; never empty.
    pub items: Vec<Item<'a>>,
    /// The comment at the end of its line.
    pub comment: Option<&'a str>,
    /// From its first character to its last.
    pub span: Span,
}

/// Statements in braces.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// The comment behind the opening brace.
    pub comment: Option<&'a str>,
    /// The statements, in order.
    pub statements: Vec<Statement<'a>>,
    /// Comments and blank lines after the last statement.
    pub trailing: Vec<Trivia<'a>>,
    /// Whether it was written on one line; the formatter keeps it there if it fits.
    pub one_line: bool,
    /// From brace to brace.
    pub span: Span,
}

impl<'a> Statement<'a> {
    /// Returns the first word, or nothing where a statement begins otherwise (a formula, a list).
    pub fn keyword(&self) -> &'a str {
        self.items.first().and_then(Item::as_word).map_or("", |word| word.text)
    }

    /// Returns the place of its first item, which says what it is.
    pub fn head(&self) -> Span {
        self.items.first().map_or(self.span, |item| item.span)
    }

    /// Returns the second word: the name in `fault NAME = …` or `host NAME`.
    pub fn name(&self) -> Option<Word<'a>> {
        self.items.get(1).and_then(Item::as_word)
    }

    /// Returns the items after `=`, or all after the keyword where there is none.
    pub fn definition(&self) -> &[Item<'a>] {
        let equals = self.items.iter().position(|item| item.is_symbol(Symbol::Equals));
        self.items.get(equals.map_or(1, |i| i + 1)..).unwrap_or_default()
    }

    /// Returns the block at the end, if there is one.
    pub fn block(&self) -> Option<&Block<'a>> {
        match self.items.last().map(|item| &item.kind) {
            Some(ItemKind::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// Returns the formula at the end, if there is one: of an expectation, a guard, a `proven by`.
    pub fn formula(&self) -> Option<&Formula<'a>> {
        match self.items.last().map(|item| &item.kind) {
            Some(ItemKind::Formula(formula)) => Some(formula),
            _ => None,
        }
    }

    /// Returns a cursor over all items.
    pub fn cursor(&self) -> Cursor<'_, 'a> {
        Cursor::new(&self.items, self.span)
    }
}

impl PartialEq for Statement<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.leading == other.leading
            && self.label == other.label
            && self.items == other.items
            && self.comment == other.comment
    }
}

impl PartialEq for Block<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.comment == other.comment
            && self.statements == other.statements
            && self.trailing == other.trailing
    }
}
