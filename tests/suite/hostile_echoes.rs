//! Servers and programs that give back the secrets that they were sent.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use chaos_tests::{
    Chaos, Ended, lab_or_skip,
    scenario::{LAB, changed},
    slot,
};

/// Sends back what it was sent, in several forms, writes it down, and ends after some requests.
const SERVER: &str = r#"
import base64, os, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

left = int(sys.argv[1])

class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        global left
        sent = self.headers["authorization"]
        token = sent.split(" ")[1]
        forms = [sent, f"token {token}", urllib.parse.quote(token, safe=""), base64.b64encode(f"user:{token}".encode()).decode()]
        left -= 1
        if left % 50 == 0:
            print("a request with", *forms, flush=True)
        if left <= 0:
            os._exit(3)
        self.send_response(200)
        for number, form in enumerate(forms):
            self.send_header(f"x-echo-{number}", form)
        body = sent.encode()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("0.0.0.0", 8080), Echo).serve_forever()
"#;

/// The secret, and what must not be found of it, in any form.
const SECRET: &str = "Bearer s3cr3t/T0ken+of-w0rds";
const PARTS: [&str; 4] = ["s3cr3t", "T0ken", "w0rds", "czNjcjN0"];

/// Runs an experiment against the server, which ends after some requests.
fn run(chaos: &Chaos, requests: u32) -> Ended {
    fs::set_permissions(chaos.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    let script = chaos.file("echo.py", SERVER);
    let server =
        format!("run \"python3 {} {requests}\" ready when tcp 8080", chaos.path().join(script).display());
    let labels = "header \"authorization\" = secret env \"TOKEN\", label echo0 = header \"x-echo-0\", \
                  label echo1 = header \"x-echo-1\", label echo2 = header \"x-echo-2\", label echo3 = header \"x-echo-3\", timeout 2s";
    let file = chaos.file(
        "echo.chaos",
        changed(
            LAB,
            &[("run http port 8080", server.as_str()), ("rate 100/s", "rate 50/s"), ("timeout 2s", labels)],
        ),
    );
    let mut command = chaos.command(&["run", &file, "--allow-exec"]);
    command.env("TOKEN", SECRET);
    chaos.start_prepared(command, "run of an echo".into()).end()
}

/// Returns the files below a folder, with their texts.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is ours").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(texts(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).expect("the file is ours")).into_owned();
            all.push((path.display().to_string(), text));
        }
    }
    all
}

#[track_caller]
fn assert_nothing_of_it(ended: &Ended) {
    let mut all = texts(ended.kept());
    assert!(
        all.iter().any(|(name, text)| name.ends_with("get.csv") && text.contains("echo0=***")),
        "{ended}"
    );
    assert!(all.iter().any(|(name, text)| name.contains("/logs/") && text.contains("a request with ***")));
    all.push(("standard output".into(), ended.stdout.clone()));
    all.push(("standard error".into(), ended.stderr.clone()));
    for (name, text) in all {
        for part in PARTS {
            let line = text.lines().find(|line| line.contains(part));
            assert_eq!(line, None, "`{part}` is in {name}");
        }
    }
}

#[test]
fn secrets_that_a_server_gives_back_are_concealed_in_everything_that_is_kept() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let ended = run(&chaos, 1_000_000);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended}");
    assert_nothing_of_it(&ended);
}

#[test]
fn secrets_in_the_last_words_of_a_program_are_concealed() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let ended = run(&chaos, 200).exits(4);
    assert_nothing_of_it(&ended);
    let reason = ended.record()["abort"]["reason"].to_string();
    assert!(reason.contains("***"), "its last words are not quoted: {reason}");
}
