//! Source files: reading them within their limits, and turning bytes into lines and columns.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chaos_core::span::{FileId, Span};
use serde::Serialize;

use crate::codes::Code;
use crate::diagnostic::Diagnostic;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A file's text, with the start of each of its lines.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The name shown to people: a path as they gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
    line_starts: Vec<u32>,
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
    /// Takes over a text and indexes its lines.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        SourceFile { name: name.into(), text, line_starts }
    }

    /// Returns line and column of a byte; a byte past the end counts as the end.
    pub fn position(&self, byte: u32) -> Position {
        let byte = byte.min(self.text.len() as u32);
        let line = self.line_starts.partition_point(|start| *start <= byte) - 1;
        let before =
            self.text.as_bytes().get(self.line_starts[line] as usize..byte as usize).unwrap_or_default();
        let column = before.iter().filter(|b| (**b as i8) >= -0x40).count();
        Position { byte, line: line as u32 + 1, column: column as u32 + 1 }
    }

    /// Returns the bytes of the line that holds a byte, without its line end.
    pub fn line_around(&self, byte: u32) -> std::ops::Range<usize> {
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.line_starts[line] as usize;
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| *next as usize - 1);
        start..end.max(start)
    }
}

/// All files of one compilation; a [`FileId`] is an index into it.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Makes an empty map.
    pub fn new() -> Self {
        SourceMap::default()
    }

    /// Adds a file and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push(SourceFile::new(name, text));
        FileId(self.files.len() as u32 - 1)
    }

    /// Returns a file; none for the id of things that stand in no file.
    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Returns the text of a span, empty when it stands in no file of this map.
    pub fn text(&self, span: Span) -> &str {
        let file = self.file(span.file);
        file.and_then(|f| f.text.get(span.start as usize..span.end as usize)).unwrap_or_default()
    }

    /// Returns the files in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, file)| (FileId(i as u32), file))
    }
}

/// Reads a file of at most [`MAX_FILE_BYTES`] as UTF-8.
///
/// A larger file is refused by its size, and one that lies about its size (a pipe, a device) after that many bytes.
///
/// # Errors
///
/// A diagnostic without a label where the file cannot be read or is too large; for invalid UTF-8 the message names the
/// byte, line and column.
pub fn read_limited(path: &Path) -> Result<String, Box<Diagnostic>> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        Diagnostic::new(Code::UnreadableFile, format!("cannot read `{name}`: {error}"))
            .help("check the path and its permissions")
    };
    let file = File::open(path).map_err(|e| Box::new(unreadable(e)))?;
    let metadata = file.metadata().map_err(|e| Box::new(unreadable(e)))?;
    if metadata.is_dir() {
        return Err(Box::new(
            Diagnostic::new(Code::UnreadableFile, format!("`{name}` is a directory"))
                .help("name the `.chaos` files in it"),
        ));
    }
    if metadata.len() > MAX_FILE_BYTES as u64 {
        return Err(Box::new(too_large(&format!("`{name}`"), Some(metadata.len()))));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| Box::new(unreadable(e)))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Box::new(too_large(&format!("`{name}`"), None)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        let byte = error.as_bytes()[at];
        let message =
            format!("`{name}` is not UTF-8: byte {byte:#04x} at offset {at}, line {line}, column {column}");
        Box::new(Diagnostic::new(Code::InvalidUtf8, message).help("save the file as UTF-8"))
    })
}

pub(crate) fn too_large(what: &str, bytes: Option<u64>) -> Diagnostic {
    let size = bytes.map(|n| format!("{n} bytes, ")).unwrap_or_default();
    Diagnostic::new(Code::FileTooLarge, format!("{what} is too large: {size}more than {MAX_FILE_BYTES}"))
        .help("split it into several files and name the shared ones with `use`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let file = SourceFile::new("a", "é = 1\nb\n");
        assert_eq!(file.position(3), Position { byte: 3, line: 1, column: 3 });
        assert_eq!(file.position(7), Position { byte: 7, line: 2, column: 1 });
        assert_eq!(file.position(99), Position { byte: 9, line: 3, column: 1 });
        assert_eq!(file.line_around(7), 7..8);
    }

    #[test]
    fn huge_file_is_refused_by_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(100 << 20).unwrap();
        let error = read_limited(file.path()).unwrap_err();
        assert_eq!(error.code, Code::FileTooLarge);
        assert!(error.message.contains("104857600 bytes, more than 1048576"), "{}", error.message);
    }

    #[test]
    fn endless_file_is_refused_after_the_limit() {
        assert_eq!(read_limited(Path::new("/dev/zero")).unwrap_err().code, Code::FileTooLarge);
    }

    #[test]
    fn invalid_utf8_names_its_byte() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"use \"a\"\nx\xffy").unwrap();
        let error = read_limited(file.path()).unwrap_err();
        assert_eq!(error.code, Code::InvalidUtf8);
        assert!(error.message.ends_with("byte 0xff at offset 9, line 2, column 2"), "{}", error.message);
    }

    #[test]
    fn missing_file_and_directory_say_so() {
        assert!(read_limited(Path::new("/no/such.chaos")).unwrap_err().message.contains("cannot read"));
        assert!(read_limited(Path::new("/")).unwrap_err().message.contains("is a directory"));
    }
}
