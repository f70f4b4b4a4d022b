//! Which files a command line means: files, folders of scenarios, and patterns that no shell expanded.

use std::path::{Path, PathBuf};

use chaos_core::trouble::Trouble;
use glob::{MatchOptions, Pattern};
use walkdir::{DirEntry, WalkDir};

/// What the files of scenarios end in.
const ENDING: &str = "chaos";

/// A file that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// Whether it was named itself, and not found in a folder or by a pattern.
    pub(crate) named: bool,
}

/// Returns the files that are meant, in the order given, those of a folder or a pattern by their paths. A file that is found
/// although it was named already is not meant once more.
pub(crate) fn find(given: &[PathBuf]) -> Result<Vec<File>, Trouble> {
    let mut files: Vec<File> = Vec::new();
    for path in given {
        let found = if path.is_dir() {
            below(path, usize::MAX, |_| true)?
        } else if let Some(wild) = wild(path)? {
            below(&wild.root, wild.depth, |file| wild.pattern.matches_path_with(file, OPTIONS))?
        } else {
            files.push(File { path: path.clone(), named: true });
            continue;
        };
        if found.is_empty() {
            return Err(Trouble::absent(format!("there is no `.{ENDING}` file in `{}`", path.display()))
                .with_help("name a file, or a folder that holds some; hidden ones are passed over"));
        }
        for path in found {
            if files.iter().all(|file| !same(&file.path, &path)) {
                files.push(File { path, named: false });
            }
        }
    }
    Ok(files)
}

/// Returns whether two paths are of one file: `./a.chaos` and `a.chaos`.
fn same(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// A pattern, with the folder below which files can match it, and how far below.
struct Wild {
    root: PathBuf,
    depth: usize,
    pattern: Pattern,
}

/// What a pattern matches, as in a shell: `*` stays within a folder.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Reads a path as a pattern, where it is one and no file is called so.
fn wild(path: &Path) -> Result<Option<Wild>, Trouble> {
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    let Some(text) = path.to_str().filter(|text| is_wild(text) && !path.exists()) else { return Ok(None) };
    let pattern = Pattern::new(text).map_err(|error| {
        Trouble::absent(format!("`{text}` is neither a file nor a pattern: {}", error.msg))
            .with_help("write one such as `experiments/**/*.chaos`")
    })?;
    let plain = path.iter().take_while(|part| !part.to_str().is_some_and(is_wild));
    let root = plain.collect::<PathBuf>();
    // Folders that no match can be in are not looked at: they may be another user's.
    let depth = match text.contains("**") {
        true => usize::MAX,
        false => path.iter().count() - root.iter().count(),
    };
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    Ok(root.is_dir().then_some(Wild { root, depth, pattern }))
}

/// Returns the scenarios below a folder that are wanted, by their paths. Links are not followed: they may lead anywhere, or in
/// a circle.
fn below(folder: &Path, depth: usize, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Trouble> {
    let is_shown =
        |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).max_depth(depth).sort_by_file_name().into_iter().filter_entry(is_shown)
    {
        let entry = entry.map_err(|error| {
            Trouble::unable(format!("cannot look for scenarios in `{}`: {error}", folder.display()))
                .with_help("name the files themselves")
        })?;
        // A pattern without a folder is of files here, which nobody writes with `./`.
        let path = entry.path().strip_prefix("./").unwrap_or(entry.path());
        let is_scenario =
            entry.file_type().is_file() && path.extension().is_some_and(|ending| ending == ENDING);
        if is_scenario && is_wanted(path) {
            found.push(path.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["b.chaos", "a.chaos", "notes.md", "sub/c.chaos", ".chaos/runs/x/d.chaos", ".hidden.chaos"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/circle")).unwrap();
        folder
    }

    fn names(folder: &Path, given: &[&str]) -> Vec<(String, bool)> {
        let given: Vec<PathBuf> = given.iter().map(|name| folder.join(name)).collect();
        let name = |file: File| (file.path.strip_prefix(folder).unwrap().display().to_string(), file.named);
        find(&given).unwrap().into_iter().map(name).collect()
    }

    #[test]
    fn a_folder_is_its_scenarios_by_their_paths() {
        let folder = folder();
        let found = names(folder.path(), &[""]);
        let all = ["a.chaos", "b.chaos", "sub/c.chaos"];
        assert_eq!(found, all.map(|name| (name.to_owned(), false)));
        // What was named stays where it was named, and twice is meant twice.
        let found = names(folder.path(), &["b.chaos", "b.chaos", "."]);
        let found: Vec<_> = found.iter().map(|(name, named)| (name.as_str(), *named)).collect();
        assert_eq!(found, [("b.chaos", true), ("b.chaos", true), ("a.chaos", false), ("sub/c.chaos", false)]);
    }

    #[test]
    fn a_pattern_is_what_matches_it() {
        let folder = folder();
        for (pattern, expected) in [
            ("*.chaos", &["a.chaos", "b.chaos"][..]),
            ("**/*.chaos", &["a.chaos", "b.chaos", "sub/c.chaos"]),
            ("sub/?.chaos", &["sub/c.chaos"]),
            ("[ac].chaos", &["a.chaos"]),
        ] {
            let found = names(folder.path(), &[pattern]);
            assert_eq!(
                found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_file_is_found_once_whatever_it_is_called_and_other_folders_are_left_alone() {
        let folder = folder();
        let found = names(folder.path(), &["sub/../b.chaos", "*.chaos"]);
        assert_eq!(found.len(), 2, "{found:?}");
        let wild = wild(&folder.path().join("*/*.chaos")).unwrap().unwrap();
        assert_eq!((wild.depth, wild.root), (2, folder.path().to_owned()));
        // A folder that cannot be read holds no match.
        let closed = Path::new("/proc/1/fdinfo/none/*.chaos");
        assert_eq!(find(&[closed.to_owned()]).unwrap().len(), 1);
        assert_eq!(names(folder.path(), &["s?b/*.chaos"]), [("sub/c.chaos".to_owned(), false)]);
        assert_eq!(names(folder.path(), &["**/c.chaos"]), [("sub/c.chaos".to_owned(), false)]);
    }

    #[test]
    fn nothing_found_is_said_and_a_file_may_be_called_like_a_pattern() {
        let folder = folder();
        for nothing in ["*.md", "sub/x*"] {
            let error = find(&[folder.path().join(nothing)]).unwrap_err();
            assert!(error.message.starts_with("there is no `.chaos` file in `"), "{error}");
        }
        let error = find(&[folder.path().join("[a.chaos")]).unwrap_err();
        assert!(error.message.contains("is neither a file nor a pattern"), "{error}");
        // Whoever opens it says that it is not there.
        assert_eq!(names(folder.path(), &["none/*.chaos", "missing.chaos"]).len(), 2);
        std::fs::write(folder.path().join("odd[1].chaos"), "").unwrap();
        assert_eq!(names(folder.path(), &["odd[1].chaos"]), [("odd[1].chaos".to_owned(), true)]);
    }
}
