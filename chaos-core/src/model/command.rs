//! Commands as a file writes them.

/// Writes the words of a command as one text, which is split into the same words again: those with spaces or quotes stand in quotes.
/// A reader who is to allow it sees where each word ends.
pub fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && c != '\'' && c != '"';
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    // What stands between single quotes, each of those in double ones: there are no escapes.
    word.split('\'').map(|piece| format!("'{piece}'")).collect::<Vec<_>>().join("\"'\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_stand_in_quotes() {
        let line = |words: &[&str]| line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["redis-server", "--port", "6379"]), "redis-server --port 6379");
        assert_eq!(line(&["sh", "-c", "exec sleep 100"]), "sh -c 'exec sleep 100'");
        assert_eq!(line(&["a", ""]), "a ''");
        assert_eq!(line(&["it's"]), r#"'it'"'"'s'"#);
    }
}
