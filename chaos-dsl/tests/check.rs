//! The checker's corpus: one mistake per file with all that is said about it, and what holds for every input.

use std::{cell::RefCell, collections::BTreeSet, fs};

use chaos_dsl::{
    Code, Compiled, Given, compile, compile_file,
    diagnostic::{MAX_DIAGNOSTICS, Report},
};
use miette::{GraphicalReportHandler, GraphicalTheme};

const CORPUS: &str = "../tests/corpus/check/";

/// Renders all diagnostics as the command line does, without colour and without the path to the corpus.
fn render(compiled: &Compiled) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let mut out = String::new();
    for diagnostic in &compiled.diagnostics {
        let report = Report::new(diagnostic, &compiled.sources);
        handler.render_report(&mut out, &report).expect("a diagnostic renders");
        out.push('\n');
    }
    out.replace(CORPUS, "")
}

fn settings(snapshots: &str) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(snapshots);
    settings
}

#[test]
fn each_mistake_is_told_once_with_place_and_fix() {
    let wrong = RefCell::new(Vec::new());
    settings("../../tests/corpus/check/snapshots").bind(|| {
        insta::glob!("../../tests/corpus/check", "*.chaos", |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let compiled = compile_file(Path::new(&format!("{CORPUS}{name}")), &Given::default());
            insta::assert_snapshot!(render(&compiled));
            let mut wrong = wrong.borrow_mut();
            if !compiled.experiments.is_empty() || compiled.diagnostics.is_empty() {
                wrong.push(format!("{name} compiles"));
            }
            if compiled.diagnostics.len() > 1 && !name.starts_with("several") {
                wrong.push(format!("{name} has one mistake, reported {} times", compiled.diagnostics.len()));
            }
            if compiled.diagnostics.iter().any(|d| d.place().is_none() || d.help.is_none()) {
                wrong.push(format!("{name} has a diagnostic without place or help"));
            }
        });
    });
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Codes without a file in a corpus, and why.
const ELSEWHERE: &[(Code, &str)] = &[
    (Code::FileTooLarge, "a file of that size does not belong in a repository; tests of `source`"),
    (Code::InvalidUtf8, "editors would change such a file; tests of `source`"),
    (Code::FormatterDiffers, "the formatter's own safety net; no input is known to reach it"),
    (Code::BadSetting, "stands on the command line, in no file; `settings_are_checked` below"),
    (
        Code::Unsound,
        "no mistake, a remark; `what_hardly_shows_what_is_meant_is_reported_once_and_refuses_nothing` below",
    ),
];

