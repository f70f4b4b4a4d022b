//! The runner's side of a lab: brings it up, knows its hosts, hears of deaths, and sees it gone.

mod holder;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaos_core::model::{self, Program};
use chaos_netns::Namespace;
use tokio::sync::broadcast;

use self::holder::Holder;
use crate::address::{HOST_INTERFACE, HostLayout, Layout, LayoutError, describe};
use crate::protocol::Death;
use crate::protocol::{Answer, Ask, Back, Boot, BringUpError, Frame, Look, Up};
use crate::resolver::Names;
use crate::shell::{HostRecord, LabRecord};

/// How many events a slow listener may be behind before it misses the oldest.
const EVENT_BACKLOG: usize = 1024;

/// The pause between two looks at a program that is not ready yet.
const READY_POLL: Duration = Duration::from_millis(10);

/// Which executable plays the parts of a lab that are processes of their own.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The executable, which must be readable by the user.
    pub exe: PathBuf,
    /// The arguments with which it calls [`init::main`](crate::init::main).
    pub init: Vec<String>,
    /// The arguments with which it calls [`serve::main`](crate::serve::main) on those that follow.
    pub serve: Vec<String>,
    /// How long a program may take until it is ready.
    pub ready_within: Duration,
}

impl Programs {
    /// Uses `exe lab-init` and `exe serve …`, and gives programs 10 s.
    pub fn of(exe: impl Into<PathBuf>) -> Self {
        Programs {
            exe: exe.into(),
            init: vec!["lab-init".to_owned()],
            serve: vec!["serve".to_owned()],
            ready_within: Duration::from_secs(10),
        }
    }
}

/// Why a lab is not there.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The declaration cannot become a lab.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The process that would hold the lab could not be started.
    #[error("cannot start `{}` to hold the lab: {source}{}", .exe.display(), remedy(.source))]
    Spawn {
        /// The executable.
        exe: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The lab was made in part and is gone again.
    #[error(transparent)]
    BringUp(#[from] BringUpError),
    /// The process that holds the lab ended.
    #[error("the process that holds the lab ended{0}; all its hosts are gone")]
    Ended(String),
    /// What the holding process made could not be opened.
    #[error("cannot open {what} of the lab: {source}")]
    Open {
        /// What was to be opened.
        what: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => "; a lab takes root or a user namespace of its own",
        _ => "",
    }
}

/// What is left of a lab that should be gone.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// The process could not be waited for.
    #[error("cannot wait for the process that held the lab: {0}")]
    Wait(std::io::Error),
    /// Somebody still holds namespaces of the lab open.
    #[error("namespaces of the lab are still held by {}; they vanish when it lets go", .0.join(", "))]
    Held(Vec<String>),
}

/// What happens in a lab unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabEvent {
    /// A program ended.
    ProgramDied(Death),
    /// A program was started again, on request.
    ProgramStarted(ProgramHandle),
    /// The lab ended without being asked to, with all its hosts.
    Ended,
}

/// A program on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramHandle {
    /// The host it runs on.
    pub host: String,
    /// Its place among the programs of the host, counted from 0.
    pub index: usize,
    /// What it is, as declared.
    pub what: String,
    /// Its process, as the runner's `/proc` numbers it.
    pub pid: u32,
}

/// A host of a lab that is up.
#[derive(Clone, Debug)]
pub struct HostHandle {
    /// Its own name, as in `api-2`.
    pub name: String,
    /// The name as declared, shared by all copies, as in `api`.
    pub group: String,
    /// Its addresses, IPv4 first.
    pub addresses: [IpAddr; 2],
    /// Its network namespace.
    pub namespace: Namespace,
    /// A path that opens the namespace for as long as the lab is up, also from other processes of the same user.
    pub namespace_path: PathBuf,
    /// A path that opens its mount namespace, which has its own names of hosts.
    pub mounts_path: PathBuf,
    /// Its interface towards the switch, in its own namespace.
    pub interface: &'static str,
    /// The other end of that, in the switch's namespace.
    pub switch_interface: String,
}

/// A lab that is up; it goes down when this value is dropped, at the latest.
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<HostHandle>,
    names: Names,
    dns: Vec<IpAddr>,
    switch: Namespace,
    links: Vec<model::Link>,
    record: LabRecord,
    programs: Mutex<Vec<ProgramHandle>>,
    events: broadcast::Sender<LabEvent>,
    holder: Holder,
}

impl Lab {
    /// Brings up the declared lab: returns when every program is ready.
    ///
    /// The delays of its links are kept, not injected: see [`links`](Self::links).
    ///
    /// # Errors
    ///
    /// Fails when the declaration cannot be, rights are missing, or a program does not start, dies or is not ready in
    /// time; then nothing is left of the lab.
    pub async fn up(declaration: &model::Lab, programs: &Programs) -> Result<Self, LabError> {
        let layout = Layout::new(declaration)?;
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let mut holder = Holder::start(programs, events.clone())?;
        let boot = Boot {
            layout: layout.clone(),
            outer_pid: holder.pid(),
            serve: (own_exe(&programs.exe), programs.serve.clone()),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            ready_within: programs.ready_within,
        };
        holder.send(&boot).await?;
        match holder.first().await? {
            Frame::Up(up) => Self::opened(layout, up, holder, events, declaration.links.clone()),
            Frame::Failed(reason) => {
                // The caller gets its answer only when nothing is left.
                let _ = holder.end().await;
                Err(reason.into())
            }
            Frame::Died(_) | Frame::Answer { .. } => unreachable!("the first frame is about the lab"),
        }
    }

