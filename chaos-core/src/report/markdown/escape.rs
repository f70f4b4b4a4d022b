//! Text that Markdown must not take for markup, also in the cell of a table.

use crate::report::harmless;

/// What means something to GitHub's Markdown, in the middle of a line.
const MARKUP: &str = r"\`*_[]<>|~&#$";

/// Escapes text of any origin; it stays on one line.
pub(super) fn text(text: &str) -> String {
    escaped(text, true)
}

fn escaped(text: &str, starts_a_line: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let text = harmless::line(text);
    for (i, c) in text.trim().char_indices() {
        // These begin a list, a heading or a rule, but only at the start of a line.
        let begins = starts_a_line && i == 0 && matches!(c, '-' | '+' | '=' | '!' | ':');
        if MARKUP.contains(c) || begins {
            out.push('\\');
        }
        out.push(c);
        // Nobody is to be notified by what a probe has met; a zero-width space ends the name before it begins.
        if c == '@' {
            out.push('\u{200b}');
        }
    }
    out
}

/// Escapes a message; what it sets in backticks, as messages do with names and commands, becomes code.
pub(in crate::report) fn prose(message: &str) -> String {
    let pieces: Vec<&str> = message.split('`').collect();
    // Without a partner a backtick is a character like any other.
    if pieces.len().is_multiple_of(2) {
        return text(message);
    }
    let mut out = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        let inner = harmless::line(piece);
        // Space at the edges belongs to the sentence, and `text` and `code` take it away.
        let (before, after) = (inner.starts_with(' '), inner.len() > 1 && inner.ends_with(' '));
        let written = if i % 2 == 1 { code(&inner) } else { escaped(&inner, i == 0) };
        out.push_str(if before { " " } else { "" });
        out.push_str(&written);
        out.push_str(if after && !written.is_empty() { " " } else { "" });
    }
    out.trim().to_owned()
}

/// Writes text as code; it stays on one line and may stand in a table.
///
/// A pipe in a table is escaped also in code, a backslash before it cannot be, and backticks end it: text with those is
/// written in HTML.
pub(super) fn code(text: &str) -> String {
    let text = harmless::line(text);
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    if !text.contains(['`', '\\']) {
        return format!("`{}`", text.replace('|', r"\|"));
    }
    let mut out = String::from("<code>");
    for c in text.chars() {
        if MARKUP.contains(c) || "\"'@!:".contains(c) {
            out.push_str(&format!("&#{};", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out + "</code>"
}

/// Writes lines as a block of code of a language, with a fence longer than any in it.
pub(super) fn block(language: &str, text: &str) -> String {
    let text = harmless::lines(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(text("a|b `c` *d* <e>"), r"a\|b \`c\` \*d\* \<e\>");
        assert_eq!(text("- a\nb"), r"\- a b");
        assert_eq!(text("by @team"), "by @\u{200b}team");
    }

    #[test]
    fn what_a_message_sets_in_backticks_is_code() {
        assert_eq!(prose("1 of 3: `a|b`, `c_d` too"), r"1 of 3: `a\|b`, `c_d` too");
        assert_eq!(prose("half a `pair"), r"half a \`pair");
        assert_eq!(prose("`x`: - y"), "`x`: - y");
    }

    #[test]
    fn code_stays_code() {
        assert_eq!(code("a | b"), r"`a \| b`");
        assert_eq!(code("a`b"), "<code>a&#96;b</code>");
        assert_eq!(code(r"a\|b"), "<code>a&#92;&#124;b</code>");
        assert_eq!(code(" "), "");
    }

    #[test]
    fn a_block_cannot_be_left() {
        assert_eq!(block("sh", "x ``` y"), "````sh\nx ``` y\n````");
    }

    /// Splits a row as GitHub's tables do: at every pipe that no backslash escapes.
    fn cells(row: &str) -> usize {
        let (mut cells, mut escaped) = (1, false);
        for c in row.chars() {
            cells += usize::from(c == '|' && !escaped);
            escaped = c == '\\' && !escaped;
        }
        cells
    }

    proptest::proptest! {
        #[test]
        fn nothing_splits_a_cell_or_a_line(any in ".*") {
            for escaped in [text(&any), code(&any), prose(&any)] {
                proptest::prop_assert_eq!(cells(&escaped), 1, "`{}`", escaped);
                proptest::prop_assert!(!escaped.contains(['\n', '\r']));
            }
        }

        #[test]
        fn no_backtick_and_no_bracket_is_left_alone(any in "[`<>a\\\\|]{0,12}") {
            let mut escaped = false;
            for c in text(&any).chars() {
                proptest::prop_assert!(escaped || !"`<>|".contains(c));
                escaped = c == '\\' && !escaped;
            }
            let coded = code(&any);
            let inner = coded.strip_prefix("<code>").and_then(|c| c.strip_suffix("</code>"));
            proptest::prop_assert!(!inner.is_some_and(|i| i.contains(['`', '<', '>', '|', '\\'])));
        }
    }
}
