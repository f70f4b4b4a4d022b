//! A journal in a file: JSON lines, each fsynced, with room reserved so that a full disk never stops an unwind.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use nix::fcntl::{FallocateFlags, fallocate};

use super::{Entry, Header, History, Journal, Line, OtherVersion, alive, entry::Versioned};
use crate::{
    owned::{self, NotOwned},
    trouble::{Kind, Trouble},
};

/// What is reserved for the unwinding of one part: its entries and those of some retries.
const ROOM_PER_PART: u64 = 16 * 1024;
/// What is reserved beside that.
const ROOM: u64 = 64 * 1024;
/// The longest error text that is written; more would eat the room of other parts.
const LONGEST_ERROR: usize = 2000;

/// A journal in a file of its own, locked (`flock`) for as long as a clone of this lives.
#[derive(Clone, Debug)]
pub struct FileJournal {
    path: Arc<PathBuf>,
    inner: Arc<Mutex<Inner>>,
}

/// The journal of an earlier run.
#[derive(Debug)]
pub enum Reopened {
    /// The run is over: its journal, to go on with, and what it says.
    Over(FileJournal, History),
    /// The run, or a restore of it, is alive and writes to it; which run it is, where it says so already.
    Alive(Option<Header>),
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// The next line's number.
    number: u64,
    /// Where the next line goes; what lies beyond is a torn line.
    end: u64,
    /// What is reserved, from the start of the file.
    reserved: u64,
    /// Whether something of an earlier writer stands beyond the end. It is cut off by the first line that is written: whoever
    /// only looks changes nothing, and what turns out to be no journal keeps its text.
    torn: bool,
    /// How many parts were prepared.
    parts: u64,
}

impl FileJournal {
    /// Makes a journal file and reserves room for it; an existing file is an error.
    pub fn create(path: impl Into<PathBuf>) -> Result<FileJournal, Trouble> {
        let path = path.into();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| failed("make", &path, &e))?;
        lock(&file).map_err(|e| failed("lock", &path, &e))?;
        let mut inner = Inner { file, number: 0, end: 0, reserved: 0, torn: false, parts: 0 };
        inner.reserve(ROOM).map_err(|e| failed("reserve room for", &path, &e))?;
        // The name itself must survive a crash as well.
        path.parent()
            .map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
            .map_or(Ok(()), |dir| File::open(dir).and_then(|d| d.sync_all()))
            .map_err(|e| failed("make", &path, &e))?;
        Ok(FileJournal { path: Arc::new(path), inner: Arc::new(Mutex::new(inner)) })
    }

    /// Opens the journal of a run that is over, to go on with it; a torn last line is written over.
    ///
    /// # Errors
    /// It cannot be read or written, is damaged, or somebody else may have written it ([`NotOwned`]). Nothing was changed then.
    /// The journal of a run that is alive is [`Reopened::Alive`], and so is a copy of it.
    pub fn reopen(path: impl Into<PathBuf>) -> Result<Reopened, Trouble> {
        let path = path.into();
        let mut file = owned::open_file(&path).map_err(|e| failed("open", &path, &e))?;
        let alive = !lock(&file).map_err(|e| failed("lock", &path, &e))?;
        let mut text = Vec::new();
        if alive {
            let read = file.read_to_end(&mut text).map_err(|e| failed("read", &path, &e));
            let header = read.and_then(|_| parse(&path, &text)).ok().and_then(|(lines, _)| {
                match lines.into_iter().next()?.entry {
                    Entry::Run(header) => Some(header),
                    _ => None,
                }
            });
            return Ok(Reopened::Alive(header));
        }
        owned::check(&file).map_err(|e| failed("go on with", &path, &e))?;
        file.read_to_end(&mut text).map_err(|e| failed("read", &path, &e))?;
        let (lines, end) = parse(&path, &text)?;
        if let Some(Entry::Run(header)) = lines.first().map(|line| &line.entry)
            && alive::has_open(header.pid, text.split(|byte| *byte == b'\n').next().unwrap_or_default())
        {
            return Ok(Reopened::Alive(Some(header.clone())));
        }
        let history =
            History::replay(lines.iter().map(|l| &l.entry)).map_err(|e| of_another_version(&path, e))?;
        let inner = Inner {
            file,
            number: lines.len() as u64,
            end: end as u64,
            reserved: end as u64,
            torn: text.len() > end,
            parts: history.parts.len() as u64,
        };
        let journal = FileJournal { path: Arc::new(path), inner: Arc::new(Mutex::new(inner)) };
        Ok(Reopened::Over(journal, history))
    }

    /// Reads the lines of a journal file; a torn last line, which a crash leaves, is passed over.
    pub fn read(path: &Path) -> Result<Vec<Line>, Trouble> {
        let text = std::fs::read(path).map_err(|e| failed("read", path, &e))?;
        parse(path, &text).map(|(lines, _)| lines)
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends entries and waits for the disk; must not run on a thread that has other things to do.
    pub fn append_blocking(&self, entries: &[Entry]) -> Vec<Result<(), Trouble>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.append(entries).is_ok() {
            return vec![Ok(()); entries.len()];
        }
        // Where there is no room for all, there still is for what was reserved: a debt that is paid is written down.
        let mut one =
            |entry| inner.append(std::slice::from_ref(entry)).map_err(|e| failed("write", &self.path, &e));
        entries.iter().map(&mut one).collect()
    }
}

