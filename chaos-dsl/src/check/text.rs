//! Strings, and the values of parameters in them.

use chaos_core::span::Spanned;

use super::Checker;
use crate::syntax::{Cursor, Part, Text};

impl Checker {
    /// Fills the holes of a string with the values of parameters.
    pub(super) fn text(&mut self, text: &Text<'_>) -> String {
        let mut filled = String::new();
        for part in &text.parts {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Hole(name) => match self.params.get(name.text) {
                    Some(param) => filled.push_str(&param.value.to_string()),
                    None => {
                        let known = self.params.names();
                        self.unknown("param", *name, known.iter().map(String::as_str));
                    }
                },
            }
        }
        filled
    }

    /// Takes a string and fills its holes.
    pub(super) fn take_string(&mut self, cursor: &mut Cursor<'_, '_>, what: &str) -> Option<Spanned<String>> {
        match cursor.take_text() {
            Some((text, span)) => Some(Spanned::new(self.text(text), span)),
            None => {
                self.expected(cursor, what).help = Some("write it in double quotes: `\"…\"`".into());
                None
            }
        }
    }
}
