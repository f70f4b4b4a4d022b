//! Network namespaces as values, and the one way into them.
//!
//! 1. [`Namespace`] holds a namespace open by descriptor: opened by path, the one a thread is in, or a new one.
//! 2. [`Namespace::run`] does some work inside, on a thread that ends with it: a namespace belongs to a thread, and a thread
//!    of a pool that had changed its namespace would take other work along. Sockets made inside stay inside, whoever uses
//!    them.
//! 3. [`start_inside`] has a program start there.
//!
//! Entering the namespace a thread is in already takes no right, so that all of this also works in a container without
//! CAP_SYS_ADMIN, where there is no other namespace to go to.
//!
//! ```
//! use chaos_netns::Namespace;
//!
//! let here = Namespace::current()?;
//! let inode = here.run(|| Namespace::current().map(|inside| inside.inode()))??;
//! assert_eq!(inode, here.inode());
//! # Ok::<(), chaos_netns::NamespaceError>(())
//! ```

mod error;
mod namespace;
mod program;

pub use error::NamespaceError;
pub use namespace::{Namespace, enter_new};
pub use program::start_inside;
