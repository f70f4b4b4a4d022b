//! A lab of network namespaces that needs no cluster and is gone with the run, whatever happens.
//!
//! A declaration ([`chaos_core::model::Lab`]) becomes hosts on one switch: each with its own network, addresses, name
//! files and real processes, or the built-in servers of [`serve`]. What happens in which order:
//!
//! 1. [`address`] decides names, addresses and interfaces, and refuses what cannot be, before anything exists.
//! 2. [`Lab::up`] starts one process, the first of a new pid namespace, and hands it the layout.
//! 3. [`init`] is that process: it makes the switch and the hosts (`link`), starts the programs, waits
//!    until each is ready, and then holds everything until its input ends.
//! 4. [`Lab`] gives the runner the hosts' namespaces, what names stand for ([`resolver`]), and news of programs that die.
//! 5. When the runner ends, orderly or not, the input ends, and the kernel takes everything down: nothing is on disk.
//!
//! [`LabEnvironment`] makes all of that the world of a run, and [`LabPrograms`] is the injector that runs other programs in it.
//!
//! It works as root, and for an ordinary user after [`enter_user_namespace`].
//!
//! ```no_run
//! use chaos_core::model::{Host, Lab as Declaration, Program};
//! use chaos_lab::{Lab, Programs};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let http = Program::Http { port: 8080, work: std::time::Duration::from_millis(5), capacity: Some(50), status: 200 };
//! let api = Host { name: "api".into(), copies: Some(3), programs: vec![http.into()] };
//! let declaration = Declaration { hosts: vec![api], ..Declaration::default() };
//!
//! let lab = Lab::up(&declaration, &Programs::of("/usr/bin/chaos")).await?;
//! assert_eq!(lab.resolve("api").len(), 6);
//! let listening = lab.host("api-2").expect("three copies").namespace.run(|| std::net::TcpStream::connect("[::1]:8080"))?;
//! # drop(listening);
//! lab.down().await?;
//! # Ok(())
//! # }
//! ```

pub mod address;
pub mod environment;
pub mod init;
pub mod inventory;
mod lab;
mod link;
mod listener;
mod process;
mod program;
mod protocol;
pub mod resolver;
pub mod serve;
pub mod shell;
mod traffic;
pub mod user_namespace;

pub use environment::LabEnvironment;
pub use inventory::LabInventory;
pub use lab::{DownError, HostHandle, Lab, LabError, LabEvent, ProgramHandle, Programs};
pub use program::LabPrograms;
pub use protocol::{BringUpError, Death};
pub use user_namespace::{UserNamespaceError, enter_user_namespace};
