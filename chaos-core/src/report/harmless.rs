//! Text of any origin that does nothing but be read.
//!
//! Titles, labels, answers of servers and journals may hold what steers a terminal, turns the direction of the text around it,
//! hides text, or is a command to the CI system whose log it comes to stand in. Everything that a report writes goes through here.

/// Whether a character does something other than be read: control characters (C0, C1), line and paragraph separators, marks and
/// overrides of direction (UAX #9), and the invisible tags (U+E0000 block).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns text for one line: what steers becomes a space, and commands to a CI system lose their shape.
pub fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    commandless(text)
}

/// Returns text for several lines: line feeds and tabs stay, all else as for [`line()`].
pub fn lines(text: &str) -> String {
    let kept = |c: char| matches!(c, '\n' | '\t');
    let text: String = text.chars().map(|c| if steers(c) && !kept(c) { ' ' } else { c }).collect();
    commandless(text)
}

/// Returns JSON that means the same, with what steers written as escapes.
///
/// Outside of strings JSON has nothing but line feeds and spaces that this could change, and those stay.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        // A `##[` or `##vso[` is a command wherever it stands in a line of a log.
        let begins = c == '#' && before == '#';
        if (steers(c) && c != '\n') || begins {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// Returns the text of a file with every byte where it was, so that places in it still fit; what steers becomes something to see.
pub fn source(text: &str) -> String {
    let visible = |c: char| match (steers(c) && !matches!(c, '\n' | '\t'), c.len_utf8()) {
        (false, _) => c,
        // The line end of other systems is not something to point at.
        (true, 1) if c == '\r' => ' ',
        (true, 1) => '?',
        (true, 2) => '\u{b7}',
        (true, 3) => '\u{fffd}',
        (true, _) => '\u{1fbc4}',
    };
    let text: String = text.chars().map(visible).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let command = c == '#' && out.ends_with('#') && is_bracketed(&rest[1..]);
        out.push(if command { '?' } else { c });
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Breaks what GitHub, Azure, TeamCity and their like take for commands in a log: `::name …::` at the start of a line, which
/// wrapping can put any word to, and `##[name]`, `##vso[…]`, `##teamcity[…]` anywhere in it.
fn commandless(text: String) -> String {
    if !text.contains("::") && !text.contains("##") {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 2);
    let mut rest = text.as_str();
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let command = match c {
            ':' => before.is_whitespace() && rest.strip_prefix("::").is_some_and(is_command_name),
            '#' => rest.strip_prefix("##").is_some_and(is_bracketed),
            _ => false,
        };
        out.push(c);
        if command {
            out.push(' ');
        }
        before = c;
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Whether this is the rest of `##[name]` or `##vso[…]`.
fn is_bracketed(after: &str) -> bool {
    after.trim_start_matches(|c: char| c.is_alphanumeric()).starts_with('[')
}

/// Whether this begins with the name of a command, rather than with the rest of an address such as `::ffff:10.0.0.1`.
fn is_command_name(after: &str) -> bool {
    let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let begins = after.starts_with(|c: char| c.is_ascii_alphabetic());
    begins && (rest.is_empty() || rest.starts_with("::") || rest.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_becomes_a_space() {
        assert_eq!(line("a\u{1b}[31mb\nc\u{9b}d\u{202e}e\u{200f}f\u{e0041}g"), "a [31mb c d e f g");
        assert_eq!(lines("a\u{1b}\tb\r\nc"), "a \tb \nc");
    }

    #[test]
    fn commands_to_a_ci_system_lose_their_shape() {
        for (written, read) in [
            ("::error::x", ": :error::x"),
            ("  ::add-mask::x", "  : :add-mask::x"),
            ("x ::set-output name=a::b", "x : :set-output name=a::b"),
            ("##[error]x", "# #[error]x"),
            ("x ##vso[task.complete]", "x # #vso[task.complete]"),
            ("##teamcity[testFailed]", "# #teamcity[testFailed]"),
        ] {
            assert_eq!(line(written), read);
            assert_eq!(line(read), read, "twice is once");
        }
        assert_eq!(lines("a\n::warning ::x"), "a\n: :warning : :x");
        for address in ["::1", "fe80::1", "::ffff:10.0.0.1", "[::]:80", "a::b", "## title"] {
            assert_eq!(line(address), address);
        }
    }

    proptest::proptest! {
        #[test]
        fn json_means_the_same(any in "(\\PC|[\u{0}-\u{9f}\u{200e}-\u{202e}\u{e0001}]|##\\[){0,20}") {
            let written = serde_json::to_string_pretty(&[&any]).unwrap();
            let harmless = json(&written);
            proptest::prop_assert_eq!(&serde_json::from_str::<Vec<String>>(&harmless).unwrap(), &[any]);
            proptest::prop_assert!(!harmless.chars().any(|c| steers(c) && c != '\n'));
            proptest::prop_assert!(!harmless.contains("##"));
        }

        #[test]
        fn a_source_keeps_its_places(any in "(\\PC|[\u{0}-\u{9f}\u{200e}-\u{202e}\u{e0001}]|##\\[){0,20}") {
            let shown = source(&any);
            let places = |text: &str| text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
            proptest::prop_assert_eq!(places(&shown), places(&any));
            proptest::prop_assert!(!shown.chars().any(|c| steers(c) && !matches!(c, '\n' | '\t')));
            proptest::prop_assert!(!shown.contains("##["));
        }
    }
}
