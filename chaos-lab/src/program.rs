//! `run PROGRAM on HOST`: another program on a host of a lab that is up, and the old one again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chaos_core::{
    injector::{Ask, Hold, Injector, Measured, Offer, Surroundings, Undo, Unit},
    model::{Action, Program, Ready},
    place::{Entry, Kind, Place},
    trouble::Trouble,
};
use serde::{Deserialize, Serialize};

use crate::environment::LabEnvironment;
use crate::lab::{Lab, LabError};
use crate::process::settle_time;
use crate::traffic::Traffic;

/// The name under which undo records find this injector, and that of its mechanism.
const NAME: &str = "lab-program";

/// The longest `ready after` of a program that is put in the place of another: a run waits for it.
const LONGEST_SETTLE: Duration = Duration::from_secs(15);

/// Runs other programs on the hosts of a lab that is up, and puts the old ones back.
///
/// The lab's first process ends the old program and starts the new one; it is ready as every program of a lab is. Whatever
/// happens to the runner, lab and programs are gone with it.
#[derive(Debug, Default)]
pub struct LabPrograms {
    lab: Option<Arc<LabEnvironment>>,
    last: Mutex<BTreeMap<String, Measured>>,
}

/// What an undo record holds.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The program's place among those of its host.
    program: usize,
    /// What ran there before.
    before: Program,
    /// The inode of the host's network namespace, so that another one at the same path is not mistaken for it.
    inode: u64,
}

impl LabPrograms {
    /// Makes the injector for one lab.
    pub fn new(lab: Arc<LabEnvironment>) -> Self {
        LabPrograms { lab: Some(lab), last: Mutex::default() }
    }

    /// Makes an injector that proves of labs of dead runs that they are gone: with them went what it is asked to put back.
    pub fn of_dead_runs() -> Self {
        LabPrograms::default()
    }

    fn lab(&self) -> Result<Arc<Lab>, Trouble> {
        let lab = self.lab.as_ref().and_then(|lab| lab.current());
        lab.ok_or_else(|| Trouble::unable("the lab is not up"))
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, Measured>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the one program of a host.
    fn declared(&self, host: &str) -> Result<Program, Trouble> {
        let lab =
            self.lab.as_ref().ok_or_else(|| denied("there is no lab", "give the experiment a `lab`"))?;
        let mut hosts = lab.declaration().hosts.iter();
        let found = hosts.find(|h| h.names().iter().any(|name| name == host));
        match found.map(|h| h.programs.as_slice()) {
            Some([program]) => Ok(program.value.clone()),
            Some([]) => Err(denied("no program runs there", "let the host run one")),
            Some(_) => Err(denied(
                "more than one program runs there, and which of them is replaced is not said",
                "give each program a host of its own",
            )),
            None => Err(denied("this is not a host of the lab", "name one of its hosts")),
        }
    }
}

fn denied(reason: &str, remedy: &str) -> Trouble {
    Trouble::unable(reason).with_help(remedy)
}

fn failed(error: LabError) -> Trouble {
    Trouble::unable(error.to_string())
}

fn state(undo: &Undo) -> Result<State, Trouble> {
    serde_json::from_value(undo.state.clone()).map_err(|error| {
        Trouble::unable(format!("the undo record of `{}` cannot be read: {error}", undo.id))
            .with_help("use the version of `chaos` that made the record")
    })
}

/// Says what a program was asked; a program that is not known to speak TCP alone may be asked by datagrams as well.
fn effect(program: &Program, traffic: Traffic) -> Measured {
    let Traffic { connections, datagrams } = traffic;
    let by_datagrams = matches!(program, Program::Dns | Program::Command { ready: Ready::After(_), .. });
    let met = connections + if by_datagrams { datagrams } else { 0 };
    let mut line = format!("{connections} connections were opened to it");
    if by_datagrams {
        line += &format!(", {datagrams} datagrams came");
    }
    Measured { met, changed: met, line, ..Measured::nothing(Unit::Connections) }
}

#[async_trait]
impl Injector for LabPrograms {
    fn name(&self) -> &str {
        NAME
    }

    fn handles(&self, action: &Action) -> bool {
        match action {
            Action::Program(_) => true,
            Action::Packets(_)
            | Action::Names(_)
            | Action::Objects(_)
            | Action::Processes(_)
            | Action::Custom(_) => false,
        }
    }

