//! Lines of styled pieces: the same pieces become plain text or a coloured terminal.

use std::fmt;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::harmless;

/// The widest line of a report, in columns.
pub const WIDTH: usize = 100;

/// What a piece of text means; a renderer chooses colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// Nothing special.
    #[default]
    Plain,
    /// What the eye should find.
    Strong,
    /// What may be skipped.
    Dim,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Neither: undecided, or a warning.
    Unsure,
}

/// A stretch of text with one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text, free of control characters.
    pub text: String,
    /// What it means.
    pub style: Style,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The columns left free before it.
    pub indent: usize,
    /// How much further its continuations are indented where it is too wide.
    pub hang: usize,
    /// The pieces, one after another, with no space between them but their own.
    pub pieces: Vec<Piece>,
}

impl Line {
    /// Makes an empty line.
    pub fn blank() -> Line {
        Line::default()
    }

    /// Makes a line that begins after `indent` columns, its continuations two further.
    pub fn at(indent: usize) -> Line {
        Line { indent, hang: 2, pieces: Vec::new() }
    }

    /// Makes the title of a section.
    pub fn title(text: &str) -> Line {
        Line::at(0).strong(text)
    }

    /// Sets how much further continuations are indented.
    #[must_use]
    pub fn hang(mut self, columns: usize) -> Line {
        self.hang = columns;
        self
    }

    /// Appends a piece; control characters become spaces, so that measured text cannot steer a terminal.
    #[must_use]
    pub fn piece(mut self, style: Style, text: impl AsRef<str>) -> Line {
        let text = harmless::line(text.as_ref());
        if !text.is_empty() {
            self.pieces.push(Piece { text, style });
        }
        self
    }

    /// Appends plain text.
    #[must_use]
    pub fn plain(self, text: impl AsRef<str>) -> Line {
        self.piece(Style::Plain, text)
    }

    /// Appends text that the eye should find.
    #[must_use]
    pub fn strong(self, text: impl AsRef<str>) -> Line {
        self.piece(Style::Strong, text)
    }

    /// Appends text that may be skipped.
    #[must_use]
    pub fn dim(self, text: impl AsRef<str>) -> Line {
        self.piece(Style::Dim, text)
    }

    /// Breaks a line that is wider than `width` at its spaces.
    #[must_use]
    pub fn wrap(self, width: usize) -> Vec<Line> {
        let (indent, hang) = (self.indent, self.hang);
        let mut out = vec![Line { indent, hang, pieces: Vec::new() }];
        let mut column = indent;
        for Word { spaces, parts } in words(self.pieces) {
            let wide: usize = parts.iter().map(|p| p.text.width()).sum();
            let first = column == out.last().map_or(0, |l| l.indent);
            let spaces = if first && out.len() > 1 { 0 } else { spaces };
            if !first && column + spaces + wide > width {
                out.push(Line { indent: indent + hang, hang, pieces: Vec::new() });
                column = indent + hang;
            } else if spaces > 0 {
                let style = parts.first().map_or(Style::Plain, |p| p.style);
                push(&mut out, &" ".repeat(spaces), style);
                column += spaces;
            }
            for Piece { text, style } in parts {
                for c in text.chars() {
                    let wide = c.width().unwrap_or(0);
                    if column + wide > width && column > indent + hang {
                        out.push(Line { indent: indent + hang, hang, pieces: Vec::new() });
                        column = indent + hang;
                    }
                    push(&mut out, c.encode_utf8(&mut [0; 4]), style);
                    column += wide;
                }
            }
        }
        out
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.pieces.iter().map(|p| p.text.as_str()).collect();
        let text = text.trim_end();
        if text.is_empty() { Ok(()) } else { write!(f, "{:indent$}{text}", "", indent = self.indent) }
    }
}

/// Breaks lines that are wider than `width`.
pub fn wrap(lines: Vec<Line>, width: usize) -> Vec<Line> {
    lines.into_iter().flat_map(|l| l.wrap(width)).collect()
}

/// Folds lines to plain text, each ended by a line feed.
pub fn plain(lines: &[Line]) -> String {
    lines.iter().map(|l| format!("{l}\n")).collect()
}

/// What no break may come into, with the spaces before it.
struct Word {
    spaces: usize,
    parts: Vec<Piece>,
}

fn words(pieces: Vec<Piece>) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut spaces = 0;
    // A word goes on over the end of a piece unless a space comes between.
    let mut open = false;
    for Piece { text, style } in pieces {
        for (i, part) in text.split(' ').enumerate() {
            if i > 0 {
                spaces += 1;
                open = false;
            }
            if part.is_empty() {
                continue;
            }
            let part = Piece { text: part.to_owned(), style };
            match words.last_mut() {
                Some(word) if open => word.parts.push(part),
                _ => words.push(Word { spaces: std::mem::take(&mut spaces), parts: vec![part] }),
            }
            open = true;
        }
    }
    words
}

fn push(lines: &mut [Line], text: &str, style: Style) {
    let Some(line) = lines.last_mut() else { return };
    match line.pieces.last_mut() {
        Some(piece) if piece.style == style => piece.text.push_str(text),
        _ => line.pieces.push(Piece { text: text.to_owned(), style }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_lines_break_at_spaces_and_keep_their_styles() {
        let line = Line::at(2).piece(Style::Good, "ok").plain(" one two").dim(" three four");
        let wrapped = line.wrap(14);
        assert_eq!(plain(&wrapped), "  ok one two\n    three four\n");
        assert_eq!(wrapped[0].pieces[0], Piece { text: "ok".into(), style: Style::Good });
        assert_eq!(wrapped[1].pieces, [Piece { text: "three four".into(), style: Style::Dim }]);
    }

    #[test]
    fn a_word_wider_than_the_line_is_cut() {
        let wrapped = Line::at(0).plain("abcdefghij").wrap(6);
        assert_eq!(plain(&wrapped), "abcdef\n  ghij\n");
    }

    #[test]
    fn glued_pieces_stay_together() {
        let wrapped = Line::at(0).plain("see ").strong("name").plain(": x").wrap(8);
        assert_eq!(plain(&wrapped), "see\n  name:\n  x\n");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let line = Line::at(0).plain("a\u{1b}[31mb\nc\u{9b}d\u{202e}e");
        assert_eq!(line.to_string(), "a [31mb c d e");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_too_wide(texts in proptest::collection::vec(".{0,40}", 0..6), width in 20_usize..100) {
            let line = texts.iter().fold(Line::at(4), |l, t| l.plain(t));
            let wrapped = line.clone().wrap(width);
            let letters = |lines: &[Line]| -> String { plain(lines).chars().filter(|c| !c.is_whitespace()).collect() };
            proptest::prop_assert_eq!(letters(&wrapped), letters(&[line]));
            for line in &wrapped {
                proptest::prop_assert!(line.to_string().width() <= width, "`{}`", line);
            }
        }
    }
}