    fn opened(
        layout: Layout,
        up: Up,
        holder: Holder,
        events: broadcast::Sender<LabEvent>,
        links: Vec<model::Link>,
    ) -> Result<Self, LabError> {
        let path = |descriptor: i32| PathBuf::from(format!("/proc/{}/fd/{descriptor}", holder.pid()));
        let open = |what: &str, descriptor: i32| {
            Namespace::open(path(descriptor))
                .map_err(|source| LabError::Open { what: what.to_owned(), source: source.into() })
        };
        let pids = holder
            .outer_pids()
            .map_err(|source| LabError::Open { what: "the processes".to_owned(), source })?;
        let mut hosts = Vec::with_capacity(layout.hosts.len());
        let mut programs = Vec::new();
        let mut records = Vec::new();
        for (host, place) in layout.hosts.iter().zip(&up.hosts) {
            hosts.push(HostHandle {
                name: host.name.clone(),
                group: host.group.clone(),
                addresses: host.addresses(),
                namespace: open(&format!("the network of host `{}`", host.name), place.network)?,
                namespace_path: path(place.network),
                mounts_path: path(place.mounts),
                interface: HOST_INTERFACE,
                switch_interface: host.switch_port.clone(),
            });
            let started = host.programs.iter().zip(&place.pids).enumerate();
            // One that has died since then is no longer among the processes; its death is an event.
            programs.extend(started.filter_map(|(index, (program, inner))| {
                pids.get(inner).map(|pid| handle(host, index, program, *pid))
            }));
            records.push(HostRecord::new(host, place));
        }
        Ok(Lab {
            switch: open("the switch", up.switch)?,
            record: LabRecord { holder: holder.pid(), hosts: records },
            names: layout.names,
            dns: layout.dns,
            programs: Mutex::new(programs),
            hosts,
            links,
            events,
            holder,
        })
    }

    /// Returns all hosts in declared order.
    pub fn hosts(&self) -> &[HostHandle] {
        &self.hosts
    }

    /// Finds one host by its own name, with or without the domain.
    pub fn host(&self, name: &str) -> Option<&HostHandle> {
        let name = name.strip_suffix(".lab").unwrap_or(name);
        self.hosts.iter().find(|h| h.name == name)
    }

    /// Returns what `name` stands for in the lab, IPv4 first; empty for a stranger.
    pub fn resolve(&self, name: &str) -> &[IpAddr] {
        self.names.resolve(name)
    }

    /// Returns what all names of the lab stand for.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the addresses of the hosts that run the built-in DNS server, on port 53.
    pub fn dns(&self) -> &[IpAddr] {
        &self.dns
    }

    /// Returns the network namespace of the switch, which holds the other end of every host's interface.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Returns the declared links, whose delays the runner injects as faults in the background.
    pub fn links(&self) -> &[model::Link] {
        &self.links
    }

    /// Returns the programs that run, with their processes.
    pub fn programs(&self) -> Vec<ProgramHandle> {
        let dead = self.holder.dead();
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.iter().filter(|p| !dead.contains(&(p.host.clone(), p.index))).cloned().collect()
    }

    /// Returns the process that holds the lab, as the runner's `/proc` numbers it.
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// Returns what another process needs to find its way into a host; see [`shell`](crate::shell).
    pub fn record(&self) -> &LabRecord {
        &self.record
    }

    /// Subscribes to what happens from now on.
    pub fn events(&self) -> broadcast::Receiver<LabEvent> {
        self.events.subscribe()
    }

    /// Sends a signal to a program of a host and to its children.
    ///
    /// # Errors
    ///
    /// Fails when the program has ended or is unknown, or the lab has ended.
    pub async fn signal(&self, host: &str, program: usize, signal: i32) -> Result<(), LabError> {
        self.holder.ask(Ask::Signal { host: host.to_owned(), program, signal }).await.map(drop)
    }

    /// Kills a program where it still runs, starts it again and waits until it is ready.
    ///
    /// # Errors
    ///
    /// Fails when it does not start or is not ready in time, or the lab has ended.
    pub async fn restart(&self, host: &str, program: usize) -> Result<ProgramHandle, LabError> {
        let answer = self.holder.ask(Ask::Restart { host: host.to_owned(), program }).await?;
        let Answer::Started { pid: inner } = answer else {
            unreachable!("a restart is answered with a process")
        };
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = programs.iter().find(|p| p.host == host && p.index == program);
        let what = known.map(|p| p.what.clone()).unwrap_or_default();
        drop(programs);
        self.started(host, program, inner, what)
    }

