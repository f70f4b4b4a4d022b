//! Reports that are written to files of their own, beside what is printed and what each run keeps.

use std::{
    fs::{File, Metadata},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use chaos_core::{report::Reports, trouble::Trouble};

use crate::{args::ReportFile, exit_code::Exit, render};

/// The files, open and empty: one that is still so afterwards was not finished, and none tells of a run before.
pub(super) struct Files<'a>(Vec<(&'a ReportFile, File)>);

impl<'a> Files<'a> {
    /// Opens all of them, with the folders that they are in, and empties them once all are open. `read` are the files that the run
    /// itself reads.
    ///
    /// # Errors
    /// One cannot be written, is one of those that are read, or two are the same, whatever they are called: then none is emptied.
    pub(super) fn open<'r>(
        asked: &'a [ReportFile],
        read: impl IntoIterator<Item = &'r Path>,
    ) -> Result<Self, Trouble> {
        let read: Vec<(u64, u64)> =
            read.into_iter().filter_map(|path| std::fs::metadata(path).ok().as_ref().map(identity)).collect();
        let mut files: Vec<(&ReportFile, File)> = Vec::new();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for report in asked {
            let path = report.file.display();
            let unwritable = |error: io::Error| {
                Trouble::unable(format!("the report `{path}` cannot be written: {error}"))
                    .with_help("nothing was run; choose another file")
            };
            let file = create(&report.file).map_err(unwritable)?;
            let metadata = file.metadata().map_err(unwritable)?;
            // What is no file, such as `/dev/null`, may take several.
            if metadata.is_file() {
                let own = identity(&metadata);
                if read.contains(&own) {
                    let why = format!("the report `{path}` would be written over a file of the scenario");
                    return Err(Trouble::absent(why).with_help("nothing was run; choose another file"));
                }
                if taken.contains(&own) {
                    return Err(Trouble::absent(format!("two reports are to be written to `{path}`"))
                        .with_help("give each a file of its own"));
                }
                taken.push(own);
            }
            files.push((report, file));
        }
        for (report, file) in &files {
            let emptied =
                file.metadata().and_then(|found| if found.is_file() { file.set_len(0) } else { Ok(()) });
            emptied.map_err(|error| {
                Trouble::unable(format!("the report `{}` cannot be emptied: {error}", report.file.display()))
                    .with_help("nothing was run; choose another file")
            })?;
        }
        Ok(Files(files))
    }

    /// Writes all of them.
    pub(super) fn write(self, reports: &Reports<'_>) -> Exit {
        let mut exit = Exit::Passed;
        for (report, mut file) in self.0 {
            let written = report.format.document(reports).and_then(|text| file.write_all(text.as_bytes()));
            if let Err(error) = written.and_then(|()| synced(&file)) {
                let message = format!("the report `{}` could not be written: {error}", report.file.display());
                render::error(
                    &message,
                    Some("make room, or choose another file; each run's folder has its own reports"),
                );
                exit = Exit::NotKept;
            }
        }
        exit
    }
}

/// Opens a file for writing, and leaves what is in it.
fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::options().write(true).create(true).truncate(false).open(path)
}

/// Returns what tells a file from others, whatever it is called.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Has a file on the disk; a pipe has none.
fn synced(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}
