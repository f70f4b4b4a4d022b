//! What this kernel and this user can do, found out by trying.
//!
//! 1. [`bench`] is where things are tried: in a throw-away network namespace without a name or a process, so that nothing of
//!    the machine's own network is touched; where none may be made, as in a container, on a pair of interfaces of our own
//!    in the namespace this process is in, which is taken away again.
//! 2. [`traffic_control`] tries the kernel's queues and filters, [`user_space`] the ways in which packets reach a process.
//!
//! The kernel may load modules while being asked, as for any request.

pub use chaos_core::capability::{Capability, NETWORK_NAMESPACE};

use crate::netlink::NetlinkError;

pub(crate) mod bench;
mod traffic_control;
mod user_space;

use self::bench::Bench;

/// The names of what [`probe`] tries, in the order it reports them.
pub const NAMES: [&str; 10] =
    [NETWORK_NAMESPACE, "veth", "netem", "tbf", "htb", "prio", "clsact", "u32", "mirred", "packet-socket"];

/// What would let a user without the right make namespaces.
const NAMESPACE_REMEDY: &str = "run as root, or grant CAP_SYS_ADMIN and CAP_NET_ADMIN";

/// Tries everything in [`NAMES`] and says what works, in that order.
pub async fn probe() -> Vec<Capability> {
    let bench = Bench::open().await;
    let found = on(&bench).await;
    bench.close(found).await
}

/// Tries everything in [`NAMES`] on an open bench.
///
/// Where there is neither a namespace nor a pair of our own, nothing else can be tried safely, and every entry has the
/// reason for that.
pub(crate) async fn on(bench: &Bench) -> Vec<Capability> {
    let mut found = vec![bench.namespace.clone(), bench.veth.clone()];
    match bench.links() {
        Some((connection, near, far)) => {
            found.extend(traffic_control::probe(connection, near, far).await);
            found.push(user_space::probe(connection.namespace()));
        }
        None => {
            // One reason for all of them.
            let not_tried = |name: &&str| Capability { name: (*name).into(), ..bench.veth.clone() };
            found.extend(NAMES[2..].iter().map(not_tried));
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
        Some(libc::EPERM | libc::EACCES) => Capability::forbidden(
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
