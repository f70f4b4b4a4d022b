//! The text of a scenario, and where in it a byte is.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// Lines longer than this are shown cut around what is spoken of, in bytes.
const LONGEST: usize = 1000;

/// How much of a cut line stands before and after what is spoken of, in bytes.
const AROUND: usize = 60;

/// A file's name and text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceFile {
    /// The name shown to people: a path as they gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in a file, for people and editors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Offset in bytes from the start of the file.
    pub byte: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl SourceFile {
    /// Takes over a text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        SourceFile { name: name.into(), text: text.into() }
    }

    /// Returns line and column of a byte; a byte past the end counts as the end.
    pub fn position(&self, byte: u32) -> Position {
        let byte = byte.min(self.text.len() as u32);
        let before = &self.text.as_bytes()[..byte as usize];
        let line = before.iter().filter(|b| **b == b'\n').count();
        let in_line = &before[self.line_around(byte).start..];
        // Every byte but those that continue a character.
        let column = in_line.iter().filter(|b| (**b as i8) >= -0x40).count();
        Position { byte, line: line as u32 + 1, column: column as u32 + 1 }
    }

    /// Returns the bytes of the line that holds a byte, without its line end.
    pub fn line_around(&self, byte: u32) -> Range<usize> {
        let bytes = self.text.as_bytes();
        let byte = (byte as usize).min(bytes.len());
        let start = bytes[..byte].iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let end = bytes[byte..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |length| byte + length);
        start..end
    }

    /// Returns whether the line that holds a byte is too long to be shown whole.
    pub fn is_cut(&self, byte: u32) -> bool {
        self.line_around(byte).len() > LONGEST
    }

    /// Returns the bytes of a span: not past the end of the text, between characters, and no more than is shown of a line that
    /// is cut.
    pub fn clip(&self, span: Span) -> Range<usize> {
        let start = floor(&self.text, span.start as usize);
        let mut end = floor(&self.text, (span.end as usize).max(start));
        if self.is_cut(span.start) {
            let line = self.line_around(span.start);
            end = floor(&self.text, end.min(start + AROUND).min(line.end.max(start)));
        }
        start..end.max(start)
    }

    /// Returns what is shown of the line that a stretch begins on: all of it, or of one that is cut what is around the stretch.
    pub fn shown(&self, stretch: &Range<usize>) -> Range<usize> {
        let line = self.line_around(stretch.start as u32);
        if line.len() <= LONGEST {
            return line;
        }
        let start = floor(&self.text, line.start.max(stretch.start.saturating_sub(AROUND)));
        start..floor(&self.text, line.end.min(stretch.end + AROUND))
    }
}

/// Returns the nearest character boundary at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::FileId;

    #[test]
    fn positions_count_characters() {
        let file = SourceFile::new("a", "é = 1\nb\n");
        assert_eq!(file.position(3), Position { byte: 3, line: 1, column: 3 });
        assert_eq!(file.position(7), Position { byte: 7, line: 2, column: 1 });
        assert_eq!(file.position(99), Position { byte: 9, line: 3, column: 1 });
        assert_eq!(file.line_around(7), 7..8);
        assert_eq!(file.line_around(6), 0..6);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let file = SourceFile::new("a", format!("{}x = 1{}\nb", "é".repeat(600), "é".repeat(600)));
        let span = Span::new(FileId(0), 1200, 1205);
        assert_eq!(file.clip(span), 1200..1205);
        assert_eq!(file.shown(&(1200..1205)), 1140..1265);
        // Within a character, and far past the end.
        let clipped = file.clip(Span::new(FileId(0), 1, u32::MAX));
        assert_eq!(clipped, 0..60);
        assert_eq!(file.clip(Span::new(FileId(0), u32::MAX, u32::MAX)).len(), 0);
    }
}
