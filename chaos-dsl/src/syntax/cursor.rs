//! A walk over the items of a statement.

use chaos_core::span::Span;

use super::{Block, Condition, Item, ItemKind, Quantity, Symbol, Text, Word};

/// Walks over items from left to right; each `take` moves on only when it returns something.
#[derive(Clone, Debug)]
pub struct Cursor<'t, 'a> {
    items: &'t [Item<'a>],
    whole: Span,
    previous: Span,
}

impl<'t, 'a> Cursor<'t, 'a> {
    /// Starts at the first of the items; `whole` is the place of what they belong to.
    pub fn new(items: &'t [Item<'a>], whole: Span) -> Self {
        let previous = Span { end: whole.start, ..whole };
        Cursor { items, whole, previous }
    }

    /// Returns the next item without moving on.
    pub fn peek(&self) -> Option<&'t Item<'a>> {
        self.items.first()
    }

    /// Returns what is left.
    pub fn rest(&self) -> &'t [Item<'a>] {
        self.items
    }

    /// Returns whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the place of the next item, or the point just behind the last one: where something is missing.
    pub fn span(&self) -> Span {
        match self.items.first() {
            Some(item) => item.span,
            None => Span { start: self.previous.end, ..self.previous },
        }
    }

    /// Returns the place of what was taken last.
    pub fn previous(&self) -> Span {
        self.previous
    }

    /// Returns the place of the whole that the items belong to.
    pub fn whole(&self) -> Span {
        self.whole
    }

    /// Takes the next item, whatever it is.
    pub fn take(&mut self) -> Option<&'t Item<'a>> {
        let (first, rest) = self.items.split_first()?;
        self.items = rest;
        self.previous = first.span;
        Some(first)
    }

    fn take_map<T>(&mut self, map: impl FnOnce(&'t Item<'a>) -> Option<T>) -> Option<T> {
        let found = map(self.items.first()?)?;
        self.take();
        Some(found)
    }

    /// Takes the given word and returns its place.
    pub fn take_word(&mut self, word: &str) -> Option<Span> {
        self.take_map(|item| item.is_word(word).then_some(item.span))
    }

    /// Takes several given words in a row, or none of them, and returns their place.
    pub fn take_words(&mut self, words: &[&str]) -> Option<Span> {
        if words.len() > self.items.len()
            || !words.iter().zip(self.items).all(|(word, item)| item.is_word(word))
        {
            return None;
        }
        let first = self.span();
        words.iter().for_each(|_| {
            self.take();
        });
        Some(first.to(self.previous))
    }

    /// Takes any word.
    pub fn take_any_word(&mut self) -> Option<Word<'a>> {
        self.take_map(Item::as_word)
    }

    /// Takes the given symbol and returns its place.
    pub fn take_symbol(&mut self, symbol: Symbol) -> Option<Span> {
        self.take_map(|item| item.is_symbol(symbol).then_some(item.span))
    }

    /// Takes a string.
    pub fn take_text(&mut self) -> Option<(&'t Text<'a>, Span)> {
        self.take_map(|item| item.as_text().map(|text| (text, item.span)))
    }

    /// Takes a quantity.
    pub fn take_quantity(&mut self) -> Option<(&'t Quantity<'a>, Span)> {
        self.take_map(|item| item.as_quantity().map(|quantity| (quantity, item.span)))
    }

    /// Takes a block.
    pub fn take_block(&mut self) -> Option<&'t Block<'a>> {
        self.take_map(|item| match &item.kind {
            ItemKind::Block(block) => Some(&**block),
            _ => None,
        })
    }

    /// Takes a condition.
    pub fn take_condition(&mut self) -> Option<&'t Condition<'a>> {
        self.take_map(|item| match &item.kind {
            ItemKind::Condition(condition) => Some(&**condition),
            _ => None,
        })
    }
}
