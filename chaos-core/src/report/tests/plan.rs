use unicode_width::UnicodeWidthStr as _;

use super::records;
use crate::{
    model::Scope,
    plan::{Origin, Plan},
    report::{line::WIDTH, plan},
};

#[test]
fn as_a_person_reads_it() {
    insta::assert_snapshot!("plan_lab", plan::render(&records::plan()));
    let mut machine = records::plan();
    machine.experiment.scope = Scope::Machine;
    machine.background.clear();
    machine.probes[0].from = Origin::Runner;
    machine.warnings.clear();
    machine.radius.of = None;
    insta::assert_snapshot!("plan_machine", plan::render(&machine));
}

#[test]
fn what_can_stay_is_said_before() {
    let text = |plan: &Plan| plan::render(plan).split_whitespace().collect::<Vec<_>>().join(" ");
    let both = records::plan();
    assert!(text(&both).contains("if agent and runner are killed together, it stays until `chaos restore`"));
    let mut held_by_the_kernel = both;
    held_by_the_kernel.faults[0].parts.truncate(1);
    assert!(!text(&held_by_the_kernel).contains("chaos restore"));
}

#[test]
fn who_gets_a_secret_is_said_and_no_line_is_too_wide() {
    for line in plan::lines(&records::plan()) {
        assert!(line.to_string().width() <= WIDTH, "{line}");
    }
    let text = plan::render(&records::plan());
    assert!(text.contains("shows your variable `SHOP_TOKEN` to http://gateway/ by the probe shop"), "{text}");
}

#[test]
fn the_json_is_the_plan() {
    let mut out = Vec::new();
    plan::write(&records::plan(), &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<Plan>(&out).unwrap(), records::plan());
}