#[test]
fn every_code_is_shown_in_a_corpus() {
    let mut shown = String::new();
    for corpus in ["parse", "check", "eval"] {
        for entry in fs::read_dir(format!("../tests/corpus/{corpus}/snapshots")).unwrap() {
            shown.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let missing: Vec<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|c| !shown.contains(c.number()) && !ELSEWHERE.iter().any(|(e, _)| e == c))
        .collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}

#[test]
fn settings_are_checked() {
    let text = fs::read_to_string("../scenarios/quickstart.chaos").unwrap();
    let set = |setting: &str| compile("quickstart.chaos", &text, &[setting.to_owned()]);
    let good = set("extra=200ms");
    assert!(good.is_ok(), "{}", render(&good));
    let param = good.experiments[0].params.first().unwrap();
    assert_eq!((param.value.to_string(), param.default.to_string()), ("200ms".into(), "100ms".into()));
    assert!(good.experiments[0].hypothesis.contains("200ms late"));
    for (setting, message, help) in [
        ("extra", "`--set extra` has no `=`", "write `--set NAME=VALUE`, such as `--set extra=800ms`"),
        ("extar=1ms", "`--set extar=1ms`: no param is named `extar`", "did you mean `extra`?"),
        (
            "extra=fast",
            "`--set extra=fast`: `fast` is not a quantity",
            "`extra` is a duration: write it as in `--set extra=100ms`",
        ),
        ("extra=5%", "`--set extra=5%`: `extra` is a duration, not a percentage", "its default is 100ms"),
        (
            "extra=2s",
            "`--set extra=2s`: 2s lies outside of the range of `extra`",
            "the reviewed range is 0s .. 400ms; another range is a change of the file",
        ),
    ] {
        let compiled = set(setting);
        let [diagnostic] = compiled.diagnostics.as_slice() else {
            panic!("{setting}: {}", render(&compiled))
        };
        assert_eq!(diagnostic.code, Code::BadSetting);
        assert_eq!((diagnostic.message.as_str(), diagnostic.help.as_deref()), (message, Some(help)));
        assert!(compiled.experiments.is_empty());
    }
}

#[test]
fn params_inside_an_experiment_can_be_set() {
    let text = fs::read_to_string("../scenarios/quickstart.chaos").unwrap();
    let (param, rest) = text.split_once("\n\n").unwrap();
    let param = param.lines().last().unwrap();
    let inside = rest.replacen("{\n", &format!("{{\n  {param}\n"), 1);
    let compiled = compile("inside.chaos", &inside, &["extra=300ms".into()]);
    assert!(compiled.is_ok(), "{}", render(&compiled));
    assert_eq!(compiled.experiments[0].params[0].value.to_string(), "300ms");
}

/// Writes two files into a folder and compiles the first, which may use the other.
fn with_library(main: &str, library: &str) -> (tempfile::TempDir, chaos_dsl::Compiled) {
    let folder = tempfile::tempdir().expect("a folder of its own can be written");
    fs::write(folder.path().join("lib.chaos"), library).expect("a folder of its own can be written");
    let path = folder.path().join("main.chaos");
    fs::write(&path, main).expect("a folder of its own can be written");
    let compiled = compile_file(&path, &Given::default());
    (folder, compiled)
}

const LIBRARY: &str = r#"
lab {
  host client
  host api { run http port 8080 }
}

probe get = http GET "http://api:8080/" from client { connections reuse 4, rate 100/s, timeout 1s }

steady state over 5s {
  success(get) >= 99%
}

timeline {
  baseline 5s
  inject   slow
  hold     10s
  rollback
  watch    5s
}

expect {
  "served": success(get) >= 99% during slow
}
"#;

const SHORT: &str = r#"
use "lib.chaos"

experiment "of a library" {
  hypothesis "what it says is shared"
  fault slow = delay 20ms on api
  abort when success(get, over 4s) < 50% for 2s
}
"#;

#[test]
fn an_experiment_has_the_lines_of_a_library_that_it_does_not_write_itself() {
    let (_folder, compiled) = with_library(SHORT, LIBRARY);
    assert!(compiled.is_ok(), "{}", render(&compiled));
    let experiment = &compiled.experiments[0];
    assert_eq!(experiment.scope.lab().map(|lab| lab.hosts.len()), Some(2));
    assert_eq!(experiment.steady_state.over.as_secs(), 5);
    // The library's timeline names the experiment's own fault.
    assert_eq!(experiment.timeline.steps.len(), 5);
    assert_eq!(experiment.expectations.len(), 1);
}

#[test]
fn an_experiments_own_line_comes_before_that_of_its_file_and_this_before_a_librarys() {
    let own = SHORT.replace(
        "  abort",
        "  steady state over 7s { success(get) >= 90% }\n  duration 30s\n  expect { \"own\": success(get) >= 90% during slow }\n  abort",
    );
    let (_folder, compiled) = with_library(&own, LIBRARY);
    assert!(compiled.is_ok(), "{}", render(&compiled));
    let experiment = &compiled.experiments[0];
    assert_eq!(experiment.steady_state.over.as_secs(), 7);
    assert_eq!(experiment.expectations[0].name.value, "own");
    assert!(experiment.timeline.steps.iter().any(|step| step.span.file == experiment.span.file));
    let beside = SHORT.replace(
        "experiment",
        "steady state over 6s { success(get) >= 90% }\nlab {\n  host client\n  host api { run http port 8080 }\n  host db\n}\nexperiment",
    );
    let (_folder, compiled) = with_library(&beside, LIBRARY);
    assert!(compiled.is_ok(), "{}", render(&compiled));
    assert_eq!(compiled.experiments[0].steady_state.over.as_secs(), 6);
    assert_eq!(compiled.experiments[0].scope.lab().map(|lab| lab.hosts.len()), Some(3));
}

#[test]
fn limits_are_read_where_they_are_run_and_a_shared_line_stands_once() {
    let (_folder, compiled) = with_library(SHORT, &format!("{LIBRARY}\nabort never because \"x\"\n"));
    assert!(
        render(&compiled).contains("`abort` must stand inside of an experiment"),
        "{}",
        render(&compiled)
    );
    let twice = format!("{LIBRARY}\nduration 30s\n");
    let (_folder, compiled) = with_library(SHORT, &twice);
    assert!(render(&compiled).contains("`duration` stands twice outside"), "{}", render(&compiled));
    // A mistake in it is reported once, however many experiments have it.
    let both = format!("{SHORT}{}", SHORT.replace("use \"lib.chaos\"", "").replace("of a", "of another"));
    let (_folder, compiled) =
        with_library(&both, &LIBRARY.replace("success(get) >= 99%\n}", "succes(get) >= 99%\n}"));
    assert_eq!(compiled.diagnostics.len(), 1, "{}", render(&compiled));
}

#[test]
fn an_error_is_not_lost_behind_many_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for number in 0..60 {
        // Each is indented by a tab, which is warned of; the last of them cannot be read.
        let line = if number == 59 { "fault f = dely 1ms on client" } else { "#" };
        fs::write(folder.path().join(format!("part-{number}.chaos")), format!("\t{line}\n")).unwrap();
        text.push_str(&format!("use \"part-{number}.chaos\"\n"));
    }
    text.push_str(&fs::read_to_string("../scenarios/loss.chaos").unwrap());
    let path = folder.path().join("main.chaos");
    fs::write(&path, text).unwrap();
    let compiled = compile_file(&path, &Given::default());
    assert!(!compiled.is_ok() && compiled.experiments.is_empty(), "{}", render(&compiled));
    assert!(compiled.diagnostics.iter().any(|d| d.message.contains("dely")), "{}", render(&compiled));
    assert!(compiled.diagnostics.len() <= MAX_DIAGNOSTICS);
}

