//! The lab's first process: everything hangs on it, so its end is the end of the lab.
//!
//! It is process 1 of its own pid namespace and holds the only descriptors of the lab's other namespaces. It has one
//! thread, because namespaces belong to threads: between two waits it may step into a host and must be back before the
//! next. When its input ends it exits; the kernel then kills every process of the pid namespace and, with the last
//! descriptor, takes down the namespaces with all links and mounts in them. Nothing is left to clean.

mod mounts;
mod reason;
mod replace;
mod rights;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use chaos_core::model::Program;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::{reason::Reason, rights::Rights};
use crate::address::{HostLayout, Layout, describe};
use crate::link::{Interface, Switch, wire};
use crate::listener::{self, Listener};
use crate::process::{Running, Slot, ending, hear_out};
use crate::protocol::{Answer, Ask, Boot, BringUpError, Death, Frame, Request, Up, UpHost};
use crate::serve;
use crate::traffic::Traffic;

/// Holds a lab until standard input ends; speaks with [`Lab`](crate::Lab) over standard input and output.
///
/// For a program with a single thread that [`Lab::up`](crate::Lab::up) started; never returns.
pub fn main() -> ! {
    // The terminal's Ctrl-C is for the runner, which decides.
    let _ = nix::unistd::setsid();
    let code = match hold() {
        Ok(()) => 0,
        Err(error) => {
            tell(&Frame::Failed(error));
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
        tell(&Frame::Up(lab.up()));
        lab.answer(requests).await
    })
}

/// Standard input, line by line.
struct Input(BufReader<pipe::Receiver>);

impl Input {
    fn open() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Input(BufReader::new(pipe::Receiver::from_owned_fd(input)?)))
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        matches!(self.0.read_line(&mut line).await, Ok(1..)).then_some(line)
    }

    /// Keeps reading on its own, so that the end of input ends the lab whatever else is being waited for.
    fn watch(mut self) -> mpsc::UnboundedReceiver<Request> {
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Some(line) = self.line().await {
                if let Ok(request) = serde_json::from_str(&line) {
                    let _ = sender.send(request);
                }
            }
            std::process::exit(0);
        });
        requests
    }
}

/// Writes one frame; a runner that no longer listens means the end.
fn tell(frame: &Frame) {
    let mut line = serde_json::to_vec(frame).expect("frames hold nothing that JSON cannot");
    line.push(b'\n');
    let mut output = io::stdout().lock();
    if output.write_all(&line).and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}

/// The namespaces of one place: a host, or the switch.
struct Place {
    network: OwnedFd,
    mounts: OwnedFd,
    uts: OwnedFd,
}

impl Place {
    /// Opens where the process is now.
    fn current(proc: &Path) -> io::Result<Self> {
        let open = |kind: &str| fs::File::open(proc.join("ns").join(kind)).map(OwnedFd::from);
        Ok(Place { network: open("net")?, mounts: open("mnt")?, uts: open("uts")? })
    }

