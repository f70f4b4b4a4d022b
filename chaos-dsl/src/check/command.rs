//! The words of a command that a probe or a host runs.

use chaos_core::span::Spanned;

use super::Checker;
use crate::codes::Code;

impl Checker {
    /// Returns the words of a command, the program first; `keyword` is what it stands behind, and `example` one that is whole.
    pub(super) fn words(
        &mut self,
        command: &Spanned<String>,
        keyword: &str,
        example: &str,
    ) -> Option<Vec<String>> {
        match words(command) {
            Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Some(words),
            Some(_) => {
                self.error(Code::Misplaced, command.span, "the command is empty").help =
                    Some(format!("write the program and its arguments: `{keyword} \"{example}\"`"));
                None
            }
            None => {
                self.error(Code::Misplaced, command.span, "a quote of the command is not closed").help = Some(
                    format!("write words with spaces in single quotes: `{keyword} \"psql -c 'select 1'\"`"),
                );
                None
            }
        }
    }
}

/// Splits a command into words, as a shell would that knows nothing but quotes; none where a quote is not closed.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn commands_are_split_at_spaces_outside_of_quotes() {
        let split = |text: &str| words(text).unwrap();
        assert_eq!(split("psql  -c 'select 1'"), ["psql", "-c", "select 1"]);
        assert_eq!(split(r#"a "b 'c'" d'e'f """#), ["a", "b 'c'", "def", ""]);
        assert_eq!(split("  "), Vec::<String>::new());
        assert_eq!(words("a 'b"), None);
    }

    proptest::proptest! {
        /// What a reader is shown of a command is what is run.
        #[test]
        fn a_command_that_is_shown_has_the_same_words(given in proptest::collection::vec("[a-c '\"\\t$]{0,6}", 1..5)) {
            proptest::prop_assert_eq!(words(&chaos_core::model::command::line(&given)), Some(given));
        }
    }
}
