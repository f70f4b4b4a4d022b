//! Who runs the tests, and who else the command can be run as.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The ordinary user of tests: `nobody`.
const NOBODY: u32 = 65534;

/// Returns whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Returns whether the tests run as root; else prints that this one is skipped.
pub fn root_or_skip() -> bool {
    if !is_root() {
        println!("skipped: needs root");
    }
    is_root()
}

/// Returns whether labs can be made here, as root or as an ordinary user; else prints that this test is skipped.
pub fn lab_or_skip() -> bool {
    is_root() || user_or_skip()
}

/// Makes the command one of an ordinary user without any right.
pub fn other_user(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Returns whether an ordinary user may make user namespaces here; else prints that this test is skipped.
pub fn user_or_skip() -> bool {
    static ALLOWED: OnceLock<Option<String>> = OnceLock::new();
    let denied = ALLOWED.get_or_init(|| {
        if !Path::new("/proc/self/ns/user").exists() {
            return Some("this kernel has no user namespaces".into());
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "true"]).stdin(Stdio::null()).current_dir("/");
        other_user(&mut unshare);
        match unshare.output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!(
                "ordinary users may not make user namespaces: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => Some(format!("cannot run `unshare`: {error}")),
        }
    });
    if let Some(reason) = denied {
        println!("skipped: {reason}");
    }
    denied.is_none()
}