#[test]
fn scenarios_compile_and_are_laid_out_canonically() {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir("../scenarios").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "chaos") {
            continue;
        }
        let compiled = compile_file(&path, &Given::default());
        assert!(compiled.is_ok(), "{}", render(&compiled));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(chaos_dsl::format(&text).unwrap(), text, "{} is not canonical", path.display());
        seen.insert(path);
    }
    assert!(!seen.is_empty());
}

#[test]
fn what_hardly_shows_what_is_meant_is_reported_once_and_refuses_nothing() {
    let text = r#"
each extra in [20ms, 40ms] {
  experiment "too little to tell" {
    hypothesis "a percentile of a few measurements"
    lab {
      host client
      host api 2 { run http port 8080 }
    }
    probe get = http GET "http://api:8080/" from client { connections reuse 4, rate 2/s }
    steady state over 5s { success(get) >= 90% }
    fault slow = delay extra on api
    duration 10s
    expect {
      "few": p95(get.latency) <= 300ms during slow
      "so":  success(get) >= 50% during slow
    }
  }
}
"#;
    let compiled = chaos_dsl::compile("few.chaos", text, &[]);
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    let remarks = compiled.remarks();
    let reported: Vec<String> = remarks.iter().map(|r| format!("{} {}", r.code, r.message)).collect();
    assert_eq!(
        reported.iter().filter(|t| t.starts_with("W0002") && t.contains("59")).count(),
        1,
        "{reported:#?}"
    );
    assert!(remarks.iter().all(|r| !r.is_error() && r.help.is_some() && r.place().is_some()));
}

#[test]
fn a_reading_that_may_miss_what_a_claim_looks_at_is_remarked() {
    let text = r#"experiment "a queue that is hardly looked at" {
  hypothesis "one look in 10s sees what happens within 5s"
  lab {
    host client
    host api { run http port 8080 }
  }
  probe get = http GET "http://api:8080/" from client { connections reuse 4 }
  probe queue = prometheus "sum(queue)" at "http://api:9090" from client { every 10s }
  alerts from alertmanager "http://api:9093" from client { every 1s }
  steady state over 5s { success(get) >= 90% }
  fault slow = delay 10ms on api
  duration 60s
  abort when value(queue) > 100 for 5s
  expect {
    "seen":  value(queue) > 5 within 5s after slow starts
    "so":    stays value(queue) <= 5 for 9s after rollback
    "often": alert "QueueLong" fires within 5s after slow starts
    "fine":  success(get) >= 50% during slow
  }
}
"#;
    let compiled = chaos_dsl::compile("seldom.chaos", text, &[]);
    assert!(compiled.is_ok(), "{:#?}", compiled.diagnostics);
    let reported: Vec<String> = compiled
        .remarks()
        .iter()
        .map(|r| {
            let place = compiled.sources.text(r.span);
            format!("{} {place}: {} ({})", r.code, r.message, r.help.as_deref().unwrap())
        })
        .collect();
    insta::assert_snapshot!(reported.join("\n"));
}

#[test]
fn the_scenarios_of_the_project_leave_nothing_to_remark() {
    for file in std::fs::read_dir("../scenarios").unwrap() {
        let path = file.unwrap().path();
        let reported: Vec<String> =
            compile_file(&path, &Given::default()).remarks().into_iter().map(|r| r.remark.message).collect();
        assert!(reported.is_empty(), "{}: {reported:#?}", path.display());
    }
}
