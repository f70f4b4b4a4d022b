//! The runs of this machine: one locked file each in a state directory.
//!
//! A run's entry names its process, its journal and its targets; the lock on it (`flock`) lasts exactly as long as the
//! process does, so an entry that can be locked belongs to a run that is over. Everything that adds, removes or claims an
//! entry holds the directory's own lock, so no two processes see each other's half-written files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Header, OtherVersion, entry::Versioned};
use crate::place::ObjectId;

/// What other processes may know about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Which run it is, in the words of its journal.
    #[serde(flatten)]
    pub header: Header,
    /// Its journal, as an absolute path.
    pub journal: PathBuf,
}

/// A run found in the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRun {
    /// Its entry.
    pub entry: RunEntry,
    /// Whether its process still holds the entry's lock.
    pub alive: bool,
}

/// Why a run may not begin, or the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Another run has a fault planned or in place on the same object.
    #[error("run `{run}` (process {pid}) is already on {object}")]
    Occupied {
        /// The other run.
        run: String,
        /// Its process.
        pid: u32,
        /// The object that both want.
        object: Box<ObjectId>,
    },
    /// A run that died left faults on the same object.
    #[error("run `{run}`, which is no longer alive, has not put {object} back")]
    LeftBehind {
        /// The dead run.
        run: String,
        /// The object that both want.
        object: Box<ObjectId>,
    },
    /// Everything was stopped, and nothing may begin until that is released.
    #[error("all runs on this machine were stopped, and new ones are blocked until that is released")]
    Blocked,
    /// There is no such run.
    #[error("no run `{run}` is known here{}", known_list(known))]
    Unknown {
        /// What was asked for.
        run: String,
        /// The runs there are.
        known: Vec<String>,
    },
    /// A run by that id is there already.
    #[error("a run `{run}` is known here already")]
    Exists {
        /// The id.
        run: String,
    },
    /// An id that cannot be a file's name.
    #[error("`{run}` is not a run id: letters, digits, `-`, `_` and `.` make one")]
    BadId {
        /// The id.
        run: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

fn is_of_another_version(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<OtherVersion>())
}

fn known_list(known: &[String]) -> String {
    if known.is_empty() { "; there is none at all".into() } else { format!("; known: {}", known.join(", ")) }
}

impl RegistryError {
    /// Returns the likely fix.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            RegistryError::Occupied { run, .. } => format!("wait for it, or end it with `chaos stop {run}`"),
            RegistryError::LeftBehind { run, .. } => format!("put it back with `chaos restore {run}`"),
            RegistryError::Blocked => "release it with `chaos stop --release`".into(),
            RegistryError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the user that owns it, or choose another state directory".into()
            }
            RegistryError::Io { source, .. } if is_of_another_version(source) => OtherVersion::HELP.into(),
            _ => return None,
        })
    }
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct Registry {
    directory: PathBuf,
}