    fn enter(&self) -> io::Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS)?;
        setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        Ok(())
    }
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
            let made = make_host(host, &boot.layout, &proc, &home).await;
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

    fn start(&self, host: &HostLayout, index: usize) -> Result<Running, BringUpError> {
        self.start_program(host, index, &host.programs[index])
    }

    /// Starts a program in the place of one that was declared.
    fn start_program(
        &self,
        host: &HostLayout,
        index: usize,
        program: &Program,
    ) -> Result<Running, BringUpError> {
        let start = || Running::start(self.command(host, index, program)?, &self.boot.directory);
        self.inside(&host.name, start).map_err(|e| BringUpError::Start {
            host: host.name.clone(),
            program: describe(program),
            reason: self.why_not_started(program, &e),
        })
    }

    /// Says why a program did not start; one that may not be executed may be so by root alone.
    fn why_not_started(&self, program: &Program, error: &io::Error) -> String {
        let denied = error.kind() == io::ErrorKind::PermissionDenied && self.rights.changes_user();
        match program {
            Program::Command { as_root: false, .. } if denied => format!(
                "{error}: it is started as the user `nobody`, who must be able to reach it; `{{ as root }}` behind `ready …` \
                 keeps your rights"
            ),
            _ => error.to_string(),
        }
    }

    /// Makes the command line of a program; a built-in server finds its configuration in the host's own `/run`.
    fn command(&self, host: &HostLayout, index: usize, program: &Program) -> io::Result<Command> {
        let (kind, config) = match program {
            Program::Command { argv, env, as_root, ready: _ } => {
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]);
                rights::clean_environment(&mut command, env);
                if !as_root {
                    self.rights.limit(&mut command);
                }
                return Ok(command);
            }
            builtin @ (Program::Http { .. } | Program::Gateway { .. } | Program::Dns) => {
                serve::configuration::of(builtin, host, &self.boot.layout)
            }
        };
        let file = Path::new(mounts::HOST_FILES).join(format!("{kind}-{index}.json"));
        fs::write(&file, config)?;
        let (exe, arguments) = &self.boot.serve;
        let mut command = Command::new(exe);
        command.args(arguments).arg(kind).arg(file);
        Ok(command)
    }

    /// Starts every program and waits until all are ready; DNS servers first, since others look up names at once.
    async fn start_all(&self) -> Result<(), BringUpError> {
        self.start_where(|program| matches!(program, Program::Dns)).await?;
        self.start_where(|program| !matches!(program, Program::Dns)).await?;
        let slots = {
            let mut slots = self.slots.borrow_mut();
            // In declared order within each host, as the runner counts them.
            slots.sort_by_key(|slot| slot.borrow().index);
            slots.clone()
        };
        // One that was ready early may have ended while others were waited for.
        for slot in &slots {
            Slot::alive(slot).await?;
        }
        Ok(())
    }

    async fn start_where(&self, chosen: impl Fn(&Program) -> bool) -> Result<(), BringUpError> {
        let mut started = Vec::new();
        for host in &self.boot.layout.hosts {
            for (index, program) in host.programs.iter().enumerate().filter(|(_, p)| chosen(p)) {
                let running = self.start(host, index)?;
                let slot = Slot {
                    host: host.name.clone(),
                    index,
                    program: program.clone(),
                    running,
                    earlier: String::new(),
                    before: Traffic::default(),
                };
                let slot = Rc::new(RefCell::new(slot));
                self.slots.borrow_mut().push(Rc::clone(&slot));
                started.push(slot);
            }
        }
        futures_util::future::try_join_all(started.iter().map(|slot| self.ready(slot))).await.map(drop)
    }

    async fn ready(&self, slot: &RefCell<Slot>) -> Result<(), BringUpError> {
        let (host, own) = (slot.borrow().host.clone(), slot.borrow().running.pid);
        Slot::ready(slot, self.boot.ready_within, |port| self.listener(&host, own, port)).await
    }

    /// Says who listens on a port of a host: another program there would answer for one that is about to die of it.
    fn listener(&self, host: &str, own: Pid, port: u16) -> io::Result<Listener> {
        let tables = self.proc.join("net");
        let sockets = self.inside(host, || listener::sockets(&tables, port))?;
        if sockets.is_empty() {
            return Ok(Listener::Nobody);
        }
        let sessions = listener::sessions(&sockets);
        if sessions.contains(&own.as_raw()) {
            return Ok(Listener::Own);
        }
        let slots = self.slots.borrow();
        let mut others = slots.iter().filter_map(|slot| slot.try_borrow().ok());
        let other = others.find(|slot| slot.host == host && sessions.contains(&slot.running.pid.as_raw()));
        Ok(other.map_or(Listener::Own, |slot| Listener::Other(describe(&slot.program))))
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

    /// Collects every process that ends, orphans too, and tells of the lab's programs among them once the lab is up.
    fn reap(self: &Rc<Self>) -> io::Result<()> {
        let mut ended = signal(SignalKind::child())?;
        let lab = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            while ended.recv().await.is_some() {
                let Some(lab) = lab.upgrade() else { return };
                while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                    match ending(status) {
                        Some((pid, how)) => lab.note_end(pid, how),
                        None => break,
                    }
                }
            }
        });
        Ok(())
    }

    fn note_end(&self, pid: Pid, how: String) {
        let slots = self.slots.borrow();
        let Some(slot) = slots.iter().find(|s| s.borrow().running.pid == pid) else { return };
        let mut slot = slot.borrow_mut();
        slot.running.ended = Some(how.clone());
        let listener = slot.running.take_listener();
        let output = slot.running.output.clone();
        let mut death = Death {
            host: slot.host.clone(),
            program: slot.index,
            what: describe(&slot.program),
            status: how,
            output: String::new(),
            requested: slot.running.requested,
        };
        tokio::task::spawn_local(async move {
            hear_out(listener).await;
            death.output = output.last_lines();
            tell(&Frame::Died(death));
        });
    }

    async fn answer(
        self: &Rc<Self>,
        mut requests: mpsc::UnboundedReceiver<Request>,
    ) -> Result<(), BringUpError> {
        while let Some(Request { id, ask }) = requests.recv().await {
            let outcome = self.act(ask).await;
            tell(&Frame::Answer { id, outcome });
        }
        Ok(())
    }

    async fn act(self: &Rc<Self>, ask: Ask) -> Result<Answer, BringUpError> {
        match ask {
            Ask::Signal { host, program, signal } => {
                let slot = self.slot(host, program)?;
                let mut slot = slot.borrow_mut();
                let sent = match (&slot.running.ended, Signal::try_from(signal)) {
                    (Some(how), _) => Err(format!("it had already ended with {how}")),
                    (None, Err(_)) => Err(format!("{signal} is not a signal")),
                    (None, Ok(signal)) => slot.running.signal(signal).map_err(|e| e.to_string()),
                };
                sent.map(|()| Answer::Done).map_err(|reason| BringUpError::Signal {
                    host: slot.host.clone(),
                    program: describe(&slot.program),
                    reason,
                })
            }
            Ask::Restart { host, program } => self.restart(host, program).await,
            Ask::Replace { host, program, by, back } => self.replace(host, program, *by, back).await,
            Ask::Look { host, program } => self.look(host, program),
            Ask::Output { host, program } => Ok(Answer::Output(self.slot(host, program)?.borrow().text())),
        }
    }

    async fn restart(&self, host: String, program: usize) -> Result<Answer, BringUpError> {
        let slot = self.slot(host, program)?;
        if slot.borrow().running.ended.is_none() {
            let _ = slot.borrow_mut().running.signal(Signal::SIGKILL);
        }
        while slot.borrow().running.ended.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let name = slot.borrow().host.clone();
        let host = self.boot.layout.hosts.iter().find(|h| h.name == name).expect("slots belong to hosts");
        let now = slot.borrow().program.clone();
        let running = self.start_program(host, program, &now)?;
        let pid = running.pid.as_raw();
        slot.borrow_mut().running = running;
        self.ready(&slot).await?;
        Ok(Answer::Started { pid })
    }

    fn slot(&self, host: String, program: usize) -> Result<Rc<RefCell<Slot>>, BringUpError> {
        let slots = self.slots.borrow();
        let found = slots.iter().find(|s| s.borrow().host == host && s.borrow().index == program);
        found.cloned().ok_or(BringUpError::Unknown { host, program })
    }
}

