//! Probes of TLS and gRPC servers, and commands.

use std::path::Path;

use chaos_core::{
    model::{
        ProbeKind,
        probe::{Scale, Trust},
    },
    span::Spanned,
};

use super::{Checker, Names};
use crate::{codes::Code, syntax::Cursor};

impl Checker {
    /// Reads `tls "host:port"`.
    pub(super) fn tls(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let address = self.take_string(cursor, "a host and port in quotes")?;
        self.host_and_port(&address, names).then_some(ProbeKind::Tls { address, name: None })
    }

    /// Reads `grpc "host:port"`.
    pub(super) fn grpc(&mut self, cursor: &mut Cursor<'_, '_>, names: &Names) -> Option<ProbeKind> {
        let address = self.take_string(cursor, "a host and port in quotes")?;
        let kind = ProbeKind::Grpc { address: address.clone(), service: String::new(), secure: false };
        self.host_and_port(&address, names).then_some(kind)
    }

    /// Reads `exec "program and arguments"`.
    pub(super) fn exec(&mut self, cursor: &mut Cursor<'_, '_>, _names: &Names) -> Option<ProbeKind> {
        let command = self.take_string(cursor, "the command in quotes")?;
        match words(&command) {
            Some(words) if !words.is_empty() => Some(ProbeKind::Exec { words, scale: Scale::PLAIN }),
            Some(_) => {
                self.error(Code::Misplaced, command.span, "the command is empty").help =
                    Some("write `exec \"pg_isready -h db\"`".into());
                None
            }
            None => {
                self.error(Code::Misplaced, command.span, "a quote of the command is not closed").help =
                    Some("write words with spaces in single quotes: `exec \"psql -c 'select 1'\"`".into());
                None
            }
        }
    }

    /// Reads `file "ca.pem"` or `system`; a file's path is relative to the scenario.
    pub(super) fn trust(&mut self, cursor: &mut Cursor<'_, '_>) -> Option<Trust> {
        if cursor.take_word("system").is_some() {
            return Some(Trust::System);
        }
        if cursor.take_word("file").is_none() {
            self.expected(cursor, "`system`, or `file` and its path").help =
                Some("write `trust file \"ca.pem\"`".into());
            return None;
        }
        let path = self.take_string(cursor, "the file's path in quotes")?;
        let folder = self.folders.iter().find(|(file, _)| *file == path.span.file).map(|(_, folder)| folder);
        let mut beside =
            folder.map_or_else(|| path.value.clone(), |f| f.join(&path.value).display().to_string());
        // A text that stands in no file has no folder to be confined to.
        if let (Some(confined), Some(_)) = (&self.confined, folder) {
            match confined.find(Path::new(&beside)) {
                // Whoever reads it follows no link any more.
                Ok(real) if Path::new(&beside).is_symlink() => beside = real.display().to_string(),
                Ok(_) => {}
                Err(error) => {
                    self.out.push(super::load::elsewhere(&path.value, &error).at(path.span, ""));
                    return None;
                }
            }
        }
        Some(Trust::File(Spanned::new(beside, path.span)))
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
}
