//! The blast radius: what the faults touch, counted on real objects, against the limits of the file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PlanError, PlannedFault, resolve::Resolver};
use crate::{
    model::{
        Experiment, Scope, Selector,
        quantity::Quantity,
        scope::{Amount, RadiusUnit},
    },
    non_empty::NonEmpty,
    place::{Kind, Object, ObjectId},
    remark::Remark,
};

/// What the faults of a plan touch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Radius {
    /// The distinct objects.
    pub touched: Vec<ObjectId>,
    /// How many there are to touch, where that is known.
    pub of: Option<u32>,
    /// Each limit with what was counted, a line each for people.
    pub lines: Vec<String>,
}

/// Counts what the faults touch; more than a limit allows is an error.
pub async fn measure(
    experiment: &Experiment,
    faults: impl Iterator<Item = &PlannedFault>,
    objects: &Resolver<'_>,
) -> Result<Radius, PlanError> {
    let touched: BTreeSet<&ObjectId> =
        faults.flat_map(|f| f.parts.iter().map(|p| &p.offer.ask.object)).collect();
    let of = match &experiment.scope {
        Scope::Lab(lab) => Some(lab.names().len() as u32),
        Scope::Machine => None,
    };
    let mut lines = Vec::new();
    for limit in &experiment.blast_radius {
        let (count, total, unit) = match &limit.of {
            RadiusUnit::Hosts => (touched.len(), of.map(|n| n as usize), "hosts".to_owned()),
            RadiusUnit::Processes => {
                let count = touched.iter().filter(|o| o.kind == Kind::PROCESS).count();
                (count, None, "processes".to_owned())
            }
            RadiusUnit::Of(selector) => {
                let all = everything(objects, selector, experiment).await?;
                (
                    all.iter().filter(|o| touched.contains(&o.id)).count(),
                    Some(all.len()),
                    format!("of {selector}"),
                )
            }
        };
        let (within, limit_text) = match limit.at_most {
            Amount::Count(n) => (count <= n as usize, format!("{n} {unit}")),
            Amount::Share(fraction) => {
                let text = format!("{} {unit}", Quantity::ratio(fraction));
                match total {
                    Some(total) => (count as f64 <= total as f64 * fraction + 1e-9, text),
                    None => {
                        return Err(PlanError::unsound(
                            Remark::error(
                                limit.span,
                                format!("a share of all {unit} cannot be counted here"),
                            )
                            .with_help("write a number: `at most 1 hosts`"),
                        ));
                    }
                }
            }
        };
        let counted = total.map_or_else(|| count.to_string(), |total| format!("{count} of {total}"));
        if !within {
            return Err(PlanError::Radius {
                message: format!(
                    "the blast radius allows at most {limit_text}, and the faults would touch {counted}"
                ),
                touched: touched.iter().map(|o| o.to_string()).collect(),
                span: limit.span,
            });
        }
        lines.push(format!("{counted} touched, at most {limit_text} allowed"));
    }
    Ok(Radius { touched: touched.into_iter().cloned().collect(), of, lines })
}

/// What a share is a share of: all that a selector finds, not only what a target picked of it.
async fn everything(
    objects: &Resolver<'_>,
    selector: &Selector,
    experiment: &Experiment,
) -> Result<NonEmpty<Object>, PlanError> {
    match selector {
        Selector::Named(name) => match experiment.targets.iter().find(|t| t.name == *name) {
            Some(target) => objects.find(&target.selector).await,
            None => objects.find(selector).await,
        },
        _ => objects.find(selector).await,
    }
}
