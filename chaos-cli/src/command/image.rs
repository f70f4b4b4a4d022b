//! `chaos image`

use std::{fs, path::PathBuf};

use chaos::kube::image::{self, Executable};

use crate::{args::Image, exit_code::Exit, render};

/// What the executable of the agent is called.
const AGENT: &str = "chaos-agent";

/// How one is made.
const MAKE: &str = "`cargo build --profile small -p chaos-agent-bin --target x86_64-unknown-linux-musl` makes one; `--binary FILE` names it";

/// Writes the agent's image as an OCI archive.
pub(crate) fn run(args: &Image) -> Exit {
    let executables = match executables(&args.binary) {
        Ok(executables) => executables,
        Err((error, help)) => {
            render::error(&error, Some(&help));
            return Exit::BadInput;
        }
    };
    // Whole or not at all: it is small, and half an archive would be loaded by somebody.
    let mut archive = Vec::new();
    let name = match image::write(&args.name, &executables, &mut archive) {
        Ok(name) => name,
        Err(error) => {
            render::error(&format!("cannot make the image: {error}"), None);
            return Exit::BadInput;
        }
    };
    if let Err(error) = fs::write(&args.output, &archive) {
        render::error(&format!("cannot write `{}`: {error}", args.output.display()), None);
        return Exit::Refused;
    }
    let processors: Vec<String> = executables.iter().map(Executable::architecture).collect();
    let megabytes = archive.len() as f64 / 1e6;
    let output = args.output.display();
    render::print(&format!(
        "{output}: {name} for {}, {megabytes:.1} MB\n`chaos doctor --cluster CONTEXT` says how the nodes of a cluster get it\n",
        processors.join(" and ")
    ));
    Exit::Passed
}

/// Reads the executables, or says what is wrong and what helps.
fn executables(named: &[String]) -> Result<Vec<Executable>, (String, String)> {
    if !named.is_empty() {
        return named.iter().map(|named| executable(named)).collect();
    }
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| own.parent().map(|folder| folder.join(AGENT)));
    match beside.filter(|beside| beside.is_file()) {
        Some(beside) => read(&beside).map(|found| vec![found]),
        None => Err((format!("there is no `{AGENT}` beside this command"), MAKE.to_owned())),
    }
}

fn executable(named: &str) -> Result<Executable, (String, String)> {
    let (processor, path) = match named.split_once('=') {
        Some((processor, path)) => (Some(processor), PathBuf::from(path)),
        None => (None, PathBuf::from(named)),
    };
    let found = read(&path)?;
    match processor {
        Some(processor) if processor != found.architecture() => Err((
            format!("`{}` is for {}, not for {processor}", path.display(), found.architecture()),
            "name the executable of that processor, or leave the processor out".to_owned(),
        )),
        _ => Ok(found),
    }
}

fn read(path: &std::path::Path) -> Result<Executable, (String, String)> {
    let shown = path.display();
    let bytes =
        fs::read(path).map_err(|error| (format!("cannot read `{shown}`: {error}"), MAKE.to_owned()))?;
    Executable::new(bytes)
        .map_err(|error| (format!("`{shown}` cannot be the agent of an image: {error}"), MAKE.to_owned()))
}
