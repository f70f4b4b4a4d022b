//! What the runner asks of a lab that is up.

use std::cell::RefCell;
use std::rc::Rc;

use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use super::{LabInit, pipe::send};
use crate::address::describe;
use crate::process::Slot;
use crate::protocol::{Answer, Ask, BringUpError, Frame, Request};

impl LabInit {
    pub(super) async fn answer(
        self: &Rc<Self>,
        mut requests: mpsc::UnboundedReceiver<Request>,
    ) -> Result<(), BringUpError> {
        while let Some(Request { id, ask }) = requests.recv().await {
            let outcome = self.act(ask).await;
            send(&Frame::Answer { id, outcome });
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

    pub(super) fn slot(&self, host: String, program: usize) -> Result<Rc<RefCell<Slot>>, BringUpError> {
        let slots = self.slots.borrow();
        let found = slots.iter().find(|s| s.borrow().host == host && s.borrow().index == program);
        found.cloned().ok_or(BringUpError::Unknown { host, program })
    }
}
