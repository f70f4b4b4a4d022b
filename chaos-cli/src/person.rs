//! Who uses this command.

use nix::unistd::{User, getuid};

/// Returns the user's name, and that of the person behind `sudo`.
pub(crate) fn name() -> String {
    let uid = getuid();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    match std::env::var("SUDO_USER") {
        Ok(person) if uid.is_root() => format!("{person} as {name}"),
        _ => name,
    }
}

/// Returns that name with the machine's, for those who read it elsewhere.
#[cfg(feature = "kube")]
pub(crate) fn at_machine() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    format!("{}@{}", name(), host.as_deref().unwrap_or("unknown"))
}
