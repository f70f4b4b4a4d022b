//! What a file that holds more than one run adds up to.

use std::time::Duration;

use crate::model::Experiment;

use super::{
    page::{Page, time},
    schedule::Schedule,
};
use crate::search::Question;

/// Says what a file with `search` or `each` does as a whole, how many runs that takes and how long; none for other files.
///
/// The times are those of the timelines and steady states; setting up, injecting and reverting come on top.
#[must_use]
pub fn series(experiments: &[Experiment], question: Option<&Question>) -> Option<String> {
    let mut page = Page::default();
    match (question, experiments.first()) {
        (Some(question), Some(experiment)) => search(question, experiment, &mut page),
        _ if experiments.iter().any(|e| !e.varied.is_empty()) && experiments.len() > 1 => {
            matrix(experiments, &mut page);
        }
        _ => return None,
    }
    Some(page.finish())
}

fn length(experiment: &Experiment) -> Duration {
    Schedule::new(experiment).end()
}

fn search(question: &Question, experiment: &Experiment, page: &mut Page) {
    let name = question.param();
    page.title(&format!("search for the breaking point of {}", experiment.name));
    let each = length(experiment);
    page.fields(&[
        ("varied", format!("{name}, from {} to {}", question.low(), question.high())),
        (
            "goal",
            format!("the level at which it stops holding, to within {} (90% credible)", question.tolerance()),
        ),
        (
            "at worst",
            format!(
                "{} trials of {} each, {} in all; setting up and reverting come on top",
                question.most_trials(),
                time(each),
                time(each * question.most_trials())
            ),
        ),
    ]);
    page.section("How it goes");
    page.item(&format!(
        "Every trial is a whole run at one level of {name}: its own steady state, baseline, fault, rollback, and proof that \
         everything is as it was."
    ));
    page.item(&format!(
        "The first is at {}. None goes beyond twice the highest level that held; until the mildest level has held, nothing \
         harsher is tried.",
        question.start()
    ));
    page.item(
        "Passed is held; failed, or ended by an abort condition, is not held. An inconclusive level is tried up to twice more, \
         then the search ends without an answer. A run that is refused or not restored ends it at once.",
    );
    page.item(
        "Each next level is a random quantile between 25% and 75% of what is believed of the breaking point by then, from the \
         recorded seed.",
    );
    page.item(
        "Every outcome is on the disk before the next trial begins: `chaos run FILE --resume DIR` goes on after a stop.",
    );
    page.section("What follows");
    page.text(&format!("The first trial, at {name} = {}.", question.start()));
    page.text("");
}

fn matrix(experiments: &[Experiment], page: &mut Page) {
    page.title(&format!("{} runs, one after another", experiments.len()));
    let all: Duration = experiments.iter().map(length).sum();
    let mut fields = Vec::new();
    let mut varied: Vec<(&str, Vec<String>)> = Vec::new();
    for param in experiments.iter().flat_map(Experiment::varied) {
        let value = param.value.to_string();
        match varied.iter_mut().find(|(name, _)| *name == param.name.value) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => varied.push((&param.name.value, vec![value])),
        }
    }
    for (name, values) in &varied {
        fields.push((*name, values.join(", ")));
    }
    fields.push(("in all", format!("{}; setting up and reverting come on top", time(all))));
    page.fields(&fields);
    page.section("The runs");
    for (number, experiment) in experiments.iter().enumerate() {
        page.row(
            &format!("{:>3}", number + 1),
            &format!("{}, {}", experiment.title(), time(length(experiment))),
        );
    }
    page.section("What follows");
    page.text("Each experiment, with the first of its values.");
    page.text("");
}
