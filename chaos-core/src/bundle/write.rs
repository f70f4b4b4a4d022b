//! Writing the folder of a run.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{
    bundle::samples,
    judge::Samples,
    owned::OwnedFolder,
    plan::Plan,
    run::{EventSink, Finished, Record, event::What},
    source::SourceFile,
};

/// Keeps the reports of a folder; tries every file, and returns the first error.
pub fn keep(folder: &Path, reports: &[(&str, String)]) -> io::Result<()> {
    let folder = OwnedFolder::open(folder)?;
    let written: Vec<io::Result<()>> = reports.iter().map(|(name, text)| folder.write(name, text)).collect();
    written.into_iter().collect()
}

/// The folder of one run. Nobody but its user reads it: answers and logs may hold what should not be known.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFolder,
    /// The first event that could not be written down.
    lost: Arc<OnceLock<String>>,
}

impl Folder {
    /// Makes the folder and keeps the scenario and the plan in it.
    pub fn create(out: &Path, run: &str, sources: &[SourceFile], plan: &Plan) -> io::Result<Folder> {
        let path = std::path::absolute(out.join(run))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(out)?;
        let folder = OwnedFolder::make(path)?;
        let scenario = folder.folder("scenario")?;
        for (id, file) in sources.iter().enumerate() {
            // Files of the same name from different folders must not hide each other.
            let name = Path::new(&file.name).file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = if scenario.has(&name) { format!("{id}-{name}") } else { name };
            scenario.write(&name, &file.text)?;
        }
        folder.write("plan.json", serde_json::to_vec_pretty(plan)?)?;
        Ok(Folder { folder, lost: Arc::default() })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns where the journal belongs.
    pub fn journal(&self) -> PathBuf {
        self.path().join("journal.jsonl")
    }

    /// Returns what keeps every event but the progress. A full disk loses lines, which [`keep`](Folder::keep) then says, and ends
    /// no run.
    pub fn events(&self) -> io::Result<EventSink> {
        let lost = self.lost.clone();
        let file = Mutex::new(BufWriter::new(self.folder.create("events.jsonl")?));
        Ok(Arc::new(move |event| {
            if matches!(event.what, What::Progress { .. }) {
                return;
            }
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let written = serde_json::to_writer(&mut *file, event).map_err(io::Error::from);
            if let Err(error) = written.and_then(|()| file.write_all(b"\n")).and_then(|()| file.flush()) {
                tracing::warn!(%error, "an event was not written down");
                let _ = lost.set(error.to_string());
            }
        }))
    }

    /// Keeps what a run leaves; tries every file, and returns the first error.
    ///
    /// # Errors
    /// A file could not be written, or what was written while the run went on is no longer whole.
    pub fn keep(&self, finished: &Finished, reports: &[(&str, String)]) -> io::Result<()> {
        let mut result = Ok(());
        let mut step = |done: io::Result<()>| {
            if result.is_ok() {
                result = done;
            }
        };
        step(self.whole());
        for (name, text) in reports {
            step(self.folder.write(name, text));
        }
        step(self.samples(&finished.samples));
        step(self.kernel(&finished.record));
        step(self.logs(&finished.record));
        result
    }

    /// Makes sure that what was written before the end is still there.
    fn whole(&self) -> io::Result<()> {
        for name in ["plan.json", "journal.jsonl", "events.jsonl", "scenario"] {
            let path = self.path().join(name);
            fs::symlink_metadata(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("`{}` is gone: {error}", path.display()))
            })?;
        }
        match self.lost.get() {
            Some(error) => Err(io::Error::other(format!("`events.jsonl` has gaps: {error}"))),
            None => Ok(()),
        }
    }

    fn samples(&self, all: &Samples) -> io::Result<()> {
        let folder = self.folder.folder("samples")?;
        for (probe, probe_samples) in all {
            let out = BufWriter::new(folder.replace(&format!("{probe}.csv"))?);
            samples::write(probe_samples, out)?;
        }
        Ok(())
    }

    fn kernel(&self, record: &Record) -> io::Result<()> {
        let mut text = String::new();
        for evidence in &record.environment.kernel {
            let at = evidence.at as f64 / 1e9;
            text.push_str(&format!("# {:?} the faults, at {at:.3} s: {}\n", evidence.when, evidence.object));
            for line in &evidence.lines {
                text.push_str(line);
                text.push('\n');
            }
            text.push('\n');
        }
        self.folder.write("kernel.txt", text)
    }

    fn logs(&self, record: &Record) -> io::Result<()> {
        let logs = record.environment.logs.iter().filter(|(_, lines)| !lines.is_empty());
        for (object, lines) in logs {
            let folder = self.folder.folder("logs")?;
            let name: String =
                object.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
            folder.write(&format!("{name}.txt"), lines.join("\n") + "\n")?;
        }
        Ok(())
    }
}
