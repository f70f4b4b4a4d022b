//! Whether a run is alive although nobody holds the lock of this journal: it may be a copy of the one that is written.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
};

/// The longest first line that is compared; a longer one is compared up to here.
const LONGEST: u64 = 1 << 20;

/// Returns whether a process has a file open that begins with the same line, which no two runs have in common. What may not be looked
/// at is not open; whoever may not look at a process may not undo what it did either.
pub(super) fn has_open(pid: u32, line: &[u8]) -> bool {
    // Whoever asks has the copy open.
    if pid == std::process::id() {
        return false;
    }
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let line = &line[..line.len().min(LONGEST as usize)];
    files.map(|file| file.path()).any(|path| {
        // A pipe would keep a reader waiting.
        fs::metadata(&path).is_ok_and(|found| found.is_file())
            && File::open(&path).and_then(first_line).is_ok_and(|first| first == line)
    })
}

/// Reads the first line of a file, without its end.
fn first_line(file: File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_has_a_file_of_the_same_first_line_open_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, "{\"run\": 7}\n{}\n").unwrap();
        let holding = |file: &std::path::Path| {
            let stdin = Stdio::from(File::open(file).unwrap());
            Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap()
        };
        let mut child = holding(&path);
        // It may have been removed since.
        fs::remove_file(&path).unwrap();
        let (same, other) = (has_open(child.id(), b"{\"run\": 7}"), has_open(child.id(), b"{\"run\": 8}"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(same && !other);
        assert!(!has_open(child.id(), b"{\"run\": 7}"), "it is gone");
    }
}
