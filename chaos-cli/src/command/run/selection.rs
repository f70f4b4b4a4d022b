//! Which experiments of the files are run.

use std::{collections::BTreeSet, path::Path};

use chaos::Scenario;
use chaos_core::{model::Experiment, trouble::Trouble};

use crate::args::Selection;

/// Leaves the experiments that are asked for, and the files that hold some.
///
/// # Errors
/// None is left.
pub(super) fn select(scenarios: &mut Vec<Scenario>, asked: &Selection) -> Result<(), Trouble> {
    let tags: BTreeSet<String> =
        scenarios.iter().flat_map(|s| &s.compiled.experiments).flat_map(|e| e.tags.clone()).collect();
    if let Some(unknown) = asked.tags.iter().find(|tag| !tags.contains(*tag)) {
        let known: Vec<_> = tags.iter().map(|tag| format!("`{tag}`")).collect();
        let help = match known.is_empty() {
            true => "write `tags NAME, NAME` in an experiment".to_owned(),
            false => format!("there is {}", known.join(", ")),
        };
        return Err(Trouble::absent(format!("no experiment has the tag `{unknown}`")).with_help(help));
    }
    for scenario in scenarios.iter_mut() {
        let Scenario { path, compiled, .. } = scenario;
        compiled.experiments.retain(|experiment| is_meant(asked, path, experiment));
    }
    scenarios.retain(|scenario| !scenario.compiled.experiments.is_empty());
    if scenarios.is_empty() {
        let text = asked.filter.as_deref().unwrap_or_default();
        return Err(Trouble::absent(format!(
            "no experiment that is asked for has `{text}` in its title or file"
        ))
        .with_help("`chaos check` lists the experiments of files"));
    }
    Ok(())
}

fn is_meant(asked: &Selection, path: &Path, experiment: &Experiment) -> bool {
    let has = |text: &str| {
        asked.filter.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
    };
    let is_tagged = asked.tags.is_empty() || experiment.tags.iter().any(|tag| asked.tags.contains(tag));
    is_tagged && (has(&experiment.title()) || has(&path.display().to_string()))
}
