//! The lab's built-in HTTP server as a process of its own, on a port that is free.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::Failure;

/// The role of the server.
pub(crate) const ROLE: &str = "serve";

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct HttpServer {
    child: Child,
    port: u16,
}

impl HttpServer {
    /// Starts this program again as a server and waits until it listens.
    ///
    /// # Errors
    /// It does not listen within 10 s.
    pub(crate) fn start() -> Result<Self, Failure> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let configuration = serde_json::json!({ "host": "api", "port": port }).to_string();
        let child = Command::new(std::env::current_exe()?).args([ROLE, "http", &configuration]).spawn()?;
        let server = HttpServer { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() > end {
                return Err("the http server does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Returns the URL it answers at.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Returns its process.
    pub(crate) fn process(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Keeps it from running for so long; returns how long it really was.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn stall(process: i32, time: Duration) -> Result<Duration, Failure> {
        let process = Pid::from_raw(process);
        let start = Instant::now();
        kill(process, Signal::SIGSTOP)?;
        std::thread::sleep(time);
        kill(process, Signal::SIGCONT)?;
        Ok(start.elapsed())
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
