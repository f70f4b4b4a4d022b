//! `chaos lab up` and `chaos lab shell`

use std::{io::Write as _, path::Path, process::Command};

use chaos::dsl::Given;
use chaos_core::{
    model::outside::{Outside, Started, Starter},
    owned::OwnedFolder,
};
use chaos_lab::{Lab, LabEvent, Programs, shell};

use crate::{args, exit_code::Exit, render, scenario};

/// How a running lab is found by `chaos lab shell`: its record, in this folder of the state directory.
const LABS: &str = "labs";

/// Makes a lab, or goes into one.
pub(crate) fn run(args: &args::Lab, state: &Path) -> Exit {
    match args {
        args::Lab::Up { file, settings, allow_exec } => up(file, &settings.given(), *allow_exec, state),
        args::Lab::Shell { host, command } => enter(host, command, state),
    }
}

fn up(file: &Path, given: &Given, allow_exec: bool, state: &Path) -> Exit {
    let scenario = match scenario::compile_one(file, given) {
        Ok(scenario) => scenario,
        Err(exit) => return exit,
    };
    let experiments = &scenario.compiled.experiments;
    let Some((experiment, lab)) = experiments.iter().find_map(|e| Some((e, e.lab()?))) else {
        render::error(
            &format!("`{}` has no lab", file.display()),
            Some("add `lab { host … }` to an experiment"),
        );
        return Exit::BadInput;
    };
    let started = Outside::of(experiment).programs;
    let on_hosts = |program: &&Started| matches!(program.by, Starter::Host { .. });
    if let Some(program) = started.iter().find(on_hosts).filter(|_| !allow_exec) {
        render::at(&scenario.compiled.sources, &program.refusal());
        return Exit::BadInput;
    }
    if let Err(exit) = scenario::make_room_for_labs(&scenario.compiled.experiments) {
        return exit;
    }
    let (exe, runtime) = match (std::env::current_exe(), super::runtime()) {
        (Ok(exe), Ok(runtime)) => (exe, runtime),
        (Err(error), _) => {
            render::error(&format!("cannot find this executable: {error}"), None);
            return Exit::Refused;
        }
        (_, Err(exit)) => return exit,
    };
    runtime.block_on(async {
        // Before anything is up, so that whoever interrupts always gets an orderly end.
        let mut interrupts = Interrupts::new();
        let lab = match Lab::up(lab, &Programs::of(exe)).await {
            Ok(lab) => lab,
            Err(error) => {
                render::error(&error.to_string(), None);
                return Exit::Refused;
            }
        };
        let record = format!("{}.json", std::process::id());
        let labs = labs(state);
        if let Err(error) = labs
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|labs| write_record(labs, &record, &lab).map_err(|error| error.to_string()))
        {
            render::warning(&format!("`chaos lab shell` will not find this lab: {error}"), None);
        }
        for host in lab.hosts() {
            let [v4, v6] = host.addresses;
            render::print(&format!("{:<16} {v4:<15} {v6}\n", host.name));
        }
        render::print("the lab is up; `chaos lab shell HOST` goes in, Ctrl-C ends it\n");
        let mut events = lab.events();
        loop {
            tokio::select! {
                () = interrupts.next() => break,
                event = events.recv() => match event {
                    Ok(event) => render::say(&news(&event)),
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => break,
                },
            }
        }
        // It may never have been written.
        let _ = labs.map(|labs| labs.remove(&record));
        match lab.down().await {
            Ok(()) => {
                render::print("the lab is gone\n");
                Exit::Passed
            }
            Err(error) => {
                render::error(&error.to_string(), None);
                Exit::NotRestored
            }
        }
    })
}

/// Says what happened in a lab unasked.
fn news(event: &LabEvent) -> String {
    match event {
        LabEvent::ProgramDied(death) => {
            let output = death.output.trim_end().replace('\n', "\n    ");
            format!("{} on `{}` ended with {}\n    {output}\n", death.what, death.host, death.status)
        }
        LabEvent::ProgramStarted(program) => {
            format!("{} on `{}` was started again\n", program.what, program.host)
        }
        LabEvent::Ended => "the lab ended on its own\n".to_owned(),
        _ => String::new(),
    }
}

/// Interrupt, terminate and hangup.
struct Interrupts(Vec<tokio::signal::unix::Signal>);

impl Interrupts {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Interrupts(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        match self.0.as_mut_slice() {
            [a, b, c] => {
                tokio::select! { _ = a.recv() => {}, _ = b.recv() => {}, _ = c.recv() => {} }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Opens the folder of the records of labs; nobody but this user may have written there.
fn labs(state: &Path) -> std::io::Result<OwnedFolder> {
    OwnedFolder::open(state).and_then(|state| state.folder(LABS)).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot use `{}`: {error}", state.join(LABS).display()))
    })
}

fn write_record(labs: &OwnedFolder, name: &str, lab: &Lab) -> std::io::Result<()> {
    // One of an earlier process of this number is of no use to anybody.
    labs.remove(name)?;
    labs.create(name)?.write_all(&serde_json::to_vec(lab.record())?)
}

/// Goes into a host of a lab that is up; the newest one where several have a host of that name.
fn enter(host: &str, command: &[String], state: &Path) -> Exit {
    let folder = match labs(state) {
        Ok(folder) => folder,
        Err(error) => {
            render::error(&error.to_string(), Some("choose another state directory with `--state-dir DIR`"));
            return Exit::BadInput;
        }
    };
    let mut labs = Vec::new();
    for name in folder.names().unwrap_or_default() {
        let owner = Path::new(&name).file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u32>().ok());
        let alive = owner.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        if !alive {
            // A lab that was killed leaves its record; it is of no use to anybody.
            let _ = folder.remove(&name);
            continue;
        }
        let Ok(file) = folder.read(&name) else { continue };
        let age = file.metadata().and_then(|m| m.modified()).ok();
        let record = serde_json::from_reader::<_, shell::LabRecord>(std::io::BufReader::new(file)).ok();
        labs.extend(record.map(|record| (age, record)));
    }
    labs.sort_by_key(|(age, _)| *age);
    let name = host.strip_suffix(".lab").unwrap_or(host);
    let chosen = labs.iter().rev().find(|(_, lab)| lab.hosts.iter().any(|h| h.name == name)).or(labs.last());
    let Some((_, lab)) = chosen else {
        render::error("no lab is up", Some("make one with `chaos lab up FILE`"));
        return Exit::BadInput;
    };
    let shell_of_user = || std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let mut program = match command {
        [] => Command::new(shell_of_user()),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
    };
    program.env("CHAOS_LAB_HOST", name);
    match shell::run(lab, host, program) {
        Ok(status) if status.success() => Exit::Passed,
        Ok(_) => Exit::Failed,
        Err(error) => {
            render::error(&error.to_string(), None);
            Exit::BadInput
        }
    }
}
