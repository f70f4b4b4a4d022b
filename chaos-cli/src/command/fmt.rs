//! `chaos fmt`

use std::path::Path;

use chaos_dsl::{SourceMap, read};

use crate::{args::Fmt, exit_code::Exit, render, scenario};

/// Writes files in the canonical layout.
pub(crate) fn run(args: &Fmt) -> Exit {
    let files = match scenario::found(&args.files) {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    files.iter().map(|file| format_file(&file.path, args.check)).max().unwrap_or(Exit::Passed)
}

/// Formats one file, or only checks its layout.
fn format_file(path: &Path, check: bool) -> Exit {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let text = if stdin { scenario::from_stdin() } else { read::read_limited(path).map_err(|d| vec![*d]) };
    let text = match text {
        Ok(text) => text,
        Err(diagnostics) => {
            render::diagnostics(&diagnostics, &SourceMap::new());
            return Exit::BadInput;
        }
    };
    let formatted = match chaos_dsl::format(&text) {
        Ok(formatted) => formatted,
        Err(diagnostics) => {
            let mut sources = SourceMap::new();
            sources.add(name, text);
            render::diagnostics(&diagnostics, &sources);
            return Exit::BadInput;
        }
    };
    if stdin {
        if check {
            return if formatted == text { Exit::Passed } else { Exit::Failed };
        }
        render::raw(&formatted);
        return Exit::Passed;
    }
    if formatted == text {
        return Exit::Passed;
    }
    if check {
        render::print(&format!("{name}\n"));
        return Exit::Failed;
    }
    match replace(path, &formatted) {
        Ok(()) => Exit::Passed,
        Err(error) => {
            render::error(&format!("cannot write `{name}`: {error}"), Some("the file is as it was"));
            Exit::Refused
        }
    }
}

/// Writes beside the file and then puts the new one in its place, so that a full disk loses nothing.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // Through a symbolic link, the file it leads to is meant.
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
