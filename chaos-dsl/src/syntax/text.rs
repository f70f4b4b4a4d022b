//! Strings with their `{param}` holes.

use std::borrow::Cow;

use super::Word;

/// A string.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<'a> {
    /// Its quotes.
    pub quote: Quote,
    /// Its parts in order; two literals never follow each other.
    pub parts: Vec<Part<'a>>,
}

/// The quotes of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// `"…"`, on one line.
    Line,
    /// `"""…"""`, over several lines.
    Block,
}

/// A part of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    /// Characters, escapes already read.
    Literal(Cow<'a, str>),
    /// A hole for the value of a param.
    Hole(Word<'a>),
}

impl Text<'_> {
    /// Returns the characters of a string without holes.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}
