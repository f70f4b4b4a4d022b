//! The runs of this machine: one locked file each in a state directory.
//!
//! A run's entry names its process, its journal and its targets; the lock on it (`flock`) lasts exactly as long as the
//! process does, so an entry that can be locked belongs to a run that is over. Everything that adds, removes or claims an
//! entry holds the directory's own lock, so no two processes see each other's half-written files.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Header, Holder, OtherVersion, entry::Versioned};
use crate::{
    owned::{NotOwned, OwnedFolder},
    place::ObjectId,
};

/// How long somebody else may hold the directory's lock; it is held for the time of writing a file.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const TICK: Duration = Duration::from_millis(20);
/// What the directory's lock is called in it.
const LOCK: &str = "lock";
/// What blocks new runs is called.
const BLOCKED: &str = "blocked";
/// The record of what was forgotten is called.
const FORGOTTEN: &str = "forgotten.jsonl";

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
    /// Somebody else holds the directory's lock, and for too long.
    #[error("the lock `{}` was held for {} s by {}", path.display(), waited.as_secs(), held_by(holder.as_ref()))]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who holds it, where the kernel says so.
        holder: Option<Holder>,
        /// How long it was waited for.
        waited: Duration,
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

fn held_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "a process that is not known".into(), Holder::to_string)
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
            RegistryError::Held { holder: Some(holder), .. } => holder.help(),
            RegistryError::Held { path, holder: None, .. } => {
                format!("find out who holds it with `lsof {}`, and end that", path.display())
            }
            RegistryError::Io { source, path, .. } if NotOwned::of(source).is_some() => {
                let help = NotOwned::of(source).map(|why| why.help(path))?;
                format!("{help}; or choose another state directory with `--state-dir DIR`")
            }
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
    directory: OwnedFolder,
    patience: Duration,
}

impl Registry {
    /// Opens a state directory; makes it, readable for its owner alone, where it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened, or somebody else may have made or may change it; nothing was touched then.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Registry, RegistryError> {
        let path = directory.into();
        let directory = OwnedFolder::open(&path).map_err(at("use the state directory", &path))?;
        Ok(Registry { directory, patience: PATIENCE })
    }

    /// Sets for how long the lock of the directory is waited for while somebody else holds it, instead of 10 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Registry {
        Registry { patience, ..self }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Enters a run; refused when another one, alive or left behind, is on one of its targets.
    ///
    /// Hosts of a lab never collide: each lab has its own.
    pub fn register(&self, entry: &RunEntry) -> Result<Registration, RegistryError> {
        check_id(&entry.header.run)?;
        let _directory = self.lock()?;
        if self.is_blocked() {
            return Err(RegistryError::Blocked);
        }
        let name = entry_name(&entry.header.run);
        let path = self.path(&name);
        if self.directory.has(&name) {
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
        let mut file = self.directory.create(&name).map_err(at("make", &path))?;
        let written = (|| {
            // Nobody else can have it yet: that takes the directory's lock.
            file.try_lock()?;
            file.write_all(&serde_json::to_vec_pretty(entry)?)?;
            file.sync_all()
        })();
        if let Err(source) = written {
            // What cannot be written must not stay as an entry that nobody can read; its removal may fail as well.
            let _ = self.directory.remove(&name);
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
        let path = self.path(&entry_name(run));
        let mut file = match self.directory.change(&entry_name(run)) {
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
        if !self.directory.has(&entry_name(run)) {
            return Err(self.unknown(run)?);
        }
        self.ask_to_stop(run)
    }

    /// Asks every run to stop and blocks new ones until [`release`](Registry::release); returns the runs that are alive.
    pub fn stop_all(&self) -> Result<Vec<RunEntry>, RegistryError> {
        let _directory = self.lock()?;
        let blocked = self.directory.append(BLOCKED).and_then(|f| f.sync_all());
        blocked.map_err(at("make", &self.path(BLOCKED)))?;
        let alive: Vec<RunEntry> = self.scan()?.into_iter().filter(|r| r.alive).map(|r| r.entry).collect();
        for entry in &alive {
            self.ask_to_stop(&entry.header.run)?;
        }
        Ok(alive)
    }

    /// Lets runs begin again after [`stop_all`](Registry::stop_all); returns whether they were blocked.
    pub fn release(&self) -> Result<bool, RegistryError> {
        let _directory = self.lock()?;
        self.remove(BLOCKED)
    }

    /// Returns whether new runs are blocked.
    pub fn is_blocked(&self) -> bool {
        self.directory.has(BLOCKED)
    }

    fn ask_to_stop(&self, run: &str) -> Result<(), RegistryError> {
        // One byte for each request: its length is the count, and appending needs no reading.
        let name = stop_name(run);
        let written = self.directory.append(&name).and_then(|mut f| f.write_all(b"!"));
        written.map_err(at("write", &self.path(&name)))
    }

    fn unknown(&self, run: &str) -> Result<RegistryError, RegistryError> {
        let known = self.scan()?.into_iter().map(|r| r.entry.header.run).collect();
        Ok(RegistryError::Unknown { run: run.to_owned(), known })
    }

    fn scan(&self) -> Result<Vec<KnownRun>, RegistryError> {
        let mut runs = Vec::new();
        for name in self.directory.names().map_err(at("read", self.directory()))? {
            if !name.ends_with(".run") {
                continue;
            }
            let path = self.path(&name);
            let mut file = match self.directory.read(&name) {
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
                    self.remove(&name)?;
                }
                Err(e) => return Err(at("read", &path)(e)),
            }
        }
        runs.sort_by(|a, b| a.entry.header.run.cmp(&b.entry.header.run));
        Ok(runs)
    }

    /// Takes the directory's lock; waits no longer for it than the patience lasts.
    fn lock(&self) -> Result<File, RegistryError> {
        let path = self.path(LOCK);
        let file = self.directory.append(LOCK).map_err(at("open", &path))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::Error(e)) => return Err(at("lock", &path)(e)),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() >= self.patience => {
                    let holder = Holder::of(&file);
                    return Err(RegistryError::Held { path, holder, waited: self.patience });
                }
                Err(fs::TryLockError::WouldBlock) => thread::sleep(TICK),
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn remove(&self, name: &str) -> Result<bool, RegistryError> {
        self.directory.remove(name).map_err(at("remove", &self.path(name)))
    }
}

fn entry_name(run: &str) -> String {
    format!("{run}.run")
}

fn stop_name(run: &str) -> String {
    format!("{run}.stop")
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
        let asked = self.registry.directory.size(&stop_name(&self.entry.header.run));
        asked.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Takes the entry away although something may be left, and keeps a record of who decided that; returns where.
    pub fn forget(&self, by: &str, left: &[String]) -> Result<PathBuf, RegistryError> {
        let path = self.registry.path(FORGOTTEN);
        let forgotten = Forgotten { at: Timestamp::now(), by, left, run: &self.entry };
        let write = || {
            let mut line = serde_json::to_vec(&forgotten)?;
            line.push(b'\n');
            let mut file = self.registry.directory.append(FORGOTTEN)?;
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
        self.registry.remove(&entry_name(&self.entry.header.run))?;
        self.registry.remove(&stop_name(&self.entry.header.run))?;
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

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Io { what, path, source }
}
