//! Reports that are written to files of their own, beside what is printed and what each run keeps.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use chaos_core::{report::Reports, trouble::Trouble};

use crate::{args::ReportFile, exit_code::Exit, render};

/// The files, open and empty: one that is still so afterwards was not finished, and none tells of a run before.
pub(super) struct Files<'a>(Vec<(&'a ReportFile, File)>);

impl<'a> Files<'a> {
    /// Opens all of them, with the folders that they are in.
    ///
    /// # Errors
    /// One cannot be written, or two are the same.
    pub(super) fn open(asked: &'a [ReportFile]) -> Result<Self, Trouble> {
        let mut files = Vec::new();
        for (number, report) in asked.iter().enumerate() {
            let path = &report.file;
            if asked[..number].iter().any(|before| before.file == *path) {
                return Err(Trouble::absent(format!(
                    "two reports are to be written to `{}`",
                    path.display()
                ))
                .with_help("give each a file of its own"));
            }
            let file = create(path).map_err(|error| {
                Trouble::unable(format!("the report `{}` cannot be written: {error}", path.display()))
                    .with_help("nothing was run; choose another file")
            })?;
            files.push((report, file));
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

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::create(path)
}

/// Has a file on the disk; a pipe has none.
fn synced(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}
