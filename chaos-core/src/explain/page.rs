//! The layout of an explanation: sections, items and wrapped lines.

use std::time::Duration;

use crate::model::quantity::format_seconds;

/// Where lines are broken.
const WIDTH: usize = 100;

/// Writes a duration as the language does.
pub(super) fn time(duration: Duration) -> String {
    format_seconds(duration.as_secs_f64())
}

/// Text laid out for a terminal.
#[derive(Debug, Default)]
pub(super) struct Page {
    out: String,
}

impl Page {
    /// Writes the title, underlined.
    pub(super) fn title(&mut self, title: &str) {
        self.wrapped("", "", title);
        self.out.push_str(&"=".repeat(title.chars().count().min(WIDTH)));
        self.out.push_str("\n\n");
    }

    /// Writes names with their values, aligned.
    pub(super) fn fields(&mut self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in fields {
            self.wrapped(&format!("  {name:width$}  "), &" ".repeat(width + 4), value);
        }
    }

    /// Begins a section.
    pub(super) fn section(&mut self, heading: &str) {
        self.out.push_str(&format!("\n{heading}\n"));
    }

    /// Writes a paragraph.
    pub(super) fn text(&mut self, text: &str) {
        self.wrapped("  ", "  ", text);
    }

    /// Writes one of several things.
    pub(super) fn item(&mut self, text: &str) {
        self.wrapped("  - ", "    ", text);
    }

    /// Writes something about the item before it.
    pub(super) fn detail(&mut self, text: &str) {
        self.wrapped("    ", "    ", text);
    }

    /// Writes a detail with a name in front.
    pub(super) fn named(&mut self, name: &str, text: &str) {
        self.wrapped(&format!("    {name:<9}"), &" ".repeat(13), text);
    }

    /// Writes a line of a table.
    pub(super) fn row(&mut self, head: &str, text: &str) {
        self.wrapped(&format!("  {head}  "), &" ".repeat(head.chars().count() + 4), text);
    }

    /// Gives up the text.
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split_whitespace() {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.out.push_str(line.trim_end());
                self.out.push('\n');
                line = rest.to_owned();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}