    async fn offer(&self, ask: &Ask, _around: &Surroundings) -> Result<Vec<Offer>, Trouble> {
        let new = ask.work.program().ok_or_else(|| {
            denied("it runs another program on a host, and does nothing else", "write `run PROGRAM on HOST`")
        })?;
        if ask.object.kind != Kind::HOST {
            return Err(denied("this is not a host of the lab", "name one of its hosts"));
        }
        let old = self.declared(&ask.object.name)?;
        if settle_time(new) > LONGEST_SETTLE {
            return Err(denied(
                "it takes too long to be ready: a run waits 15s at most for a program that says `ready after`",
                "write `ready when tcp PORT`, or a shorter time",
            ));
        }
        Ok(vec![Offer {
            backend: NAME.to_owned(),
            ask: ask.clone(),
            hold: Hold::Environment,
            does: vec![format!("run {new} instead of {old}, and wait until it is ready")],
            undoes: format!("end it, run {old} again, and wait until that is ready"),
            because: Vec::new(),
            takes: Vec::new(),
        }])
    }

    async fn prepare(
        &self,
        id: &str,
        offer: &Offer,
        place: &Place,
        deadline: Duration,
    ) -> Result<Undo, Trouble> {
        let host = &offer.ask.object.name;
        let before = self.lab()?.look(host, 0).await.map_err(failed)?.program;
        let unwritable =
            |error| Trouble::unable(format!("the undo record of `{id}` cannot be written: {error}"));
        let unseen = |why: &dyn std::fmt::Display| {
            Trouble::unable(format!("the host `{host}` cannot be looked at: {why}"))
        };
        let inode = match place.site.entry().map_err(|error| unseen(&error))? {
            Entry::Own => return Err(unseen(&"its place is this machine, and no lab's host is")),
            Entry::Namespace(namespace) => {
                fs::metadata(&namespace.path).map_err(|error| unseen(&error))?.ino()
            }
        };
        Ok(Undo {
            id: id.to_owned(),
            injector: NAME.to_owned(),
            offer: offer.clone(),
            site: place.site.clone(),
            deadline,
            line: format!("run {before} on host {host} again"),
            state: serde_json::to_value(State { program: 0, before, inode }).map_err(unwritable)?,
        })
    }

    async fn inject(&self, undo: &Undo) -> Result<(), Trouble> {
        let State { program: place, .. } = state(undo)?;
        let Some(new) = undo.offer.ask.work.program() else {
            return Err(Trouble::unable(format!("`{}` names no program", undo.id)));
        };
        let host = &undo.offer.ask.object.name;
        self.lab()?.replace(host, place, new, undo.deadline).await.map(drop).map_err(|error| {
            failed(error).with_help(
                "try the program as that of a host of its own, where `chaos lab up` shows what it says",
            )
        })
    }

    /// Puts the old program back and looks until it is ready. With a lab that is gone every program of it is.
    async fn revert(&self, undo: &Undo) -> Result<(), Trouble> {
        let State { program: place, before, .. } = state(undo)?;
        let Ok(lab) = self.lab() else { return gone(undo) };
        let host = &undo.offer.ask.object.name;
        if let Err(error) = self.effect(undo).await {
            // What was reported last stays.
            tracing::debug!(%error, "the last look at a program that is replaced");
        }
        match lab.put_back(host, place, &before).await {
            Ok(_) => Ok(()),
            Err(LabError::Ended(_)) => gone(undo),
            Err(error) => Err(failed(error)),
        }
    }

    async fn standing(&self, undo: &Undo) -> Result<Vec<String>, Trouble> {
        // With its lab went every program.
        gone(undo).map(|()| Vec::new())
    }

    async fn effect(&self, undo: &Undo) -> Result<Measured, Trouble> {
        let known = || self.last().get(&undo.id).cloned();
        let (Ok(lab), Some(new)) = (self.lab(), undo.offer.ask.work.program()) else {
            return Ok(known().unwrap_or_else(|| Measured::nothing(Unit::Connections)));
        };
        let look = lab.look(&undo.offer.ask.object.name, state(undo)?.program).await.map_err(failed)?;
        if look.program != *new {
            return Ok(known().unwrap_or_else(|| Measured::nothing(Unit::Connections)));
        }
        let now = effect(new, look.traffic);
        self.last().insert(undo.id.clone(), now.clone());
        Ok(now)
    }
}

/// Proves that the host a program ran on does not exist any more.
fn gone(undo: &Undo) -> Result<(), Trouble> {
    let before = state(undo)?;
    let site = undo.site.entry().map_err(|error| Trouble::unable(error.to_string()))?;
    let lives = match site {
        // No lab's host was ever there.
        Entry::Own => false,
        Entry::Namespace(namespace) => {
            fs::metadata(&namespace.path).is_ok_and(|found| found.ino() == before.inode)
        }
    };
    if !lives {
        return Ok(());
    }
    Err(Trouble::unable(format!("the lab of {} is still there", undo.offer.ask.object))
        .with_help("end the process that holds it; all of the lab goes with it"))
}

#[cfg(test)]
mod tests;
