//! The lab's first process: everything hangs on it, so its end is the end of the lab.
//!
//! It is process 1 of its own pid namespace and holds the only descriptors of the lab's other namespaces. It has one
//! thread, because namespaces belong to threads: between two waits it may step into a host and must be back before the
//! next. When its input ends it exits; the kernel then kills every process of the pid namespace and, with the last
//! descriptor, takes down the namespaces with all links and mounts in them. Nothing is left to clean.

mod answer;
mod host;
mod mounts;
mod pipe;
mod reap;
mod reason;
mod replace;
mod rights;
mod start;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::rc::Rc;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{
    host::Place,
    pipe::{Input, send},
    reason::{host_error, place},
    rights::Rights,
};
use crate::link::Switch;
use crate::process::Slot;
use crate::protocol::{Boot, BringUpError, Frame, Up, UpHost};

/// Holds a lab until standard input ends; speaks with [`Lab`](crate::Lab) over standard input and output.
///
/// For a program with a single thread that [`Lab::up`](crate::Lab::up) started; never returns.
pub fn main() -> ! {
    // The terminal's Ctrl-C is for the runner, which decides.
    let _ = nix::unistd::setsid();
    let code = match hold() {
        Ok(()) => 0,
        Err(error) => {
            send(&Frame::Failed(error));
            1
        }
    };
    // Not by returning: tasks that still hold pipes need not be asked.
    std::process::exit(code)
}

fn hold() -> Result<(), BringUpError> {
    if std::process::id() != 1 {
        return Err(place(
            "hold a lab",
            "this command is started by the runner, as the first process of a pid namespace",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| place("start the runtime", e))?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut input = Input::open().map_err(|e| place("read standard input", e))?;
        let first = input.line().await.ok_or_else(|| place("read the lab's layout", "the input ended"))?;
        let boot: Boot = serde_json::from_str(&first).map_err(|e| place("read the lab's layout", e))?;
        let requests = input.watch();
        let lab = LabInit::make(boot).await?;
        lab.start_all().await?;
        send(&Frame::Up(lab.up()));
        lab.answer(requests).await
    })
}

struct LabInit {
    boot: Boot,
    /// This process's folder in a `/proc` that shows it.
    proc: PathBuf,
    home: Place,
    hosts: BTreeMap<String, Place>,
    /// What is left to the programs that a file names.
    rights: Rights,
    slots: RefCell<Vec<Rc<RefCell<Slot>>>>,
    /// Held while a program is exchanged: one that comes back on its own must not meet one that is put back.
    exchange: tokio::sync::Mutex<()>,
}

impl LabInit {
    /// Makes the switch and all hosts, with nothing running on them.
    async fn make(boot: Boot) -> Result<Rc<Self>, BringUpError> {
        raise_descriptor_limit();
        let fresh = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET;
        unshare(fresh).map_err(|e| place("make the lab's namespaces", e))?;
        let proc = mounts::private(boot.outer_pid)?;
        let home = Place::current(&proc).map_err(|e| place("open the lab's namespaces", e))?;
        mounts::quiet_switch();

        let switch = Switch::make().await.map_err(|e| place("make the lab's switch", e))?;
        let mut hosts = BTreeMap::new();
        let mut ways = Vec::new();
        for host in &boot.layout.hosts {
            let made = host::make(host, &boot.layout, &proc, &home).await;
            home.enter().map_err(|e| place("return to the lab's own namespaces", e))?;
            let (made, interface) = made?;
            let port = switch
                .plug(&host.switch_port)
                .await
                .map_err(|e| host_error(host, "plug it into the switch", e))?;
            ways.push((host, interface, port));
            hosts.insert(host.name.clone(), made);
        }
        for (host, interface, port) in ways {
            for end in [interface, port] {
                end.carries().await.map_err(|e| host_error(host, "bring its interface up", e))?;
            }
        }
        let lab = Rc::new(LabInit {
            boot,
            proc,
            home,
            hosts,
            rights: Rights::least(),
            slots: RefCell::default(),
            exchange: tokio::sync::Mutex::default(),
        });
        lab.reap().map_err(|e| place("listen for the end of programs", e))?;
        Ok(lab)
    }

    /// Runs `work` inside a host; no other task runs meanwhile.
    fn inside<T>(&self, host: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let place = self.hosts.get(host).ok_or_else(|| io::Error::other("no such host"))?;
        let result = place.enter().and_then(|()| work());
        self.home.enter()?;
        result
    }

    fn up(&self) -> Up {
        let hosts = self.boot.layout.hosts.iter().map(|host| {
            let place = &self.hosts[&host.name];
            UpHost {
                network: place.network.as_raw_fd(),
                mounts: place.mounts.as_raw_fd(),
                uts: place.uts.as_raw_fd(),
                pids: self
                    .slots
                    .borrow()
                    .iter()
                    .map(|s| s.borrow())
                    .filter(|s| s.host == host.name)
                    .map(|s| s.running.pid.as_raw())
                    .collect(),
            }
        });
        Up { switch: self.home.network.as_raw_fd(), hosts: hosts.collect() }
    }
}

/// Lets as many descriptors be open as the system allows: a host takes four to five.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Should it fail, the limit as it is may well suffice, and running out of it has a message of its own.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
