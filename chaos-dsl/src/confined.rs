//! The folders that a scenario may read from: its own, and those that whoever runs it adds. A file may come from somebody else, and
//! must not have its reader's other files looked at.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// What a command gives a file beside its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Values for its parameters, `NAME=VALUE`.
    pub set: Vec<String>,
    /// Folders beside its own that it may read from.
    pub include: Vec<PathBuf>,
}

/// Where files that a scenario names may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confined {
    roots: Vec<PathBuf>,
}

impl Confined {
    /// Allows the folder of the first file, and more.
    pub(crate) fn to(first: &Path, more: &[PathBuf]) -> Self {
        let own = first.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let roots = std::iter::once(own).chain(more.iter().map(PathBuf::as_path));
        Confined { roots: roots.filter_map(|folder| settled(folder).ok()).collect() }
    }

    /// Returns where a file is, with all links followed.
    ///
    /// # Errors
    /// It is elsewhere, whether it exists or not, or it cannot be looked for.
    pub(crate) fn find(&self, path: &Path) -> io::Result<PathBuf> {
        let real = settled(path)?;
        if self.roots.iter().any(|root| real.starts_with(root)) {
            return Ok(real);
        }
        let own = self.roots.first().map(|root| root.display().to_string()).unwrap_or_default();
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("it is outside of `{own}`")))
    }
}

/// Follows all links as far as a path exists, and takes the rest of it as it is written.
fn settled(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mut real = std::env::current_dir()?;
    for part in path.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            part => real.push(part),
        }
        if let Ok(followed) = fs::canonicalize(&real) {
            real = followed;
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_below_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        for part in [&own.join("lib"), &other] {
            fs::create_dir_all(part).unwrap();
        }
        for file in [own.join("a.chaos"), own.join("lib/b.chaos"), other.join("c.chaos")] {
            fs::write(file, "").unwrap();
        }
        symlink(other.join("c.chaos"), own.join("out.chaos")).unwrap();
        symlink(own.join("lib/b.chaos"), own.join("in.chaos")).unwrap();
        symlink(&other, own.join("folder")).unwrap();
        symlink(own.join("loop"), own.join("loop")).unwrap();
        let first = own.join("a.chaos");
        let finds = |confined: &Confined, path: &str| confined.find(&own.join(path)).is_ok();
        let confined = Confined::to(&first, &[]);
        for (path, found) in [
            ("lib/b.chaos", true),
            ("lib/../a.chaos", true),
            ("in.chaos", true),
            ("not-there.chaos", true),
            ("../other/c.chaos", false),
            ("../not-there.chaos", false),
            ("not-there/../../other/c.chaos", false),
            ("out.chaos", false),
            ("folder/c.chaos", false),
            ("folder/not-there.chaos", false),
            ("loop", false),
            ("/etc/hostname", false),
            ("/proc/self/environ", false),
        ] {
            assert_eq!(finds(&confined, path), found, "{path}");
        }
        let more = Confined::to(&first, std::slice::from_ref(&other));
        assert!(
            finds(&more, "../other/c.chaos") && finds(&more, "out.chaos") && !finds(&more, "/etc/hostname")
        );
    }
}
