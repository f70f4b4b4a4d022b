//! A place of the scenario in plain text: its lines, underlined.

use unicode_width::UnicodeWidthStr as _;

use super::harmless;
use crate::{run::Record, span::Span};

/// The most lines of a place that are shown.
const MOST: usize = 6;

/// Returns the lines of a place with `^^^^` beneath, below their file, line and column; `None` if the record does not hold
/// the file.
pub fn excerpt(record: &Record, span: Span) -> Option<String> {
    let file = record.scenario.get(span.file.0 as usize)?;
    let all = file.clip(span);
    let at = file.position(all.start as u32);
    // Each line of the text, and the part of it that is underlined.
    let mut lines: Vec<(u32, String, usize, usize)> = Vec::new();
    let mut start = all.start;
    let more = loop {
        let line = file.line_around(start as u32);
        let mut part = start..all.end.min(line.end).max(start);
        // What a further line is indented by is not part of the clause.
        let inside = &file.text[part.clone()];
        part.start += inside.len() - inside.trim_start().len();
        // A further line may be too long to be shown whole, too.
        let part = file.clip(Span::new(span.file, part.start as u32, part.end as u32));
        let shown = file.shown(&part);
        let width = |text: &str| harmless::line(text).width();
        let before = width(&file.text[shown.start..part.start]);
        let under = width(file.text[part.clone()].trim_end()).max(1);
        lines.push((file.position(start as u32).line, harmless::line(&file.text[shown]), before, under));
        if line.end >= all.end {
            break false;
        }
        if lines.len() == MOST {
            break true;
        }
        start = line.end + 1;
    };
    let gutter = lines.last().map_or(1, |(number, ..)| number.to_string().len());
    let mut out = format!("{:gutter$}--> {}:{}:{}", "", harmless::line(&file.name), at.line, at.column);
    for (number, text, before, under) in lines {
        // An empty line between others has nothing to underline.
        let marks = if text.trim().is_empty() { String::new() } else { "^".repeat(under) };
        for line in [format!("{number:gutter$} | {text}"), format!("{:gutter$} | {:before$}{marks}", "", "")]
        {
            out.push('\n');
            out.push_str(line.trim_end());
        }
    }
    if more {
        out.push_str(&format!("\n{:gutter$} | …", ""));
    }
    Some(out)
}
