//! Files of somebody else: what a scenario names beside itself, and what a run's folder may hold.

use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use chaos_tests::{Chaos, root_or_skip, scenario::LAB};

/// Writes a scenario that uses a file.
fn uses(chaos: &Chaos, used: &str) -> String {
    chaos.file("own.chaos", format!("use \"{used}\"\n{LAB}"))
}

/// Makes a pipe that nobody writes into.
fn pipe(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("there is `mkfifo`").success());
}

#[test]
fn a_scenario_uses_nothing_outside_of_its_folder() {
    let chaos = Chaos::new();
    let secret = "TOP-SECRET-7d1f";
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.chaos"), format!("password {secret}\n")).unwrap();
    symlink(outside.path().join("secret.chaos"), chaos.path().join("link.chaos")).unwrap();
    symlink(outside.path(), chaos.path().join("folder")).unwrap();
    fs::write(chaos.path().join("token"), secret).unwrap();
    pipe(&chaos.path().join("pipe.chaos"));
    let absolute = outside.path().join("secret.chaos").display().to_string();
    for (used, said) in [
        ("/proc/self/environ", "is outside of"),
        ("/dev/zero", "is outside of"),
        ("../../../../etc/hostname", "is outside of"),
        ("../no-such.chaos", "is outside of"),
        (absolute.as_str(), "is outside of"),
        ("link.chaos", "is outside of"),
        ("folder/secret.chaos", "is outside of"),
        ("token", "is not a scenario"),
        ("pipe.chaos", "it is not an ordinary file"),
    ] {
        let file = uses(&chaos, used);
        for command in ["check", "explain", "plan"] {
            let ended = chaos.call(&[command, &file]).exits(2).says(said);
            ended.keeps_quiet_about(secret);
        }
    }
    // Whoever runs it may allow more.
    let shared = outside.path().join("shared.chaos");
    fs::write(&shared, "param extra = 5ms in 1ms .. 9ms\n").unwrap();
    let file = uses(&chaos, &shared.display().to_string());
    chaos.call(&["check", &file]).exits(2).says("--include DIR");
    chaos.call(&["check", &file, "--include", &outside.path().display().to_string()]).exits(0);
}

#[test]
fn certificates_are_read_from_the_scenarios_folder_only() {
    let chaos = Chaos::new();
    let trusting = |path: &str| {
        let probe = format!(
            "probe safe = tls \"api:8443\" from client {{ rate 5/s, trust file \"{path}\" }}\n\n  steady"
        );
        chaos.file("own.chaos", chaos_tests::scenario::changed(LAB, &[("steady", &probe)]))
    };
    for path in ["/etc/shadow", "../ca.pem", "/dev/zero"] {
        let file = trusting(path);
        chaos.call(&["check", &file]).exits(2).says("is outside of").says("--include DIR");
    }
    chaos.call(&["check", &trusting("ca.pem")]).exits(0);
    chaos.call(&["check", &trusting("/etc/ssl/ca.pem"), "--include", "/etc/ssl"]).exits(0);
}

#[test]
fn a_runs_folder_of_others_keeps_nobody_waiting_and_leads_nowhere() {
    if !root_or_skip() {
        return;
    }
    let chaos = Chaos::new();
    let file = chaos.file("own.chaos", LAB);
    let ended = chaos.call(&["run", &file]);
    let kept = ended.kept().to_owned();
    let judge = || chaos.call(&["judge", &kept.display().to_string()]);
    let before = judge().code;
    assert!(matches!(before, Some(0 | 1 | 3)), "{ended}");
    let (record, samples) = (kept.join("record.json"), kept.join("samples/get.csv"));
    for original in [&record, &samples] {
        let aside = original.with_extension("aside");
        fs::rename(original, &aside).unwrap();
        pipe(original);
        judge().exits(2).says("not an ordinary file");
        fs::remove_file(original).unwrap();
        symlink("/dev/zero", original).unwrap();
        judge().exits(2);
        fs::remove_file(original).unwrap();
        symlink("/etc/hostname", original).unwrap();
        judge().exits(2).keeps_quiet_about(fs::read_to_string("/etc/hostname").unwrap().trim());
        fs::remove_file(original).unwrap();
        let huge = fs::File::create(original).unwrap();
        huge.set_len(1 << 40).unwrap();
        let begun = std::time::Instant::now();
        judge().exits(2).says("more than");
        assert!(begun.elapsed() < Duration::from_secs(20), "a file is read that is far too large");
        fs::rename(&aside, original).unwrap();
    }
    // A name that leads out of the folder.
    let text = fs::read_to_string(&record).unwrap();
    let elsewhere = text.replace("\"probe\": \"get\"", "\"probe\": \"../../../../../../etc/hostname\"");
    assert_ne!(elsewhere, text);
    fs::write(&record, elsewhere).unwrap();
    judge().exits(2).says("which is not a name");
}
