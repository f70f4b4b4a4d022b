//! Names of qdiscs and classes: two 16-bit numbers, printed in hexadecimal as `tc` does.

use std::fmt;

use rtnetlink::packet_route::tc::TcHandle;
use serde::{Deserialize, Serialize};

/// The major number of every root qdisc this crate makes; children count up from it.
///
/// It spells "c4a0(s)", is far from what `tc` picks on its own (8001 and up) and from what people write (1, 10, 100).
pub const OWN_MAJOR: u16 = 0xc4a0;

/// How many major numbers from [`OWN_MAJOR`] on are ours: the root and its children.
pub const OWN_MAJORS: u16 = 0x20;

/// The name of a qdisc (`c4a0:`) or of a class in it (`c4a0:4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Handle {
    /// The qdisc's number.
    pub major: u16,
    /// The class's number inside the qdisc; 0 is the qdisc itself.
    pub minor: u16,
}

impl Handle {
    /// As a parent: the root of the interface. As a qdisc's own name: none given, the kernel chooses.
    pub const ROOT: Self = Self { major: 0xffff, minor: 0xffff };
    /// No name: a default qdisc that the kernel attached on its own.
    pub const NONE: Self = Self { major: 0, minor: 0 };
    /// The parent of the `clsact` qdisc.
    pub const CLSACT: Self = Self { major: 0xffff, minor: 0xfff1 };
    /// Where filters hang that see arriving packets.
    pub const CLSACT_INGRESS: Self = Self { major: 0xffff, minor: 0xfff2 };
    /// Where filters hang that see departing packets.
    pub const CLSACT_EGRESS: Self = Self { major: 0xffff, minor: 0xfff3 };
    /// The own root qdisc.
    pub const OWN_ROOT: Self = Self { major: OWN_MAJOR, minor: 0 };

    /// Makes the name of a qdisc.
    pub const fn qdisc(major: u16) -> Self {
        Self { major, minor: 0 }
    }

    /// Makes the name of class `minor` of this qdisc.
    pub const fn class(self, minor: u16) -> Self {
        Self { major: self.major, minor }
    }

    /// Tells whether the name is one that this crate gives.
    pub const fn is_own(self) -> bool {
        self.major >= OWN_MAJOR && self.major - OWN_MAJOR < OWN_MAJORS
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.minor) {
            (Self::ROOT, _) => f.write_str("root"),
            (_, 0) => write!(f, "{:x}:", self.major),
            _ => write!(f, "{:x}:{:x}", self.major, self.minor),
        }
    }
}

impl From<Handle> for TcHandle {
    fn from(handle: Handle) -> Self {
        Self { major: handle.major, minor: handle.minor }
    }
}

impl From<TcHandle> for Handle {
    fn from(handle: TcHandle) -> Self {
        Self { major: handle.major, minor: handle.minor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_print_as_tc_prints_them() {
        assert_eq!(Handle::OWN_ROOT.to_string(), "c4a0:");
        assert_eq!(Handle::OWN_ROOT.class(0x1f).to_string(), "c4a0:1f");
        assert_eq!(Handle::ROOT.to_string(), "root");
        assert!(Handle::qdisc(OWN_MAJOR + 3).is_own());
        assert!(!Handle::qdisc(OWN_MAJOR + OWN_MAJORS).is_own());
        assert!(!Handle::qdisc(1).is_own());
    }
}
