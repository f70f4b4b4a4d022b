//! The pipe to the runner: requests on standard input, frames on standard output.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::protocol::{Frame, Request};

/// Standard input, line by line.
pub(super) struct Input(BufReader<pipe::Receiver>);

impl Input {
    pub(super) fn open() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Input(BufReader::new(pipe::Receiver::from_owned_fd(input)?)))
    }

    pub(super) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        matches!(self.0.read_line(&mut line).await, Ok(1..)).then_some(line)
    }

    /// Keeps reading on its own, so that the end of input ends the lab whatever else is being waited for.
    pub(super) fn watch(mut self) -> mpsc::UnboundedReceiver<Request> {
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
pub(super) fn send(frame: &Frame) {
    let mut line = serde_json::to_vec(frame).expect("frames hold nothing that JSON cannot");
    line.push(b'\n');
    let mut output = io::stdout().lock();
    if output.write_all(&line).and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}
