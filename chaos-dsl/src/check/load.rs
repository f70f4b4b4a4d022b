//! Reading a file and all that it uses.

use std::path::{Path, PathBuf};

use chaos_core::span::{FileId, Span};

use crate::{
    codes::Code,
    confined::Confined,
    diagnostic::Diagnostic,
    read::{MAX_FILE_BYTES, read_limited, read_ordinary, too_large},
    source::SourceMap,
};

/// How many files one experiment may use, itself included.
const MAX_FILES: usize = 64;

/// Reads a file and what it uses; returns the files with those used first and the file itself last.
pub(super) fn from_path(
    path: &Path,
    confined: &Confined,
    sources: &mut SourceMap,
) -> (Vec<FileId>, Vec<Diagnostic>) {
    let mut loader = Loader { sources, confined, order: Vec::new(), done: Vec::new(), out: Vec::new() };
    match read_limited(path) {
        Ok(text) => {
            let id = loader.sources.add(path.display().to_string(), text);
            loader.follow(id, path, &mut vec![identity(path)]);
        }
        Err(error) => loader.out.push(*error),
    }
    (loader.order, loader.out)
}

/// Takes a text as the only file.
pub(super) fn from_text(name: &str, text: &str, sources: &mut SourceMap) -> (Vec<FileId>, Vec<Diagnostic>) {
    if text.len() > MAX_FILE_BYTES {
        return (Vec::new(), vec![too_large(&format!("`{name}`"), Some(text.len() as u64))]);
    }
    let id = sources.add(name, text);
    let mut out = Vec::new();
    for (_, span) in uses(id, text) {
        let message = "a text that stands in no file cannot use one";
        out.push(
            Diagnostic::new(Code::UnreadableFile, message).at(span, "").help("compile the file by its path"),
        );
    }
    (vec![id], out)
}

struct Loader<'s> {
    sources: &'s mut SourceMap,
    confined: &'s Confined,
    order: Vec<FileId>,
    done: Vec<PathBuf>,
    out: Vec<Diagnostic>,
}

impl Loader<'_> {
    /// Loads what a file uses, then takes the file itself. `stack` holds the files that led here.
    fn follow(&mut self, id: FileId, path: &Path, stack: &mut Vec<PathBuf>) {
        let text = self.sources.file(id).map_or_else(String::new, |f| f.text.clone());
        for (used, span) in uses(id, &text) {
            let target = path.parent().unwrap_or(Path::new("")).join(&used);
            let target_identity = identity(&target);
            if let Some(at) = stack.iter().position(|p| *p == target_identity) {
                let circle: Vec<String> = stack.iter().skip(at).map(|p| format!("`{}`", short(p))).collect();
                let message = format!("`{used}` is used in a circle: {} and back", circle.join(" uses "));
                self.out.push(
                    Diagnostic::new(Code::CyclicUse, message)
                        .at(span, "")
                        .help("move what both need into a third file"),
                );
                continue;
            }
            if self.done.contains(&target_identity) {
                continue;
            }
            if self.done.len() + stack.len() >= MAX_FILES {
                let message = format!("more than {MAX_FILES} files are used");
                self.out
                    .push(Diagnostic::new(Code::TooMuch, message).at(span, "").help("merge some of them"));
                return;
            }
            let text = match self.confined.find(&target) {
                Err(error) => Err(Box::new(elsewhere(&used, &error))),
                // What is not a scenario is not read: a mistake in it would be shown with its text.
                Ok(real) if real.extension().is_none_or(|extension| extension != "chaos") => {
                    let message = format!("`{used}` is not a scenario: its name does not end in `.chaos`");
                    Err(Box::new(Diagnostic::new(Code::UnreadableFile, message)))
                }
                Ok(real) => read_ordinary(&real, &target),
            };
            match text {
                Ok(text) => {
                    let id = self.sources.add(target.display().to_string(), text);
                    stack.push(target_identity.clone());
                    self.follow(id, &target, stack);
                    stack.pop();
                    self.done.push(target_identity);
                }
                Err(error) => {
                    let span = if error.place().is_none() { span } else { Span::NONE };
                    let mut error = *error;
                    if !span.is_none() {
                        error = error.at(span, "used here");
                    }
                    if error.help.is_none() {
                        error = error.help("paths are relative to the file that uses them");
                    }
                    self.out.push(error);
                }
            }
        }
        self.order.push(id);
    }
}

/// Refuses a file that is outside of the folders that may be read.
pub(super) fn elsewhere(named: &str, error: &std::io::Error) -> Diagnostic {
    let help = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "keep it beside the first file or below, or allow its folder with `--include DIR`"
        }
        _ => "check the path and its permissions",
    };
    Diagnostic::new(Code::UnreadableFile, format!("`{named}` cannot be read: {error}")).help(help)
}

/// The paths that a text uses, with their places.
fn uses(id: FileId, text: &str) -> Vec<(String, Span)> {
    // Most files use nothing: then one parse is enough.
    if !mentions_use(text) {
        return Vec::new();
    }
    let parsed = crate::parse(id, text);
    let statements = parsed.tree.statements.iter().filter(|s| s.keyword() == "use");
    let paths = statements.filter_map(|s| {
        let item = s.items.get(1)?;
        Some((item.as_text()?.plain()?.to_owned(), item.span))
    });
    paths.collect()
}

/// Whether `use` stands anywhere as a word of its own.
fn mentions_use(text: &str) -> bool {
    text.match_indices("use").any(|(at, word)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && after.is_none_or(|c| c.is_whitespace() || c == '"')
    })
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn short(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}
