//! The ends of processes, of which the runner hears.

use std::io;
use std::rc::Rc;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::{LabInit, pipe::send};
use crate::address::describe;
use crate::process::{ending, hear_out};
use crate::protocol::{Death, Frame};

impl LabInit {
    /// Collects every process that ends, orphans too, and reports the lab's programs among them once the lab is up.
    pub(super) fn reap(self: &Rc<Self>) -> io::Result<()> {
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
            send(&Frame::Died(death));
        });
    }
}
