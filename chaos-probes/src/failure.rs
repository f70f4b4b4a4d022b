//! Why a measurement did not succeed, in words that stay the same from one to the next, so that they can be counted.

use std::{borrow::Cow, collections::HashSet, io, sync::Arc, sync::Mutex};

use chaos_core::{
    place::OutOfReach,
    probe::{Observation, Outcome},
    trouble::Trouble,
};
use nix::errno::Errno;

/// What it means that the kernel has no local address to give.
const NO_PORT: &str = "no free local port: too many connections are open, or were closed in the last minute";

/// How many different texts are kept; beyond that each is made anew, so that a server cannot fill the memory.
const KEPT: usize = 1024;

/// Why a measurement did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The world said no.
    Failed(Cow<'static, str>),
    /// This machine could not even ask: no descriptor, no port, no memory.
    NotRun(Cow<'static, str>),
}

impl Failure {
    /// Returns a failure of the world.
    pub(crate) fn failed(text: impl Into<Cow<'static, str>>) -> Self {
        Failure::Failed(text.into())
    }

    /// Returns what an I/O error means for the measurement.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        let Some(code) = error.raw_os_error() else {
            return Failure::failed(match error.kind() {
                io::ErrorKind::UnexpectedEof => Cow::Borrowed("connection closed early"),
                kind => Cow::Owned(kind.to_string()),
            });
        };
        match Errno::from_raw(code) {
            Errno::ECONNREFUSED => Failure::failed("connection refused"),
            Errno::ECONNRESET | Errno::EPIPE => Failure::failed("connection reset"),
            Errno::EHOSTUNREACH => Failure::failed("host unreachable"),
            Errno::ENETUNREACH => Failure::failed("network unreachable"),
            Errno::ETIMEDOUT => Failure::failed("connection timed out"),
            Errno::EPERM | Errno::EACCES => Failure::failed("sending not permitted"),
            Errno::ENOBUFS => Failure::failed("packet dropped while sending"),
            // A port stays taken for a minute after its connection was closed on this side.
            Errno::EADDRNOTAVAIL => Failure::NotRun(NO_PORT.into()),
            Errno::EMFILE | Errno::ENFILE => Failure::NotRun("too many open files".into()),
            Errno::ENOMEM => Failure::NotRun("out of memory".into()),
            other => Failure::Failed(other.desc().to_lowercase().into()),
        }
    }

    /// Returns the same as a reason that says nothing of the world.
    pub(crate) fn not_run(self) -> Self {
        match self {
            Failure::Failed(text) | Failure::NotRun(text) => Failure::NotRun(text),
        }
    }

    /// Returns the same failure with more words before it.
    pub(crate) fn under(self, context: &str) -> Self {
        match self {
            Failure::Failed(text) => Failure::Failed(format!("{context}: {text}").into()),
            Failure::NotRun(text) => Failure::NotRun(format!("{context}: {text}").into()),
        }
    }

    /// Writes the failure into an observation.
    pub(crate) fn mark(self, seen: &mut Observation, words: &Words) {
        let (outcome, text) = match self {
            Failure::Failed(text) => (Outcome::Failed, text),
            Failure::NotRun(text) => (Outcome::NotRun, text),
        };
        seen.outcome = outcome;
        seen.error = Some(words.get(&text));
    }
}

/// Texts that come again and again, each allocated once.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<HashSet<Arc<str>>>);

impl Words {
    /// Returns the shared form of a text.
    pub(crate) fn get(&self, text: &str) -> Arc<str> {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(word) = known.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        if known.len() < KEPT {
            known.insert(word.clone());
        }
        word
    }
}

/// Returns a reason why a probe cannot be prepared.
pub(crate) fn cannot(message: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble::unable(message).with_help(help)
}

/// Says that a probe cannot be sent from a place that is not on this machine.
pub(crate) fn out_of_reach(error: OutOfReach) -> Trouble {
    cannot(error.to_string(), error.help())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_read_alike_every_time() {
        let text = |errno: Errno| Failure::from_io(&io::Error::from_raw_os_error(errno as i32));
        assert_eq!(text(Errno::ECONNREFUSED), Failure::failed("connection refused"));
        assert_eq!(text(Errno::EHOSTUNREACH), Failure::failed("host unreachable"));
        assert_eq!(text(Errno::EMFILE), Failure::NotRun("too many open files".into()));
        assert_eq!(text(Errno::EADDRNOTAVAIL), Failure::NotRun(NO_PORT.into()));
        assert_eq!(text(Errno::EPROTO), Failure::failed("protocol error"));
    }

    #[test]
    fn words_are_shared_and_bounded() {
        let words = Words::default();
        assert!(Arc::ptr_eq(&words.get("status 503"), &words.get("status 503")));
        for n in 0..2 * KEPT {
            assert_eq!(&*words.get(&n.to_string()), n.to_string());
        }
        assert_eq!(words.0.lock().unwrap().len(), KEPT);
    }
}
