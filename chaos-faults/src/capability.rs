//! What this kernel and this user can do, found out by trying in a throw-away network namespace.
//!
//! Nothing of the machine's own network is touched: the namespace is made by [`probe`], has no name and no process,
//! and is gone when the probe returns. (The kernel may load modules while being asked, as for any request.)

use chaos_netns::Namespace;
use serde::{Deserialize, Serialize};

use crate::netlink::{Connection, NetlinkError};

mod traffic_control;
mod user_space;

/// Something faults are built on, and whether it is to be had here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Its name: `netem`, `clsact`, `tun`.
    pub name: String,
    /// Whether it works.
    pub available: bool,
    /// Why not.
    pub reason: Option<String>,
    /// What would change that.
    pub remedy: Option<String>,
}

impl Capability {
    /// States that something works.
    pub fn available(name: &str) -> Self {
        Self { name: name.into(), available: true, reason: None, remedy: None }
    }

    /// States that something does not work, why, and what would help.
    pub fn missing(name: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), available: false, reason: Some(reason.into()), remedy: Some(remedy.into()) }
    }
}

/// The names of what [`probe`] tries, in the order it reports them.
pub const NAMES: [&str; 11] = [
    "network-namespace",
    "veth",
    "netem",
    "tbf",
    "htb",
    "prio",
    "clsact",
    "u32",
    "mirred",
    "packet-socket",
    "tun",
];

/// What would let a user without the right make namespaces.
const NAMESPACE_REMEDY: &str = "run as root, or grant CAP_SYS_ADMIN and CAP_NET_ADMIN";

/// Tries everything in [`NAMES`] and says what works, in that order.
///
/// Where no namespace can be made nothing else can be tried safely, and every other entry says so.
pub async fn probe() -> Vec<Capability> {
    let opened = match Namespace::create() {
        Ok(namespace) => Connection::open(&namespace).await,
        Err(error) => Err(error.into()),
    };
    let mut found = Vec::new();
    match opened {
        Ok(connection) => {
            found.push(Capability::available("network-namespace"));
            found.extend(traffic_control::probe(&connection).await);
            found.extend(user_space::probe(connection.namespace()));
        }
        Err(error) => {
            found.push(Capability::missing("network-namespace", error.to_string(), NAMESPACE_REMEDY));
            let reason = "not tried: no throw-away network namespace could be made";
            found.extend(NAMES[1..].iter().map(|name| Capability::missing(name, reason, NAMESPACE_REMEDY)));
        }
    }
    found
}

/// Turns the kernel's refusal into a reason and a remedy; `module` is the kernel module that would bring the ability.
fn refused(name: &str, module: &str, error: &NetlinkError) -> Capability {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENOSYS | libc::EPROTONOSUPPORT) => Capability::missing(
            name,
            format!("this kernel has no `{name}`: the module {module} is neither built in nor loadable"),
            format!(
                "`modprobe {module}`; it is in the package `kernel-modules-extra` on RHEL and Fedora, \
                 `linux-modules-extra-$(uname -r)` on Ubuntu, in the stock kernel (not the cloud kernel) on Debian"
            ),
        ),
        Some(libc::EPERM | libc::EACCES) => Capability::missing(
            name,
            format!("not permitted: {error}"),
            "run as root, or grant CAP_NET_ADMIN".to_owned(),
        ),
        _ => Capability::missing(
            name,
            error.to_string(),
            format!("see whether `modprobe {module}` reports a cause"),
        ),
    }
}
