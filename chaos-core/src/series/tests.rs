use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::*;
use crate::{
    model::{Param, Quantity, Unit},
    outcome::Verdict,
    plan::PlanError,
    report::{FORMATS, Format, Reports},
    run::{Control, Runner},
    search::{Conclusion, Entry, Question},
    testing::{self, Reply, World},
    trouble::Trouble,
};

fn seconds(value: f64) -> Quantity {
    Quantity::new(value, Unit::Seconds)
}

/// The scripted experiment with a parameter at a level.
fn at(level: Quantity) -> Experiment {
    let param = Param { name: "extra".into(), value: level, default: level, range: None };
    let mut experiment = testing::experiment();
    experiment.params = vec![param];
    experiment.varied = vec!["extra".into()];
    experiment
}

/// Carries experiments out in scripted worlds whose service fails under a fault of this level or more.
struct Scripted {
    breaks: f64,
    /// What becomes of the run of this number, from 0.
    odd: Option<(usize, Odd)>,
    orders: Mutex<Vec<(String, u64, Part)>>,
}

#[derive(Clone, Copy)]
enum Odd {
    Stopped,
    NotRun,
    NotKept,
}

impl Scripted {
    fn new(breaks: f64, odd: Option<(usize, Odd)>) -> Scripted {
        Scripted { breaks, odd, orders: Mutex::default() }
    }

    fn orders(&self) -> Vec<(String, u64, Part)> {
        self.orders.lock().unwrap().clone()
    }
}

#[async_trait]
impl Carrier for Scripted {
    async fn carry_out(&self, order: &Order<'_>) -> Result<Record, NotRun> {
        let number = {
            let mut orders = self.orders.lock().unwrap();
            orders.push((order.run.to_owned(), order.seed, order.part));
            orders.len() - 1
        };
        let odd = self.odd.filter(|(at, _)| *at == number).map(|(_, odd)| odd);
        if let Some(Odd::NotRun) = odd {
            return Err(NotRun::because(order.experiment, Trouble::denied("no rights").with_help("be root")));
        }
        let world = World::new();
        world.meet(1000);
        let fails = order.experiment.params[0].value.value >= self.breaks;
        world.serve(move |in_place| {
            let after = Duration::from_millis(1);
            if fails && in_place.len() == 3 { Reply::failed(after) } else { Reply::ok(after) }
        });
        let plan = testing::plan(order.experiment, &world)
            .await
            .map_err(|error: PlanError| NotRun::unplanned(order.experiment, &error))?;
        let control = Control::new();
        if let Some(Odd::Stopped) = odd {
            control.stop();
        }
        let world = Arc::new(world);
        let runner = Runner::builder()
            .id(order.run)
            .inventory(world.clone())
            .environment(world.clone())
            .injector(world.clone())
            .probers(world.clone())
            .journal(world)
            .build()
            .unwrap();
        let mut record = runner.run(&plan, control).await.record;
        if let Some(Odd::NotKept) = odd {
            record.unkept = Some("`events.jsonl` is gone".into());
        }
        Ok(record)
    }
}

fn question() -> Question {
    Question::new("extra", seconds(0.0), seconds(1.0), seconds(0.1)).unwrap()
}

fn begun(out: &Path) -> Search {
    Search::begin(out, "it", &question(), 7, "same").unwrap()
}

fn fine(level: Quantity) -> Result<Experiment, Trouble> {
    Ok(at(level))
}

