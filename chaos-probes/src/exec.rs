//! A command: whether it succeeds, and the first number that it prints.
//!
//! It runs in the place's namespaces, in a process group of its own, which is killed as a whole when the measurement is over or
//! given up.

use std::{fs::File, io, process::Stdio, sync::Arc};

use async_trait::async_trait;
use chaos_core::{
    model::{
        Probe,
        probe::{Condition, Scale},
    },
    place::{Entry, Place},
    probe::{Observation, Prober},
    trouble::Trouble,
};
use chaos_netns::{Namespace, start_inside};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::{
    condition::{self, Answer, Kind},
    failure::{Failure, Words, cannot},
};

/// How much of what a command prints is looked at; the rest is read and forgotten.
const KEPT: usize = 64 * 1024;

/// Runs one command.
pub(crate) struct ExecProber {
    words: Vec<String>,
    place: Place,
    scale: Scale,
    ok_when: Condition,
    known: Words,
}

impl ExecProber {
    /// Prepares a command at a place.
    pub(crate) fn open(
        probe: &Probe,
        (words, scale): (&[String], Scale),
        place: &Place,
    ) -> Result<ExecProber, Trouble> {
        let ok_when = probe.ok_when.clone().unwrap_or(Condition::Exit(0));
        condition::check(&ok_when, Kind::Exec)?;
        if words.first().is_none_or(String::is_empty) {
            return Err(cannot("the command is empty", "write a program and its arguments"));
        }
        if !probe.labels.is_empty() {
            return Err(cannot("a command gives no labels", "leave out `label`"));
        }
        let (words, place) = (words.to_vec(), place.clone());
        Ok(ExecProber { words, place, scale, ok_when, known: Words::default() })
    }

    async fn measure(&self, seen: &mut Observation) -> Result<(), Failure> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.process_group(0).kill_on_drop(true);
        self.enter(&mut command)
            .map_err(|e| Failure::NotRun(format!("the place cannot be entered: {e}").into()))?;
        let mut child = command.spawn().map_err(|error| {
            Failure::NotRun(format!("`{}` cannot be started: {}", self.words[0], error.kind()).into())
        })?;
        let _group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
        let mut output = Vec::new();
        if let Some(stdout) = &mut child.stdout {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
                output.extend_from_slice(&chunk[..read.min(KEPT.saturating_sub(output.len()))]);
            }
        }
        let status = child.wait().await.map_err(|error| Failure::from_io(&error).not_run())?;
        let output = String::from_utf8_lossy(&output);
        seen.value = first_number(&output).map(|number| number * self.scale.factor);
        condition::judge(&self.ok_when, &Answer::Exec { exit: status.code(), output: &output })
    }

    /// Has the command enter the place's namespaces before it starts.
    fn enter(&self, command: &mut Command) -> io::Result<()> {
        let namespace = match self.place.site.entry().map_err(io::Error::other)? {
            Entry::Own => return Ok(()),
            Entry::Namespace(namespace) => namespace,
        };
        let network = match &namespace.descriptor {
            Some(descriptor) => Namespace::of(Arc::clone(descriptor))?,
            None => Namespace::open(&namespace.path)?,
        };
        let mounts = namespace.mounts.as_ref().map(File::open).transpose()?;
        start_inside(command.as_std_mut(), network, mounts);
        Ok(())
    }
}

#[async_trait]
impl Prober for ExecProber {
    async fn once(&self) -> Observation {
        let mut seen = Observation::ok();
        if let Err(failure) = self.measure(&mut seen).await {
            failure.mark(&mut seen, &self.known);
        }
        seen
    }
}

/// A process group that ends when this is dropped.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // One whose last process has ended is gone already.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// Returns the first word of a text that is a number.
fn first_number(text: &str) -> Option<f64> {
    let number = |word: &str| word.parse::<f64>().ok().filter(|n| n.is_finite());
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '=' | ':')).find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_found() {
        assert_eq!(first_number(" ?column? \n----------\n        1\n(1 row)\n"), Some(1.0));
        assert_eq!(first_number("queue: -3.5 of 7"), Some(-3.5));
        assert_eq!(first_number("depth=12"), Some(12.0));
        assert_eq!(first_number("nan inf none"), None);
        assert_eq!(first_number(""), None);
    }
}
