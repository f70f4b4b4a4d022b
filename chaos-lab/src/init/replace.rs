//! Another program in the place of one that runs, and back.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use chaos_core::model::Program;
use nix::sys::signal::Signal;

use super::LabInit;
use crate::protocol::{Answer, Back, BringUpError, Look};
use crate::traffic::Traffic;

impl LabInit {
    /// Ends what runs in a place and starts another program there; who asks looks on until it is ready.
    ///
    /// Without `back` it puts back: a program that runs there already is what was asked for, and is left alone. With it, what
    /// ran before comes back on its own after that time, should nobody put it back.
    pub(super) async fn replace(
        self: &Rc<Self>,
        host: String,
        program: usize,
        by: Program,
        back: Option<Back>,
    ) -> Result<Answer, BringUpError> {
        let _exchange = self.exchange.lock().await;
        let slot = self.slot(host, program)?;
        if back.is_none() && slot.borrow().program == by && slot.borrow().running.ended.is_none() {
            return Ok(Answer::Started { pid: slot.borrow().running.pid.as_raw() });
        }
        if slot.borrow().running.ended.is_none() {
            // One that has just ended on its own is as good as killed.
            let _ = slot.borrow_mut().running.signal(Signal::SIGKILL);
        }
        while slot.borrow().running.ended.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let name = slot.borrow().host.clone();
        let layout = self.boot.layout.hosts.iter().find(|h| h.name == name).expect("slots belong to hosts");
        let before = self.traffic(&name).unwrap_or_default();
        let mut running = self.start_program(layout, program, &by)?;
        // Until it was seen to be ready, its end is an answer to who asked, and no news.
        running.requested = true;
        let pid = running.pid;
        {
            let mut slot = slot.borrow_mut();
            slot.earlier = slot.text();
            (slot.program, slot.running, slot.before) = (by, running, before);
        }
        if let Some(back) = back {
            let (lab, slot) = (Rc::downgrade(self), Rc::downgrade(&slot));
            tokio::task::spawn_local(async move {
                tokio::time::sleep(back.after).await;
                let (Some(lab), Some(slot)) = (lab.upgrade(), slot.upgrade()) else { return };
                if slot.borrow().running.pid == pid {
                    // Nobody is there to hear it; the next attempt to put it back finds it so.
                    let _ = lab.replace(name, program, *back.program, None).await;
                }
            });
        }
        Ok(Answer::Started { pid: pid.as_raw() })
    }

    /// Says how a program is doing; once it was seen to be ready, its end is news.
    pub(super) fn look(&self, host: String, program: usize) -> Result<Answer, BringUpError> {
        let slot = self.slot(host, program)?;
        let traffic = self.traffic(&slot.borrow().host);
        let look = {
            let slot = slot.borrow();
            let since = slot.running.started.elapsed();
            Look {
                program: slot.program.clone(),
                ended: slot.running.ended.clone(),
                missing: slot.missing(since, |port| self.listener(&slot.host, slot.running.pid, port)),
                since,
                patience: slot.patience(self.boot.ready_within),
                output: slot.running.output.last_lines(),
                traffic: traffic.unwrap_or_default().since(slot.before),
            }
        };
        if look.missing.is_none() && look.ended.is_none() {
            slot.borrow_mut().running.requested = false;
        }
        Ok(Answer::Look(Box::new(look)))
    }

    fn traffic(&self, host: &str) -> io::Result<Traffic> {
        let tables = self.proc.join("net");
        self.inside(host, || Traffic::read(&tables))
    }
}