#[tokio::test(start_paused = true)]
async fn a_search_finds_where_a_service_breaks_and_keeps_its_reports() {
    let out = tempfile::tempdir().unwrap();
    let carrier = Scripted::new(0.4, None);
    let mut search = begun(out.path());
    let mut heard = 0;
    let stopped = search.drive(fine, &carrier, |_, _| heard += 1).await.unwrap();
    let Some(Conclusion::Found { point, enough: true, .. }) = search.record().conclusion else {
        panic!("{:?}", search.record());
    };
    assert!((point.value - 0.4).abs() <= 0.1, "{point}");
    assert!(!stopped);
    assert_eq!(search.record().verdict(), Verdict::Passed);
    assert_eq!(heard, search.record().trials.len());
    let orders = carrier.orders();
    assert_eq!(orders.len(), heard);
    assert!(orders.iter().all(|(.., part)| *part == Part::Trial));
    let seeds: std::collections::BTreeSet<u64> = orders.iter().map(|(_, seed, _)| *seed).collect();
    assert_eq!(seeds.len(), heard, "each trial draws anew");
    search.keep(Some("it.chaos")).unwrap();
    for file in ["search.json", "verdict.txt", "report.md", "junit.xml", JOURNAL] {
        assert!(search.folder().join(file).is_file(), "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_that_was_stopped_goes_on_where_it_was() {
    let out = tempfile::tempdir().unwrap();
    let whole = Scripted::new(0.4, None);
    let mut search = begun(out.path());
    search.drive(fine, &whole, |_, _| {}).await.unwrap();
    let expected: Vec<Quantity> = search.record().trials.iter().map(|trial| trial.level).collect();

    let mut search = begun(out.path());
    assert!(search.drive(fine, &Scripted::new(0.4, Some((2, Odd::Stopped))), |_, _| {}).await.unwrap());
    assert_eq!(search.record().trials.len(), 3);
    assert_eq!(search.record().verdict(), Verdict::Aborted);
    let folder = search.folder().to_owned();
    let twice = Search::resume(&folder, &question(), "same").unwrap_err();
    assert!(twice.message.contains("another process goes on"), "{twice}");
    drop(search);
    let other = Search::resume(&folder, &question(), "other").unwrap_err();
    assert!(other.message.contains("was begun with another file"), "{other}");
    // A line that a crash cut off was never begun.
    let journal = folder.join(JOURNAL);
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{text}{{\"entry\":\"over\",\"numb")).unwrap();
    let mut search = Search::resume(&folder, &question(), "same").unwrap();
    assert!(!search.drive(fine, &whole, |_, _| {}).await.unwrap());
    let counted = search.record().trials.iter().filter(|t| t.outcome != crate::search::Outcome::Interrupted);
    assert_eq!(counted.map(|trial| trial.level).collect::<Vec<_>>(), expected);
    assert_eq!(search.record().resumed, [3]);
    let lines = std::fs::read_to_string(&journal).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Entry>(line).is_ok()), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_trial_from_running_ends_a_search() {
    let out = tempfile::tempdir().unwrap();
    let mut search = begun(out.path());
    let stopped = search.drive(fine, &Scripted::new(0.4, Some((1, Odd::NotRun))), |_, _| {}).await.unwrap();
    assert!(!stopped);
    assert_eq!(search.record().verdict(), Verdict::NotPermitted);
    assert_eq!(search.record().trials[1].reason, "no rights");
    let mut search = begun(out.path());
    let uncompiled = |_| Err(Trouble::unable("the file was changed"));
    let error = search.drive(uncompiled, &Scripted::new(0.4, None), |_, _| {}).await.unwrap_err();
    assert_eq!(error.message, "the file was changed");
}

#[tokio::test(start_paused = true)]
async fn a_matrix_goes_on_after_a_cell_that_was_not_run_and_not_after_one_that_was_stopped() {
    let out = tempfile::tempdir().unwrap();
    let cells = [0.1, 0.5, 0.2].map(|level| at(seconds(level)));
    let folder = out.path().join("all");
    let (table, runs, kept) =
        matrix(&cells, &folder, 7, None, &Scripted::new(0.4, Some((2, Odd::NotRun)))).await;
    kept.unwrap();
    assert_eq!(
        table.cells.iter().map(|cell| cell.verdict).collect::<Vec<_>>(),
        [Verdict::Passed, Verdict::Aborted]
    );
    assert!(!runs.ended_early);
    assert_eq!(runs.ran.len(), 3);
    let junit = std::fs::read_to_string(folder.join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testsuite ").count(), 3, "what was not run is not left out: {junit}");
    assert!(junit.contains("type=\"not-permitted\""), "{junit}");

    let (_, runs, _) = matrix(&cells, &folder, 7, None, &Scripted::new(0.4, Some((1, Odd::Stopped)))).await;
    assert!(runs.ended_early);
    assert_eq!(runs.ran.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn whatever_was_asked_for_is_one_document() {
    let out = tempfile::tempdir().unwrap();
    let carrier = Scripted::new(0.4, Some((1, Odd::NotRun)));
    let cells = [0.1, 0.5, 0.2].map(|level| at(seconds(level)));
    let runs = each(&cells, out.path(), 7, Part::Alone, &carrier).await;
    let (table, in_table, _) = matrix(&cells, out.path(), 7, None, &Scripted::new(0.4, None)).await;
    let mut search = begun(out.path());
    search.drive(fine, &Scripted::new(0.4, None), |_, _| {}).await.unwrap();
    let all = [
        Series::Each(runs.ran),
        Series::Matrix(Box::new(table), in_table.ran),
        Series::Search(Box::new(search.into_record())),
    ];
    let reported: Vec<Reported<'_>> =
        all.iter().flat_map(|series| series.reported(Some("a.chaos"))).collect();
    assert_eq!(reported.len(), 5);
    let together = Reports { all: reported.clone(), several: true };
    let json = Format::named("json").unwrap().document(&together).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    assert_eq!(json[1]["result"]["verdict"], "not-permitted");
    let junit = Format::named("junit").unwrap().document(&together).unwrap();
    assert_eq!(junit.matches("<testsuites").count(), 1, "{junit}");
    assert_eq!(junit.matches("<?xml").count(), 1);
    assert_eq!(junit.matches("<testsuite ").count(), 3 + 3 + 1);
    // What was stopped before it came to the second is still an array.
    let first = Reports { all: reported[..1].to_vec(), several: true };
    let json = Format::named("json").unwrap().document(&first).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap().as_array().unwrap().len(), 1);
    for one in &reported {
        let names: Vec<&str> = one.files().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), FORMATS.len());
    }
    let trial = Reported { subject: Subject::Trial(all[0].reported(None)[0].record().unwrap()), file: None };
    assert!(trial.files().unwrap().iter().all(|(name, _)| !name.ends_with(".xml")));
}

/// Asserts that every format of something says that it was not kept, and none that it passed or found an answer.
fn says_not_kept(reported: &Reported<'_>, lost: &str) {
    for format in &FORMATS {
        let text = format.document(&Reports { all: vec![*reported], several: false }).unwrap();
        let head: String = text.lines().take(3).collect::<Vec<_>>().join(" ");
        match format.name {
            "json" => {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                let verdict = json["result"]["verdict"].as_str().or(json["verdict"].as_str());
                assert!(matches!(verdict, Some("not-kept") | None), "{verdict:?}");
            }
            "junit" => assert!(text.contains("type=\"not-kept\""), "{text}"),
            _ => assert!(head.contains("NOT KEPT"), "{}: {text}", format.name),
        }
        // The table of a matrix has no room for the reasons of its cells.
        let terse = format.name == "markdown"
            && matches!(reported.subject, Subject::Matrix(matrix, _) if matrix.unkept.is_none());
        // Text is wrapped.
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(terse || folded.contains(lost), "{}: {text}", format.name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_kept_has_not_passed_in_any_format() {
    let out = tempfile::tempdir().unwrap();
    let lost = "is gone";
    let carrier = Scripted::new(0.4, Some((0, Odd::NotKept)));
    let runs = each(&[at(seconds(0.1))], out.path(), 7, Part::Alone, &carrier).await;
    let runs = Series::Each(runs.ran);
    says_not_kept(&runs.reported(None)[0], lost);
    let record = runs.reported(None)[0].record().unwrap().clone();
    assert_eq!(crate::outcome::result(&record).verdict, Verdict::NotKept);

    let cells = [0.1, 0.2].map(|level| at(seconds(level)));
    let folder = out.path().join("all");
    let carrier = Scripted::new(0.4, Some((1, Odd::NotKept)));
    let (table, runs, kept) = matrix(&cells, &folder, 7, None, &carrier).await;
    kept.unwrap();
    assert_eq!(table.verdict, Verdict::NotKept);
    says_not_kept(&Series::Matrix(Box::new(table), runs.ran).reported(None)[0], lost);
    // Its own reports: one cannot be written, the others say so.
    let folder = out.path().join("other");
    std::fs::create_dir_all(folder.join("report.md")).unwrap();
    let (table, runs, kept) = matrix(&cells, &folder, 7, None, &Scripted::new(0.4, None)).await;
    assert!(kept.unwrap_err().to_string().contains("it is not an ordinary file"));
    assert_eq!(table.verdict, Verdict::NotKept);
    says_not_kept(&Series::Matrix(Box::new(table), runs.ran).reported(None)[0], "it is not an ordinary file");
    let text = std::fs::read_to_string(folder.join("verdict.txt")).unwrap();
    assert!(text.starts_with("NOT KEPT"), "{text}");

    let mut search = begun(out.path());
    // A trial that would have held ends the search; one that did not hold leaves its mark on it.
    search.drive(fine, &Scripted::new(2.0, Some((1, Odd::NotKept))), |_, _| {}).await.unwrap();
    assert_eq!(search.record().trials.len(), 2);
    assert_eq!(search.record().verdict(), Verdict::NotKept);
    assert!(!search.record().is_over(), "it can be taken up again");
    says_not_kept(&Series::Search(Box::new(search.into_record())).reported(None)[0], lost);
    let mut search = begun(out.path());
    search.drive(fine, &Scripted::new(0.4, None), |_, _| {}).await.unwrap();
    assert_eq!(search.record().verdict(), Verdict::Passed);
    let report = search.folder().join("verdict.txt");
    std::fs::remove_file(&report).unwrap();
    std::fs::create_dir(&report).unwrap();
    search.keep(None).unwrap_err();
    let json = std::fs::read_to_string(search.folder().join("search.json")).unwrap();
    assert!(json.contains("it is not an ordinary file"), "{json}");
    let series = Series::Search(Box::new(search.into_record()));
    says_not_kept(&series.reported(None)[0], "it is not an ordinary file");
}

#[tokio::test(start_paused = true)]
async fn what_is_graver_than_lost_evidence_stays_so_and_says_that_as_well() {
    let out = tempfile::tempdir().unwrap();
    let carrier = Scripted::new(0.4, Some((0, Odd::NotKept)));
    let runs = each(&[at(seconds(0.5))], out.path(), 7, Part::Alone, &carrier).await;
    let overall = crate::outcome::result(runs.ran[0].record().unwrap());
    assert_eq!(overall.verdict, Verdict::Aborted);
    assert!(overall.reasons.last().unwrap().contains("is not whole: `events.jsonl` is gone"), "{overall:?}");
}
