//! Reading files that somebody else may have made: ordinary ones of a known size, and nothing that a link leads to.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::libc;

/// Opens a file of at most `most` bytes to read it; never waits for who writes into a pipe.
///
/// # Errors
/// It cannot be opened, is a link, a pipe, a device or a folder, or is larger.
pub fn open(path: &Path, most: u64) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ELOOP) => io::Error::other("it is a link, not an ordinary file"),
            _ => error,
        }
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not an ordinary file"));
    }
    if metadata.len() > most {
        return Err(too_large(metadata.len(), most));
    }
    Ok(file)
}

/// Reads all of a file as [`open`] opens it, also where it grows meanwhile.
///
/// # Errors
/// As [`open`], or it is not UTF-8.
pub fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let size = open(path, most)?.take(most.saturating_add(1)).read_to_string(&mut text)? as u64;
    if size > most { Err(too_large(size, most)) } else { Ok(text) }
}

fn too_large(size: u64, most: u64) -> io::Error {
    io::Error::other(format!("it has {size} bytes, more than {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordinary_files_of_some_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("plain"), "words").unwrap();
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&at("plain"), 5).unwrap(), "words");
        for (name, said) in [
            ("plain", "it has 5 bytes, more than 4"),
            ("link", "it is a link, not an ordinary file"),
            ("pipe", "it is not an ordinary file"),
            ("sparse", "it has 1099511627776 bytes, more than 4"),
            ("", "it is not an ordinary file"),
        ] {
            assert_eq!(read(&at(name), 4).unwrap_err().to_string(), said, "{name}");
        }
        assert_eq!(read(Path::new("/dev/zero"), 4).unwrap_err().to_string(), "it is not an ordinary file");
        assert_eq!(read(&at("none"), 4).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
