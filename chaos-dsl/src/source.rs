//! The source files of one compilation.

pub use chaos_core::source::{Position, SourceFile};
use chaos_core::span::{FileId, Span};

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

    /// Returns all files; the index of each is its id.
    pub fn all(&self) -> &[SourceFile] {
        &self.files
    }

    /// Returns the files in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, file)| (FileId(i as u32), file))
    }
}

impl From<Vec<SourceFile>> for SourceMap {
    fn from(files: Vec<SourceFile>) -> Self {
        SourceMap { files }
    }
}

impl From<SourceMap> for Vec<SourceFile> {
    fn from(sources: SourceMap) -> Self {
        sources.files
    }
}
