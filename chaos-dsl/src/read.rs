//! Reading source files within their limits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chaos_core::ordinary;

use crate::codes::Code;
use crate::diagnostic::Diagnostic;

/// What the names of scenarios end in.
const ENDING: &str = "chaos";

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

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
    // A name that a shell made out of `*.chaos` may be a link from a pull request, and its text would stand in a log.
    let ends = |path: &Path| path.extension().is_some_and(|ending| ending == ENDING);
    if ends(path)
        && path.is_symlink()
        && let Some(real) = std::fs::canonicalize(path).ok().filter(|real| !ends(real))
    {
        let message =
            format!("`{name}` is a link to `{}`, whose name is not that of a scenario", real.display());
        return Err(Box::new(
            Diagnostic::new(Code::UnreadableFile, message)
                .help(format!("name the file itself, if it is one: `chaos check {}`", real.display())),
        ));
    }
    // What is not an ordinary file may keep a reader waiting, and whoever named it on the command line may want that.
    let file = File::open(path).map_err(|e| Box::new(unreadable(e)))?;
    read_open(path, file)
}

/// Reads an ordinary file as [`read_limited`] does, and nothing else: never a pipe or a device, nor what a link leads to. `shown` is
/// what messages call it.
pub(crate) fn read_ordinary(path: &Path, shown: &Path) -> Result<String, Box<Diagnostic>> {
    let file = ordinary::open(path, MAX_FILE_BYTES as u64).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", shown.display());
        Box::new(Diagnostic::new(Code::UnreadableFile, message))
    })?;
    read_open(shown, file)
}

fn read_open(path: &Path, file: File) -> Result<String, Box<Diagnostic>> {
    let name = path.display();
    let unreadable = |error: std::io::Error| {
        Diagnostic::new(Code::UnreadableFile, format!("cannot read `{name}`: {error}"))
            .help("check the path and its permissions")
    };
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
    fn huge_file_is_refused_by_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(100 << 20).unwrap();
        let error = read_limited(file.path()).unwrap_err();
        assert_eq!(error.code, Code::FileTooLarge);
        assert!(error.message.contains("104857600 bytes, more than 1048576"), "{}", error.message);
    }

    #[test]
    fn a_link_shows_only_what_is_called_a_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("secret"), "password").unwrap();
        std::fs::write(path("real.chaos"), "# fine").unwrap();
        std::os::unix::fs::symlink(path("secret"), path("leak.chaos")).unwrap();
        std::os::unix::fs::symlink(path("leak.chaos"), path("twice.chaos")).unwrap();
        std::os::unix::fs::symlink(path("real.chaos"), path("mounted.chaos")).unwrap();
        for leak in ["leak.chaos", "twice.chaos"] {
            let error = read_limited(&path(leak)).unwrap_err();
            assert!(
                error.message.contains("is a link to") && !error.message.contains("password"),
                "{error:?}"
            );
        }
        assert_eq!(read_limited(&path("mounted.chaos")).unwrap(), "# fine");
        // Whoever names the file itself wants it.
        assert_eq!(read_limited(&path("secret")).unwrap(), "password");
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
