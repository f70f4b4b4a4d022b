//! Prometheus and Alertmanager themselves, from Debian's packages.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::provided::{Provided, provided_or_skip};

/// What no start takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two programs.
#[derive(Clone, Debug)]
pub struct Servers(PathBuf);

impl Servers {
    /// Returns the programs; prints why a test is skipped if they are not available.
    pub fn or_skip() -> Option<Servers> {
        static FOUND: Provided = Provided::new();
        provided_or_skip(&FOUND, "tests/monitoring/servers", "Prometheus").map(Servers)
    }

    /// Returns the command line of a Prometheus that keeps its data in a folder.
    pub fn prometheus(&self, configuration: &Path, data: &Path, listen: &str) -> String {
        format!(
            "{} --config.file={} --storage.tsdb.path={} --web.listen-address={listen} --rules.alert.resend-delay=1s",
            self.0.join("prometheus").display(),
            configuration.display(),
            data.display()
        )
    }

    /// Returns the command line of an Alertmanager that keeps its data in a folder and knows no other.
    pub fn alertmanager(&self, configuration: &Path, data: &Path, listen: &str) -> String {
        format!(
            "{} --config.file={} --storage.path={} --web.listen-address={listen} --cluster.listen-address=",
            self.0.join("alertmanager").display(),
            configuration.display(),
            data.display()
        )
    }
}

/// A Prometheus on a port of 127.0.0.1, which ends with this.
#[derive(Debug)]
pub struct Loopback {
    child: Child,
    /// Where it is: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Loopback {
    /// Starts one on data that another has left, without anything to scrape; returns when it answers.
    pub fn start(servers: &Servers, folder: &Path, data: &Path) -> Loopback {
        let configuration = folder.join("nothing-to-scrape.yml");
        fs::write(&configuration, "global: { scrape_interval: 1s }\n").expect("the folder can be written to");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let line = servers.prometheus(&configuration, data, &address);
        let log = fs::File::create(folder.join("loopback.log")).expect("the folder can be written to");
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("the program comes first"));
        command.args(words).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut server = Loopback {
            child: command.spawn().expect("the program starts"),
            url: format!("http://{address}"),
        };
        let started = Instant::now();
        while server.curl("/-/ready", &[]).is_none() {
            let ended = server.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "Prometheus does not start: {}",
                fs::read_to_string(folder.join("loopback.log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(50));
        }
        server
    }

    /// Asks with curl, each parameter encoded; returns the body of an answer with status 200.
    pub fn curl(&self, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--max-time", "10", "--get"]);
        for (name, value) in parameters {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let output = curl.arg(format!("{}{path}", self.url)).output().expect("there is curl");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Returns the one number that an instant query gives at a time, or `None` if it finds no series.
    #[track_caller]
    pub fn number(&self, query: &str, at: f64) -> Option<f64> {
        let time = format!("{at:.3}");
        let body = self.curl("/api/v1/query", &[("query", query), ("time", &time)]);
        let answer: Value =
            serde_json::from_str(&body.expect("the query is well-formed")).expect("it is JSON");
        let series = answer["data"]["result"].as_array().expect("a vector is wanted");
        assert!(series.len() <= 1, "`{query}` gives more than one: {answer}");
        series
            .first()
            .map(|one| one["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number"))
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