impl Registry {
    /// Opens a state directory; makes it, readable for its owner alone, where it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Registry, RegistryError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let directory = directory.into();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(at("make", &directory))?;
        Ok(Registry { directory })
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Enters a run; refused when another one, alive or left behind, is on one of its targets.
    ///
    /// Hosts of a lab never collide: each lab has its own.
    pub fn register(&self, entry: &RunEntry) -> Result<Registration, RegistryError> {
        check_id(&entry.header.run)?;
        let _directory = self.lock()?;
        if self.blocked_path().exists() {
            return Err(RegistryError::Blocked);
        }
        let path = self.entry_path(&entry.header.run);
        if path.exists() {
            return Err(RegistryError::Exists { run: entry.header.run.clone() });
        }
        for other in self.scan()? {
            let Some(object) = entry.header.collision(&other.entry.header) else { continue };
            let (run, object) = (other.entry.header.run, Box::new(object.clone()));
            return Err(if other.alive {
                RegistryError::Occupied { run, pid: other.entry.header.pid, object }
            } else {
                RegistryError::LeftBehind { run, object }
            });
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(at("make", &path))?;
        let written = (|| {
            file.lock()?;
            file.write_all(&serde_json::to_vec_pretty(entry)?)?;
            file.sync_all()
        })();
        if let Err(source) = written {
            // What cannot be written must not stay as an entry that nobody can read; its removal may fail as well.
            let _ = fs::remove_file(&path);
            return Err(RegistryError::Io { what: "write", path, source });
        }
        Ok(Registration { registry: self.clone(), entry: entry.clone(), _lock: file })
    }

    /// Returns every run that is entered, by id: those alive, and those that died without putting everything back.
    pub fn runs(&self) -> Result<Vec<KnownRun>, RegistryError> {
        let _directory = self.lock()?;
        self.scan()
    }

    /// Takes over a run whose process is gone, to restore it; `None` while it is alive.
    pub fn claim(&self, run: &str) -> Result<Option<Registration>, RegistryError> {
        check_id(run)?;
        let _directory = self.lock()?;
        let path = self.entry_path(run);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.unknown(run)?),
            Err(e) => return Err(at("open", &path)(e)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(e)) => return Err(at("lock", &path)(e)),
        }
        let entry = read_entry(&mut file).map_err(at("read", &path))?;
        Ok(Some(Registration { registry: self.clone(), entry, _lock: file }))
    }

    /// Asks a run to stop: the first time it reverts and ends, the second time it hurries, the third time it gives up.
    pub fn stop(&self, run: &str) -> Result<(), RegistryError> {
        check_id(run)?;
        let _directory = self.lock()?;
        if !self.entry_path(run).exists() {
            return Err(self.unknown(run)?);
        }
        self.ask_to_stop(run)
    }

    /// Asks every run to stop and blocks new ones until [`release`](Registry::release); returns the runs that are alive.
    pub fn stop_all(&self) -> Result<Vec<RunEntry>, RegistryError> {
        let _directory = self.lock()?;
        let blocked = self.blocked_path();
        File::create(&blocked).and_then(|f| f.sync_all()).map_err(at("make", &blocked))?;
        let alive: Vec<RunEntry> = self.scan()?.into_iter().filter(|r| r.alive).map(|r| r.entry).collect();
        for entry in &alive {
            self.ask_to_stop(&entry.header.run)?;
        }
        Ok(alive)
    }

    /// Lets runs begin again after [`stop_all`](Registry::stop_all); returns whether they were blocked.
    pub fn release(&self) -> Result<bool, RegistryError> {
        let _directory = self.lock()?;
        remove(&self.blocked_path())
    }

    /// Returns whether new runs are blocked.
    pub fn is_blocked(&self) -> bool {
        self.blocked_path().exists()
    }

    fn ask_to_stop(&self, run: &str) -> Result<(), RegistryError> {
        // One byte for each request: its length is the count, and appending needs no reading.
        let path = self.stop_path(run);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut f| f.write_all(b"!"))
            .map_err(at("write", &path))
    }

    fn unknown(&self, run: &str) -> Result<RegistryError, RegistryError> {
        let known = self.scan()?.into_iter().map(|r| r.entry.header.run).collect();
        Ok(RegistryError::Unknown { run: run.to_owned(), known })
    }

    fn scan(&self) -> Result<Vec<KnownRun>, RegistryError> {
        let mut runs = Vec::new();
        for found in fs::read_dir(&self.directory).map_err(at("read", &self.directory))? {
            let path = found.map_err(at("read", &self.directory))?.path();
            if path.extension().is_none_or(|e| e != "run") {
                continue;
            }
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(at("open", &path)(e)),
            };
            let alive = match file.try_lock_shared() {
                Ok(()) => false,
                Err(fs::TryLockError::WouldBlock) => true,
                Err(fs::TryLockError::Error(e)) => return Err(at("lock", &path)(e)),
            };
            match read_entry(&mut file) {
                Ok(entry) => runs.push(KnownRun { entry, alive }),
                // It died between making and writing its entry, so before it touched anything.
                Err(e) if !alive && e.kind() == io::ErrorKind::UnexpectedEof => {
                    remove(&path)?;
                }
                Err(e) => return Err(at("read", &path)(e)),
            }
        }
        runs.sort_by(|a, b| a.entry.header.run.cmp(&b.entry.header.run));
        Ok(runs)
    }

    fn lock(&self) -> Result<File, RegistryError> {
        let path = self.directory.join("lock");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(at("lock", &path))
    }

    fn entry_path(&self, run: &str) -> PathBuf {
        self.directory.join(format!("{run}.run"))
    }

    fn stop_path(&self, run: &str) -> PathBuf {
        self.directory.join(format!("{run}.stop"))
    }

    fn blocked_path(&self) -> PathBuf {
        self.directory.join("blocked")
    }
}

/// A run's hold on its entry; dropping it (or dying) leaves the entry for `restore`, finishing it takes it away.
#[derive(Debug)]
pub struct Registration {
    registry: Registry,
    entry: RunEntry,
    _lock: File,
}

impl Registration {
    /// Returns what is entered.
    pub fn entry(&self) -> &RunEntry {
        &self.entry
    }

    /// Returns how often it was asked to stop.
    pub fn stops_asked(&self) -> u32 {
        fs::metadata(self.registry.stop_path(&self.entry.header.run))
            .map_or(0, |m| u32::try_from(m.len()).unwrap_or(u32::MAX))
    }

    /// Takes the entry away although something may be left, and keeps a record of who decided that; returns where.
    pub fn forget(&self, by: &str, left: &[String]) -> Result<PathBuf, RegistryError> {
        let path = self.registry.directory.join("forgotten.jsonl");
        let forgotten = Forgotten { at: Timestamp::now(), by, left, run: &self.entry };
        let write = || {
            let mut line = serde_json::to_vec(&forgotten)?;
            line.push(b'\n');
            let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
            file.write_all(&line)?;
            file.sync_all()
        };
        // First the record: without it the entry stays.
        write().map_err(at("write", &path))?;
        self.finish()?;
        Ok(path)
    }

    /// Takes the entry away: everything is put back.
    pub fn finish(&self) -> Result<(), RegistryError> {
        let _directory = self.registry.lock()?;
        remove(&self.registry.entry_path(&self.entry.header.run))?;
        remove(&self.registry.stop_path(&self.entry.header.run))?;
        Ok(())
    }
}

/// What is kept of a run that somebody had forgotten.
#[derive(Serialize)]
struct Forgotten<'a> {
    at: Timestamp,
    by: &'a str,
    /// What was still in place, or may have been.
    left: &'a [String],
    run: &'a RunEntry,
}

fn check_id(run: &str) -> Result<(), RegistryError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if run.is_empty() || run.len() > 128 || run.starts_with('.') || !run.chars().all(fine) {
        return Err(RegistryError::BadId { run: run.to_owned() });
    }
    Ok(())
}

fn read_entry(file: &mut File) -> io::Result<RunEntry> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    // serde_json's errors of a text that ends too early convert into `UnexpectedEof`.
    let Versioned { version } = serde_json::from_slice(&text)?;
    OtherVersion::check(version.unwrap_or(1)).map_err(io::Error::other)?;
    Ok(serde_json::from_slice(&text)?)
}

fn remove(path: &Path) -> Result<bool, RegistryError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(at("remove", path)(e)),
    }
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Io { what, path, source }
}