impl Inner {
    /// Appends all entries or none, and waits for the disk once.
    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let (mut text, mut number, mut parts) = (Vec::new(), self.number, self.parts);
        for entry in entries {
            let mut entry = entry.clone();
            if let Entry::RevertFailed { error, .. } = &mut entry {
                let cut = error.floor_char_boundary(LONGEST_ERROR.min(error.len()));
                error.truncate(cut);
            }
            parts += u64::from(matches!(entry, Entry::Prepared { .. }));
            serde_json::to_writer(&mut text, &Line { number, at: Timestamp::now(), entry })?;
            text.push(b'\n');
            number += 1;
        }
        if parts > self.parts {
            // Room for their unwinding is reserved before parts are touched: if the disk is full, they never are.
            self.reserve(self.end + text.len() as u64 + ROOM + parts * ROOM_PER_PART)?;
        }
        if self.torn {
            self.file.set_len(self.end)?;
            self.torn = false;
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            if entries.len() > 1 {
                self.cut()?;
            }
            return Err(error);
        }
        self.end += text.len() as u64;
        (self.number, self.parts) = (number, parts);
        Ok(())
    }

    /// Cuts off what lies beyond the end: of several lines that were written in part, a reader would take the first.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        // What was reserved goes with it.
        let until = std::mem::replace(&mut self.reserved, self.end);
        self.reserve(until)
    }

    /// Reserves blocks beyond the end without changing the file's length, so that readers never see them.
    fn reserve(&mut self, until: u64) -> io::Result<()> {
        if until <= self.reserved {
            return Ok(());
        }
        let length = |n: u64| i64::try_from(n).map_err(io::Error::other);
        let from = self.reserved;
        match fallocate(
            self.file.as_fd(),
            FallocateFlags::FALLOC_FL_KEEP_SIZE,
            length(from)?,
            length(until - from)?,
        ) {
            Ok(()) => {}
            // A file system that cannot reserve is not a reason not to run.
            Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => {}
            Err(e) => return Err(e.into()),
        }
        self.reserved = until;
        Ok(())
    }
}

/// Locks a journal for as long as the file is open; returns whether nobody else has.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // A file system that cannot lock is not a reason not to run.
        Err(TryLockError::Error(e)) if matches!(e.kind(), io::ErrorKind::Unsupported) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Refuses the journal of another version before anything of it is taken for damaged, or for a torn line to write over.
fn check_version(text: &[u8]) -> Result<(), OtherVersion> {
    let first = text.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(first) {
        Ok(Versioned { version: Some(version) }) => OtherVersion::check(version),
        Ok(Versioned { version: None }) | Err(_) => Ok(()),
    }
}

/// Reads lines up to the first that is not whole; only the last may be so. Returns where the whole ones end.
fn parse(path: &Path, text: &[u8]) -> Result<(Vec<Line>, usize), Trouble> {
    check_version(text).map_err(|e| of_another_version(path, e))?;
    let (mut lines, mut end) = (Vec::<Line>::new(), 0);
    for line in text.split_inclusive(|b| *b == b'\n') {
        let last = end + line.len() == text.len();
        match serde_json::from_slice::<Line>(line) {
            Ok(read) if line.ends_with(b"\n") => {
                if read.number != lines.len() as u64 {
                    let why = format!("line {} says that it is number {}", lines.len(), read.number);
                    return Err(damaged(path, why));
                }
                lines.push(read);
                end += line.len();
            }
            Ok(_) => break,
            Err(_) if last => break,
            Err(e) => return Err(damaged(path, format!("line {} cannot be read: {e}", lines.len()))),
        }
    }
    Ok((lines, end))
}

fn failed(what: &str, path: &Path, why: &io::Error) -> Trouble {
    let help = match why.kind() {
        _ if NotOwned::of(why).is_some() => NotOwned::of(why).map(|why| why.help(path)),
        io::ErrorKind::StorageFull => {
            Some("free some space, or choose another folder with `--out`".to_owned())
        }
        io::ErrorKind::PermissionDenied => Some("choose a folder that this user may write to".to_owned()),
        io::ErrorKind::NotFound if what != "make" => {
            Some("was the run's folder moved or deleted?".to_owned())
        }
        _ => None,
    };
    Trouble {
        message: format!("cannot {what} the journal `{}`: {why}", path.display()),
        help,
        kind: Kind::from(why),
    }
}

fn of_another_version(path: &Path, why: OtherVersion) -> Trouble {
    Trouble::unable(format!("cannot read the journal `{}`: {why}", path.display()))
        .with_help(OtherVersion::HELP)
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Trouble {
    Trouble::unable(format!("the journal `{}` is damaged: {why}", path.display()))
        .with_help("compare what it says by hand with the state of its targets")
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&self, entry: &Entry) -> Result<(), Trouble> {
        self.append_all(std::slice::from_ref(entry)).await.pop().unwrap_or(Ok(()))
    }

    async fn append_all(&self, entries: &[Entry]) -> Vec<Result<(), Trouble>> {
        let (journal, owned) = (self.clone(), entries.to_vec());
        tokio::task::spawn_blocking(move || journal.append_blocking(&owned)).await.unwrap_or_else(|e| {
            vec![Err(Trouble::unable(format!("the journal's writer failed: {e}"))); entries.len()]
        })
    }
}
