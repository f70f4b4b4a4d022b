//! What went wrong: one shape for every door through which something can.

use std::io;

use serde::{Deserialize, Serialize};

/// Something that could not be done, and why.
///
/// Every trait that reaches the world answers with it, so that a caller hands it on without translating. What a caller
/// decides by is the [`Kind`]; the words are for people, and nothing may read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, schemars::JsonSchema)]
#[error("{message}")]
pub struct Trouble {
    /// What went wrong, where, and why.
    pub message: String,
    /// The likely fix.
    pub help: Option<String>,
    /// What stood in the way.
    pub kind: Kind,
}

/// What stood in the way.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A right is missing: the same would work for another user.
    Permission,
    /// What was named does not exist here.
    Absent,
    /// It was tried, or looked at, and cannot be done as things are.
    Unable,
    /// The program itself failed: a task panicked, a record cannot be read back.
    Internal,
}

impl Trouble {
    /// Makes one of something that cannot be done as things are.
    pub fn unable(message: impl Into<String>) -> Self {
        Trouble { message: message.into(), help: None, kind: Kind::Unable }
    }

    /// Makes one of something that does not exist here.
    pub fn absent(message: impl Into<String>) -> Self {
        Trouble { kind: Kind::Absent, ..Trouble::unable(message) }
    }

    /// Makes one of something that this user may not do.
    pub fn denied(message: impl Into<String>) -> Self {
        Trouble { kind: Kind::Permission, ..Trouble::unable(message) }
    }

    /// Makes one of something that failed inside the program.
    pub fn internal(message: impl Into<String>) -> Self {
        Trouble { kind: Kind::Internal, ..Trouble::unable(message) }
    }

    /// Adds the likely fix.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Trouble { help: Some(help.into()), ..self }
    }

    /// Says what stood in the way.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Self {
        Trouble { kind, ..self }
    }

    /// Puts other words for what went wrong; the fix and the kind stay.
    #[must_use]
    pub fn said(self, say: impl FnOnce(&str) -> String) -> Self {
        Trouble { message: say(&self.message), ..self }
    }

    /// Returns whether a right is missing, rather than something being wrong.
    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Permission
    }
}

impl From<io::ErrorKind> for Kind {
    /// Reads what the operating system answered.
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::PermissionDenied => Kind::Permission,
            io::ErrorKind::NotFound => Kind::Absent,
            _ => Kind::Unable,
        }
    }
}

impl From<&io::Error> for Kind {
    fn from(error: &io::Error) -> Self {
        error.kind().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_what_it_displays() {
        let trouble = Trouble::denied("no `ls`").with_help("be root");
        assert_eq!(trouble.to_string(), "no `ls`");
        assert_eq!(trouble.help.as_deref(), Some("be root"));
        assert!(trouble.is_denied());
    }

    #[test]
    fn what_the_system_answers_gives_the_kind() {
        for (errno, kind) in
            [(1, Kind::Permission), (13, Kind::Permission), (2, Kind::Absent), (22, Kind::Unable)]
        {
            assert_eq!(Kind::from(&io::Error::from_raw_os_error(errno)), kind, "{errno}");
        }
    }
}
