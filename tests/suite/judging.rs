//! Judging a recorded run again.

use std::{fs, path::Path};

use chaos_tests::{
    Chaos, lab_or_skip,
    scenario::{LAB, changed},
    slot,
};

#[test]
fn a_recorded_run_is_judged_again_without_running_anything() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let file = chaos.file("experiment.chaos", LAB);
    let ended = chaos.call(&["run", &file]).exits(0);
    let folder = ended.folder.clone().expect("the run has a folder");
    let record = fs::read_to_string(folder.join("record.json")).unwrap();
    let run = folder.file_name().unwrap().to_str().unwrap();
    let path = folder.to_str().unwrap();

    // By its folder, its id, and as the last one: to the byte what the run said itself.
    for name in [path, run, "latest"] {
        let again = chaos.call(&["judge", name, "--format", "json"]).exits(0);
        assert!(again.stdout == record, "{name}: {again}");
    }
    let junit = fs::read_to_string(folder.join("junit.xml")).unwrap();
    assert_eq!(chaos.call(&["judge", "latest", "--format", "junit"]).exits(0).stdout, junit);
    chaos.call(&["judge", "latest"]).exits(0).says("PASSED").says("judged again");

    // By other expectations, on the same measurements.
    let strict = changed(LAB, &[(">= 15ms during", "<= 15ms during")]);
    let other = chaos.file("other.chaos", &strict);
    let again = chaos.call(&["judge", run, "--with", &other]).exits(1).says("FAILED");
    let line = strict.lines().position(|line| line.contains("<= 15ms during")).unwrap() + 1;
    assert!(again.stderr.contains(&format!("other.chaos:{line}:")), "the clause is not underlined: {again}");
    // The reports for other programs underline it, too, each in its own file.
    for format in ["junit", "markdown"] {
        let output = chaos.call(&["judge", run, "--with", &other, "--format", format]).exits(1).stdout;
        let output = output.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        let (_, lines) = output.split_once(&format!("--> other.chaos:{line}:5\n")).expect(&output);
        let [clause, marks] = lines.lines().take(2).collect::<Vec<_>>()[..] else { panic!("{output}") };
        let (before, width) = (marks.find('^').unwrap(), marks.matches('^').count());
        let underlined = "\"the way is far\":  p50(get.latency) <= 15ms during far observed";
        assert_eq!(&clause[before..before + width], underlined, "{output}");
    }
    assert_eq!(fs::read_to_string(folder.join("record.json")).unwrap(), record, "judging changed the record");

    // What the run had not.
    let renamed = chaos.file(
        "renamed.chaos",
        changed(
            LAB,
            &[("fault far", "fault near"), ("inject   far", "inject   near"), ("during far", "during near")],
        ),
    );
    chaos
        .call(&["judge", run, "--with", &renamed])
        .exits(2)
        .says("the run had no fault `near`")
        .says("it had `far`");

    spoiled(&chaos, &folder, run);
}

fn spoiled(chaos: &Chaos, folder: &Path, run: &str) {
    let samples = folder.join("samples/get.csv");
    let text = fs::read_to_string(&samples).expect("a run keeps its samples");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&samples, lines[..lines.len() / 2].join("\n")).expect("the folder is ours");
    chaos.call(&["judge", run]).exits(2).says("probe `get` took").says("whole copy");
    fs::remove_file(&samples).expect("the folder is ours");
    chaos.call(&["judge", run]).exits(2).says("samples of probe `get` are missing");
    chaos.call(&["judge", "nothing"]).exits(2).says("no run is named `nothing`");
    chaos.call(&["judge", "."]).exits(2).says("is not the folder of a run");
}
