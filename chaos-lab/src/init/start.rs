//! Starting the programs of hosts, and waiting until they are ready.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use chaos_core::model::Program;
use nix::unistd::Pid;

use super::{LabInit, mounts, rights};
use crate::address::{HostLayout, describe};
use crate::listener::{self, Listener};
use crate::process::{Running, Slot};
use crate::protocol::BringUpError;
use crate::serve;
use crate::traffic::Traffic;

impl LabInit {
    fn start(&self, host: &HostLayout, index: usize) -> Result<Running, BringUpError> {
        self.start_program(host, index, &host.programs[index])
    }

    /// Starts a program in the place of one that was declared.
    pub(super) fn start_program(
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
    pub(super) async fn start_all(&self) -> Result<(), BringUpError> {
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

    pub(super) async fn ready(&self, slot: &RefCell<Slot>) -> Result<(), BringUpError> {
        let (host, own) = (slot.borrow().host.clone(), slot.borrow().running.pid);
        Slot::ready(slot, self.boot.ready_within, |port| self.listener(&host, own, port)).await
    }

    /// Says who listens on a port of a host: another program there would answer for one that is about to die of it.
    pub(super) fn listener(&self, host: &str, own: Pid, port: u16) -> io::Result<Listener> {
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
}
