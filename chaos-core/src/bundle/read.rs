//! Reading the folder of a run.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::samples::{self, SampleError};
use crate::{
    judge::Samples,
    ordinary,
    report::json,
    run::{Finished, event::SCHEMA_VERSION},
};

/// Why a folder cannot be read as that of a run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no record in it.
    #[error("`{}` is not the folder of a run: it has no `record.json`", .0.display())]
    NoRun(PathBuf),
    /// A run was begun in it, and has not ended, or was killed.
    #[error("the run in `{}` left no record: it was killed, or is still going on", .0.display())]
    NoRecord(PathBuf),
    /// A file cannot be read at all.
    #[error("`{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The record is of another version.
    #[error("`{}` is of version {found}, and this `chaos` reads version {SCHEMA_VERSION}", .path.display())]
    Version {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file is not the record of a run.
    #[error("`{}` is not the record of a run: {error}", .path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A probe has a name that no scenario can give it.
    #[error("`{}` speaks of a probe `{probe}`, which is not a name", .path.display())]
    Name {
        /// The record.
        path: PathBuf,
        /// The name.
        probe: String,
    },
    /// The samples of a probe are not there.
    #[error("the samples of probe `{probe}` are missing: there is no `{}`", .path.display())]
    Missing {
        /// The probe.
        probe: String,
        /// Where they should be.
        path: PathBuf,
    },
    /// The samples of a probe cannot be understood.
    #[error("the samples of probe `{probe}` cannot be read from `{}`: {error}", .path.display())]
    Samples {
        /// The probe.
        probe: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: SampleError,
    },
    /// Some samples of a probe are gone.
    #[error("probe `{probe}` took {taken} samples, and `{}` holds {found}", .path.display())]
    CutOff {
        /// The probe.
        probe: String,
        /// The file.
        path: PathBuf,
        /// How many the run took.
        taken: u64,
        /// How many are there.
        found: u64,
    },
}

impl LoadError {
    /// Returns the likely fix.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            LoadError::NoRun(_) => "name the folder that `chaos run` printed after `kept in`",
            LoadError::NoRecord(_) => "wait for its end, or put back what it left with `chaos restore`",
            LoadError::Unreadable { .. } => return None,
            LoadError::Version { found, .. } if *found > SCHEMA_VERSION => "judge it with a newer `chaos`",
            LoadError::Version { .. } => "judge it with the `chaos` that has run it",
            LoadError::Record { error, .. } if error.is_eof() => {
                "its end is missing: take it from a whole copy"
            }
            LoadError::Record { .. } | LoadError::Name { .. } => "take it from an unchanged copy",
            LoadError::Missing { .. } | LoadError::CutOff { .. } => {
                "without every sample there is no verdict: take the folder from a whole copy"
            }
            LoadError::Samples { .. } => "take the file from an unchanged copy",
        };
        Some(help.into())
    }
}

/// The largest record that is read, in bytes.
pub(crate) const MOST_RECORD: u64 = 256 << 20;
/// The largest file of samples, in bytes: a day at 1,000 each second.
const MOST_SAMPLES: u64 = 16 << 30;

/// The first thing that is read of a record.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads the record and the samples that a run has left in a folder, and makes sure that nothing of them is missing.
pub fn load(folder: &Path) -> Result<Finished, LoadError> {
    let path = folder.join("record.json");
    let text = match ordinary::read(&path, MOST_RECORD) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let begun = folder.join("journal.jsonl").is_file();
            let folder = folder.to_owned();
            return Err(if begun { LoadError::NoRecord(folder) } else { LoadError::NoRun(folder) });
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(LoadError::NoRun(folder.to_owned()));
        }
        Err(error) => return Err(LoadError::Unreadable { path, error }),
    };
    match serde_json::from_str::<Versioned>(&text) {
        Ok(Versioned { version: SCHEMA_VERSION }) => {}
        Ok(Versioned { version: found }) => return Err(LoadError::Version { path, found }),
        Err(error) => return Err(LoadError::Record { path, error }),
    }
    let record = match json::read(&text) {
        Ok(document) => document.record,
        Err(error) => return Err(LoadError::Record { path, error }),
    };
    let mut all = Samples::new();
    for probe in &record.probes {
        let (probe, taken) = (&probe.probe, probe.samples);
        // What is not a name could lead out of the folder.
        if !probe.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
            return Err(LoadError::Name { path: folder.join("record.json"), probe: probe.clone() });
        }
        let path = folder.join("samples").join(format!("{probe}.csv"));
        let file = match ordinary::open(&path, MOST_SAMPLES) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LoadError::Missing { probe: probe.clone(), path });
            }
            Err(error) => return Err(LoadError::Unreadable { path, error }),
        };
        let samples = match samples::read(io::BufReader::new(file)) {
            Ok(samples) => samples,
            Err(error) => return Err(LoadError::Samples { probe: probe.clone(), path, error }),
        };
        let found = samples.len() as u64;
        if found != taken {
            return Err(LoadError::CutOff { probe: probe.clone(), path, taken, found });
        }
        all.insert(probe.clone(), samples);
    }
    Ok(Finished { record, samples: all })
}