    /// Takes note of a program that was started anew; `inner` is its process as the lab numbers it.
    fn started(
        &self,
        host: &str,
        program: usize,
        inner: i32,
        what: String,
    ) -> Result<ProgramHandle, LabError> {
        let new = || format!("the new program of host `{host}`");
        let pids = self.holder.outer_pids().map_err(|source| LabError::Open { what: new(), source })?;
        let gone = || LabError::Open { what: new(), source: std::io::ErrorKind::NotFound.into() };
        let pid = *pids.get(&inner).ok_or_else(gone)?;
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = programs.iter_mut().find(|p| p.host == host && p.index == program).ok_or_else(gone)?;
        (known.pid, known.what) = (pid, what);
        self.holder.alive_again(host, program);
        let _ = self.events.send(LabEvent::ProgramStarted(known.clone()));
        Ok(known.clone())
    }

    /// Ends what runs in a program's place and starts another program there; waits until it is ready.
    ///
    /// What ran there before comes back on its own after `at_most`, should nobody [put it back](Self::put_back).
    ///
    /// # Errors
    ///
    /// Fails when it does not start or is not ready in time, or the lab has ended. What ran before is not back then.
    pub async fn replace(
        &self,
        host: &str,
        program: usize,
        by: &Program,
        at_most: Duration,
    ) -> Result<ProgramHandle, LabError> {
        let before = Box::new(self.look(host, program).await?.program);
        self.exchange(host, program, by, Some(Back { program: before, after: at_most })).await
    }

    /// Starts a program again that another one was put in the place of, and waits until it is ready; does nothing where it
    /// runs.
    ///
    /// # Errors
    ///
    /// Fails when it does not start or is not ready in time, or the lab has ended.
    pub async fn put_back(
        &self,
        host: &str,
        program: usize,
        by: &Program,
    ) -> Result<ProgramHandle, LabError> {
        self.exchange(host, program, by, None).await
    }

    async fn exchange(
        &self,
        host: &str,
        program: usize,
        by: &Program,
        back: Option<Back>,
    ) -> Result<ProgramHandle, LabError> {
        let ask = Ask::Replace { host: host.to_owned(), program, by: Box::new(by.clone()), back };
        let Answer::Started { pid } = self.holder.ask(ask).await? else {
            unreachable!("an exchange is answered with a process")
        };
        self.ready(host, program).await?;
        let handle = self.started(host, program, pid, describe(by))?;
        Ok(handle)
    }

    /// Looks on until a program is ready.
    async fn ready(&self, host: &str, program: usize) -> Result<(), LabError> {
        loop {
            let look = self.look(host, program).await?;
            let (host, program) = (host.to_owned(), describe(&look.program));
            if let Some(status) = look.ended {
                let output = look.output;
                return Err(BringUpError::NeverReady { host, program, status, output }.into());
            }
            let Some(missing) = look.missing else { return Ok(()) };
            if look.since >= look.patience {
                let (within, output) = (look.patience, look.output);
                return Err(BringUpError::NotReady { host, program, missing, within, output }.into());
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Says how a program is doing.
    pub(crate) async fn look(&self, host: &str, program: usize) -> Result<Look, LabError> {
        match self.holder.ask(Ask::Look { host: host.to_owned(), program }).await? {
            Answer::Look(look) => Ok(*look),
            _ => unreachable!("a look is answered with what was seen"),
        }
    }

    /// Returns the newest output of a program, up to 64 KiB, standard output and error as they came.
    ///
    /// # Errors
    ///
    /// Fails when the program is unknown or the lab has ended.
    pub async fn output(&self, host: &str, program: usize) -> Result<String, LabError> {
        match self.holder.ask(Ask::Output { host: host.to_owned(), program }).await? {
            Answer::Output(text) => Ok(text),
            _ => unreachable!("a question for output is answered with it"),
        }
    }

    /// Takes the lab down and proves that it is gone: no process of it lives, nobody holds its namespaces.
    ///
    /// # Errors
    ///
    /// Fails when the caller kept a copy of a host's namespace, or a process that does not belong to the lab entered one.
    pub async fn down(mut self) -> Result<(), DownError> {
        let mut inodes = Vec::with_capacity(self.hosts.len() + 1);
        for namespace in self.hosts.iter().map(|h| &h.namespace).chain([&self.switch]) {
            inodes.push(namespace.inode());
        }
        self.holder.end().await.map_err(DownError::Wait)?;
        drop(self);
        let held = holder::held(&inodes);
        if held.is_empty() { Ok(()) } else { Err(DownError::Held(held)) }
    }
}

fn handle(host: &HostLayout, index: usize, program: &Program, pid: u32) -> ProgramHandle {
    ProgramHandle { host: host.name.clone(), index, what: describe(program), pid }
}

/// Makes the path absolute, since the lab starts programs from another folder.
fn own_exe(exe: &Path) -> PathBuf {
    std::path::absolute(exe).unwrap_or_else(|_| exe.to_owned())
}

/// What the reading task and the lab share.
type Dead = Arc<Mutex<Vec<(String, usize)>>>;
