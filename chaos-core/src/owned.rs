//! Folders and files of the user's own, in places where somebody else may have put something under their names.
//!
//! Everything is opened first, without following a link and without waiting, and then looked at by its descriptor: what is
//! refused is neither written nor cut off, and what was looked at is what is used.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _},
        unix::fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat},
    unistd::{UnlinkatFlags, geteuid, unlinkat},
};

/// Why a file or a folder is not taken for the user's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOwned {
    /// A symbolic link stands there.
    #[error("it is a symbolic link")]
    Link,
    /// It should be a folder.
    #[error("it is not a folder")]
    NotFolder,
    /// It should be an ordinary file: it is a pipe, a device, a socket or a folder.
    #[error("it is not an ordinary file")]
    NotFile,
    /// It belongs to somebody else.
    #[error("it belongs to user {owner}, and this is user {user}")]
    Owner {
        /// Whose it is, by number.
        owner: u32,
        /// Who asks, by number.
        user: u32,
    },
    /// The group or everybody may write to it.
    #[error("others may write to it (mode {mode:04o})")]
    Writable {
        /// Its permissions.
        mode: u32,
    },
    /// It stands elsewhere as well, under another name.
    #[error("it has {links} names (hard links), one of which may be another file of yours")]
    Links {
        /// How many names it has.
        links: u64,
    },
}

impl NotOwned {
    /// Returns what an error was made of, if it is of this kind.
    pub fn of(error: &io::Error) -> Option<NotOwned> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Returns the likely fix for what stands at a path.
    pub fn help(self, path: &Path) -> String {
        let path = path.display();
        match self {
            NotOwned::Writable { .. } => {
                format!("make sure that nobody else wrote to it, then `chmod go-w {path}`")
            }
            NotOwned::Links { .. } => {
                format!("look at what it is; if it is your own, `rm {path}` takes off this name")
            }
            NotOwned::Owner { .. } => {
                "somebody else made it: have it removed, or choose another place".into()
            }
            NotOwned::Link | NotOwned::NotFolder | NotOwned::NotFile => {
                format!("find out who made it, and remove it: `rm {path}`")
            }
        }
    }
}

impl From<NotOwned> for io::Error {
    fn from(why: NotOwned) -> Self {
        io::Error::other(why)
    }
}

/// A folder that belongs to the user alone, held open: what is done in it is done in the folder that was looked at.
#[derive(Clone, Debug)]
pub struct OwnedFolder {
    path: PathBuf,
    handle: Arc<File>,
}