/// Makes a host in fresh namespaces, which the process is left in.
async fn make_host(
    host: &HostLayout,
    layout: &Layout,
    proc: &Path,
    home: &Place,
) -> Result<(Place, Interface), BringUpError> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(|e| host_error(host, "make its namespaces", e))?;
    nix::unistd::sethostname(&host.name).map_err(|e| host_error(host, "set its name", e))?;
    mounts::host_files(host, layout).map_err(|(what, e)| host_error(host, &what, e))?;
    mounts::quiet_host();
    rights::open_ports();
    let interface =
        wire(host, home.network.as_fd()).await.map_err(|e| host_error(host, "make its interface", e))?;
    let place = Place::current(proc).map_err(|e| host_error(host, "open its namespaces", e))?;
    Ok((place, interface))
}

/// Lets as many descriptors be open as the system allows: a host takes four to five.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Should it fail, the limit as it is may well suffice, and running out of it has a message of its own.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn place(what: &str, reason: impl Reason) -> BringUpError {
    BringUpError::Place { what: what.to_owned(), reason: reason.to_string(), kind: reason.kind() }
}

fn host_error(host: &HostLayout, what: &str, reason: impl Reason) -> BringUpError {
    let kind = reason.kind();
    BringUpError::Host { host: host.name.clone(), what: what.to_owned(), reason: reason.to_string(), kind }
}
