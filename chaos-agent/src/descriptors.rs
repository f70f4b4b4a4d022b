//! How many files an agent may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process have as many files open as the system allows it.
///
/// A BPF fault keeps several open on each object. The usual limit of 1,024 is for programs that use `select`, and would end at
/// a few hundred objects.
pub(crate) fn allow_many() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        // Where it fails, the limit as it is may well suffice, and running into it has a message of its own.
        tracing::debug!(%error, "the limit of open files stays at {soft}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let few = hard.min(256);
        setrlimit(Resource::RLIMIT_NOFILE, few, hard).unwrap();
        allow_many();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }
}
