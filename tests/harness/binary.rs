//! Where the command is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

/// Returns the root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the repository")
}

/// Returns the `chaos` executable; builds it once where it is missing or older than the sources.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("CHAOS_BIN") {
        Some(given) => {
            let given = PathBuf::from(given);
            assert!(given.is_file(), "CHAOS_BIN={} is not a file", given.display());
            given
        }
        None => beside(),
    })
}

fn beside() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    // target/PROFILE/deps/suite-HASH
    let profile = own
        .parent()
        .and_then(Path::parent)
        .expect("cargo puts tests two folders below the target")
        .to_owned();
    let program = profile.join("chaos");
    // Each crate is a folder of the repository.
    let crates = std::fs::read_dir(repository()).into_iter().flatten().flatten();
    let newest = crates.filter_map(|folder| newest(&folder.path().join("src"))).max();
    let fresh = |built: SystemTime| newest.is_none_or(|newest| built >= newest);
    if program.metadata().and_then(|m| m.modified()).is_ok_and(fresh) {
        return program;
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "chaos-cli", "--bin", "chaos"]).current_dir(repository());
    build.arg("--target-dir").arg(profile.parent().expect("a profile's folder is in the target's"));
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(name) => {
            build.args(["--profile", name]);
        }
    }
    let status = build.status().expect("cargo starts");
    assert!(status.success(), "`chaos` does not build; build it by hand, or name one with CHAOS_BIN");
    program
}

/// Returns when the newest source below a folder was written.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return newest(&path);
            }
            path.extension().filter(|e| *e == "rs").and_then(|_| entry.metadata().ok()?.modified().ok())
        })
        .max()
}