impl OwnedFolder {
    /// Opens a folder; makes it, with mode 0700, where it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened, is a link, belongs to somebody else, or others may write to it ([`NotOwned`]).
    pub fn open(path: impl Into<PathBuf>) -> io::Result<OwnedFolder> {
        let path = path.into();
        let handle = match open_at(nix::fcntl::AT_FDCWD, path.as_os_str(), FOLDER) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
                open_at(nix::fcntl::AT_FDCWD, path.as_os_str(), FOLDER)?
            }
            handle => handle?,
        };
        Ok(OwnedFolder { path, handle: Arc::new(handle) })
    }

    /// Makes a folder with mode 0700; what stands there already is an error.
    ///
    /// # Errors
    /// As those of [`open`](OwnedFolder::open), or something stands there.
    pub fn make(path: impl Into<PathBuf>) -> io::Result<OwnedFolder> {
        let path = path.into();
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        OwnedFolder::open(path)
    }

    /// Opens a folder in this one, as [`open`](OwnedFolder::open).
    ///
    /// # Errors
    /// As those of [`open`](OwnedFolder::open).
    pub fn folder(&self, name: &str) -> io::Result<OwnedFolder> {
        match mkdirat(&self.handle, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let handle = open_at(&self.handle, name.as_ref(), FOLDER)?;
        Ok(OwnedFolder { path: self.path.join(name), handle: Arc::new(handle) })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of everything in it, but for those that are not UTF-8, which nobody here gives.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        // By its descriptor, so that it is this folder and not one that has its name by now.
        let entries = fs::read_dir(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))?;
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    /// It cannot be opened, or is not an ordinary file that only this user writes to ([`NotOwned`]).
    pub fn read(&self, name: &str) -> io::Result<File> {
        open_at(&self.handle, name.as_ref(), OFlag::O_RDONLY)
    }

    /// Opens a file to read and to change it.
    ///
    /// # Errors
    /// As those of [`read`](OwnedFolder::read).
    pub fn change(&self, name: &str) -> io::Result<File> {
        open_at(&self.handle, name.as_ref(), OFlag::O_RDWR)
    }

    /// Opens a file to append to it; makes it, with mode 0600, where it is not there.
    ///
    /// # Errors
    /// As those of [`read`](OwnedFolder::read).
    pub fn append(&self, name: &str) -> io::Result<File> {
        open_at(&self.handle, name.as_ref(), OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)
    }

    /// Makes a file, with mode 0600; what stands there already, be it a link, is an error.
    ///
    /// # Errors
    /// As those of [`read`](OwnedFolder::read).
    pub fn create(&self, name: &str) -> io::Result<File> {
        open_at(&self.handle, name.as_ref(), OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// Opens a file to write it from its beginning; makes it, with mode 0600, where it is not there. What was in it is cut off
    /// once it is known to be this user's own.
    ///
    /// # Errors
    /// As those of [`read`](OwnedFolder::read).
    pub fn replace(&self, name: &str) -> io::Result<File> {
        let file = open_at(&self.handle, name.as_ref(), OFlag::O_WRONLY | OFlag::O_CREAT)?;
        file.set_len(0)?;
        Ok(file)
    }

    /// Writes a file as a whole, as [`replace`](OwnedFolder::replace) opens it.
    ///
    /// # Errors
    /// As those of [`read`](OwnedFolder::read), or it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.replace(name)?.write_all(text.as_ref())
    }

    /// Returns how large a file is; none where there is none, or something else stands there.
    pub fn size(&self, name: &str) -> Option<u64> {
        let stat = fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        (kind(&stat) == SFlag::S_IFREG).then_some(u64::try_from(stat.st_size).ok()?)
    }

    /// Returns whether anything stands under a name, be it a link.
    pub fn has(&self, name: &str) -> bool {
        fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Takes a name away, whatever stands there but a folder; returns whether it was there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        match unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens a file wherever it is, to read and to change it, without following a link or waiting for who is at the other end.
///
/// # Errors
/// It cannot be opened, or is not an ordinary file. Whose it is is for [`check`] to say.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = descend(nix::fcntl::AT_FDCWD, path.as_os_str(), OFlag::O_RDWR)?;
    if !file.metadata()?.is_file() {
        return Err(NotOwned::NotFile.into());
    }
    Ok(file)
}

/// Makes sure that an open file is this user's own: an ordinary one, with one name, that nobody else may write to.
///
/// # Errors
/// It is not ([`NotOwned`]).
pub fn check(file: &File) -> io::Result<()> {
    check_stat(&fstat(file)?, SFlag::S_IFREG).map_err(io::Error::from)
}

/// Returns whether a folder is there and belongs to this user alone.
pub fn is_own_folder(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| {
        found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & OTHERS_WRITE == 0
    })
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);
/// Group and everybody else may write.
const OTHERS_WRITE: u32 = 0o022;

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

/// Opens and looks at what was opened.
fn open_at(from: impl AsFd, name: &OsStr, flags: OFlag) -> io::Result<File> {
    let file = descend(from, name, flags)?;
    let wanted = if flags.contains(OFlag::O_DIRECTORY) { SFlag::S_IFDIR } else { SFlag::S_IFREG };
    check_stat(&fstat(&file)?, wanted)?;
    Ok(file)
}

/// Opens, without following a link at the end or waiting; says what stands in the way where it cannot.
fn descend(from: impl AsFd, name: &OsStr, flags: OFlag) -> io::Result<File> {
    let always = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let error = match openat(from.as_fd(), name, flags | always, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(file) => return Ok(File::from(file)),
        Err(error) => error,
    };
    if matches!(error, Errno::ENOENT | Errno::EEXIST) {
        return Err(error.into());
    }
    // For the words alone: it is refused in any case.
    let Ok(stat) = fstatat(from.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
        return Err(error.into());
    };
    let wanted = if flags.contains(OFlag::O_DIRECTORY) { SFlag::S_IFDIR } else { SFlag::S_IFREG };
    Err(check_stat(&stat, wanted).err().map_or_else(|| error.into(), io::Error::from))
}

fn check_stat(stat: &FileStat, wanted: SFlag) -> Result<(), NotOwned> {
    let (found, user) = (kind(stat), geteuid().as_raw());
    if found == SFlag::S_IFLNK {
        return Err(NotOwned::Link);
    }
    if found != wanted {
        return Err(if wanted == SFlag::S_IFDIR { NotOwned::NotFolder } else { NotOwned::NotFile });
    }
    if stat.st_uid != user {
        return Err(NotOwned::Owner { owner: stat.st_uid, user });
    }
    if stat.st_mode & OTHERS_WRITE != 0 {
        return Err(NotOwned::Writable { mode: stat.st_mode & 0o7777 });
    }
    // A folder has a name more for each folder in it.
    if wanted == SFlag::S_IFREG && stat.st_nlink > 1 {
        return Err(NotOwned::Links { links: stat.st_nlink });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn why(result: io::Result<File>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_others_planted_in_a_folder_is_refused_and_stays_as_it_was() {
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let place = tempfile::tempdir().unwrap();
        let folder = OwnedFolder::open(place.path().join("own")).unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink(&victim, at("link")).unwrap();
        symlink(outside.path().join("none"), at("dangling")).unwrap();
        fs::hard_link(&victim, at("hard")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("open"), "words").unwrap();
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o666)).unwrap();
        for (name, said) in [
            ("link", "it is a symbolic link"),
            ("dangling", "it is a symbolic link"),
            ("hard", "it has 2 names (hard links), one of which may be another file of yours"),
            ("pipe", "it is not an ordinary file"),
            ("socket", "it is not an ordinary file"),
            ("folder", "it is not an ordinary file"),
            ("open", "others may write to it (mode 0666)"),
        ] {
            assert_eq!(why(folder.read(name)), said, "{name}");
            assert_eq!(why(folder.change(name)), said, "{name}");
            assert_eq!(why(folder.append(name)), said, "{name}");
            assert_eq!(folder.write(name, "mine").unwrap_err().to_string(), said, "{name}");
            assert_eq!(folder.create(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
        assert!(!outside.path().join("none").exists(), "a link is not followed to make a file");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        folder.append("mine").unwrap().write_all(b"12").unwrap();
        folder.write("mine", "12345").unwrap();
        folder.write("mine", "12").unwrap();
        assert_eq!(folder.size("mine"), Some(2));
        assert_eq!(OwnedFolder::make(folder.path()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((folder.size("link"), folder.size("none"), folder.has("dangling")), (None, None, true));
        assert!(folder.remove("link").unwrap() && !folder.remove("link").unwrap());
        assert_eq!(fs::metadata(at("mine")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_is_taken_only_where_nobody_else_writes() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let made = OwnedFolder::open(at("deep/own")).unwrap();
        assert_eq!(fs::metadata(at("deep/own")).unwrap().mode() & 0o777, 0o700);
        symlink(at("deep/own"), at("link")).unwrap();
        symlink(at("none"), at("dangling")).unwrap();
        fs::write(at("file"), "").unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
        fs::create_dir(at("shared")).unwrap();
        fs::set_permissions(at("shared"), fs::Permissions::from_mode(0o775)).unwrap();
        for (name, said) in [
            ("link", NotOwned::Link),
            ("dangling", NotOwned::Link),
            ("file", NotOwned::NotFolder),
            ("pipe", NotOwned::NotFolder),
            ("shared", NotOwned::Writable { mode: 0o775 }),
        ] {
            let error = OwnedFolder::open(at(name)).unwrap_err();
            assert_eq!(NotOwned::of(&error), Some(said), "{name}");
        }
        symlink(at("shared"), made.path().join("labs")).unwrap();
        assert_eq!(NotOwned::of(&made.folder("labs").unwrap_err()), Some(NotOwned::Link));
        assert!(!at("none").exists());
        if geteuid().is_root() {
            std::os::unix::fs::chown(at("deep/own"), Some(65534), None).unwrap();
            let error = OwnedFolder::open(at("deep/own")).unwrap_err();
            assert_eq!(error.to_string(), "it belongs to user 65534, and this is user 0");
            assert!(!is_own_folder(&at("deep/own")) && is_own_folder(&at("deep")));
        }
        // What was opened is used on, whatever has its name by now.
        fs::rename(at("deep"), at("moved")).unwrap();
        made.create("file").unwrap();
        assert!(at("moved/own/file").exists());
        assert_eq!(
            {
                let mut names = made.names().unwrap();
                names.sort();
                names
            },
            ["file", "labs"]
        );
    }
}
