//! The blast radius: what the faults touch, counted on real objects, against the limits of the file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PlanError, PlannedFault, resolve::Resolver};
use crate::{
    inventory::Inventory,
    model::{
        Experiment, Scope,
        quantity::Quantity,
        scope::{Amount, RadiusUnit},
    },
    place::{Kind, ObjectId},
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
    let offers = faults.flat_map(|fault| fault.parts.iter().map(|part| &part.offer));
    let touched: BTreeSet<&ObjectId> =
        offers.flat_map(|offer| offer.takes.iter().map(|gone| &gone.id).chain([&offer.ask.object])).collect();
    let Counted { lines, covered } = count(experiment, &touched, objects).await?;
    uncovered(experiment, &touched, &covered)?;
    Ok(Radius { touched: touched.iter().copied().cloned().collect(), of: all(&experiment.scope), lines })
}

/// Counts once more, in the world as it is now, what a plan touches: of what a limit counts there may be less than when it was
/// planned, and so a greater share of it would be touched.
///
/// What is touched stays what was planned. An object that none of the limits counts any more, as a pod that is not ready, is
/// bounded by having been counted when planning.
///
/// # Errors
/// More would be touched than a limit allows, or it can no longer be counted.
pub async fn recount(
    experiment: &Experiment,
    touched: &[ObjectId],
    inventory: &dyn Inventory,
) -> Result<(), PlanError> {
    count(experiment, &touched.iter().collect(), &Resolver::undrawn(inventory)).await?;
    Ok(())
}

/// How many objects there are, where the scope itself says so.
fn all(scope: &Scope) -> Option<u32> {
    match scope {
        Scope::Lab(lab) => Some(lab.names().len() as u32),
        Scope::Machine | Scope::Cluster(_) => None,
    }
}

/// What came of counting.
struct Counted<'a> {
    /// Each limit with what was counted.
    lines: Vec<String>,
    /// What at least one limit counts.
    covered: BTreeSet<&'a ObjectId>,
}

/// Counts what is touched against each limit.
async fn count<'a>(
    experiment: &Experiment,
    touched: &BTreeSet<&'a ObjectId>,
    objects: &Resolver<'_>,
) -> Result<Counted<'a>, PlanError> {
    let of = all(&experiment.scope);
    let mut lines = Vec::new();
    let mut covered: BTreeSet<&'a ObjectId> = BTreeSet::new();
    for limit in &experiment.blast_radius {
        let (counts, total, unit): (Vec<&'a ObjectId>, _, _) = match &limit.of {
            RadiusUnit::Hosts => {
                (touched.iter().copied().collect(), of.map(|n| n as usize), "hosts".to_owned())
            }
            RadiusUnit::Processes => {
                let processes = touched.iter().copied().filter(|o| o.kind == Kind::PROCESS);
                (processes.collect(), None, "processes".to_owned())
            }
            RadiusUnit::Pods => {
                let pods = touched.iter().copied().filter(|o| o.kind == Kind::POD);
                (pods.collect(), None, "pods".to_owned())
            }
            RadiusUnit::Nodes => {
                let nodes = touched.iter().copied().filter(|o| o.kind == Kind::NODE);
                (nodes.collect(), None, "nodes".to_owned())
            }
            RadiusUnit::Objects => {
                let others = |kind: &Kind| *kind != Kind::POD && *kind != Kind::NODE;
                let objects = touched.iter().copied().filter(|o| others(&o.kind));
                (objects.collect(), None, "objects".to_owned())
            }
            RadiusUnit::Of(selector) => {
                // A share is one of all that a selector finds, not only of what a target picked of it.
                let all = objects.find(experiment.finder(selector)).await?;
                let found = touched.iter().copied().filter(|id| all.iter().any(|o| o.id == **id));
                (found.collect(), Some(all.len()), format!("of {selector}"))
            }
        };
        let count = counts.len();
        covered.extend(counts);
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
    Ok(Counted { lines, covered })
}

/// Refuses what is touched and counted by none of the limits: a limit that counts something else bounds nothing of it.
fn uncovered(
    experiment: &Experiment,
    touched: &BTreeSet<&ObjectId>,
    covered: &BTreeSet<&ObjectId>,
) -> Result<(), PlanError> {
    let free: Vec<&ObjectId> = touched.difference(covered).copied().collect();
    let ([first, ..], Some(limit)) = (free.as_slice(), experiment.blast_radius.first()) else {
        return Ok(());
    };
    Err(PlanError::Radius {
        message: format!("the faults would touch {first}, which no limit of the blast radius counts"),
        touched: free.iter().map(ToString::to_string).collect(),
        span: limit.span,
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        model::{
            Experiment, RadiusLimit, Selector,
            scope::{Amount, RadiusUnit},
        },
        plan::PlanError,
        span::Span,
        testing::{self, World},
    };

    /// The scripted experiment, with faults on these objects and these limits.
    async fn planned(
        on: [Selector; 2],
        limits: &[(u32, RadiusUnit)],
    ) -> Result<Vec<String>, (String, String)> {
        let limit = |(n, of): &(u32, RadiusUnit)| RadiusLimit {
            at_most: Amount::Count(*n),
            of: of.clone(),
            span: Span::NONE,
        };
        let mut experiment =
            Experiment { blast_radius: limits.iter().map(limit).collect(), ..testing::experiment() };
        for (fault, on) in experiment.faults.iter_mut().zip(on) {
            fault.on = on;
        }
        match testing::plan(&experiment, &World::default()).await {
            Ok(plan) => Ok(plan.radius.lines),
            Err(error @ PlanError::Radius { .. }) => {
                Err((error.to_string(), error.help().unwrap_or_default()))
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn here() -> Selector {
        Selector::Here(Span::NONE)
    }

    fn process(name: &str) -> Selector {
        Selector::Process(name.into())
    }

    fn netns(name: &str) -> Selector {
        Selector::Netns(name.into())
    }

    #[tokio::test]
    async fn what_no_limit_counts_is_refused() {
        let of = |selector| RadiusUnit::Of(selector);
        let uncounted = [
            ("this machine", here(), vec![(1, RadiusUnit::Processes)]),
            ("netns blue", netns("blue"), vec![(2, RadiusUnit::Processes)]),
            ("netns blue", netns("blue"), vec![(1, of(netns("green"))), (1, RadiusUnit::Processes)]),
            ("this machine", here(), vec![(0, of(netns("blue"))), (1, RadiusUnit::Processes)]),
        ];
        for (name, on, limits) in uncounted {
            let (message, help) = planned([on, process("web")], &limits).await.unwrap_err();
            let expected =
                format!("the faults would touch {name}, which no limit of the blast radius counts");
            assert_eq!(message, expected);
            assert!(help.contains(name) && !help.contains("process web"), "only what is not counted: {help}");
        }
    }

    #[tokio::test]
    async fn limits_may_share_what_they_count() {
        let lines = planned([here(), process("web")], &[(2, RadiusUnit::Hosts)]).await.unwrap();
        assert_eq!(lines, ["2 touched, at most 2 hosts allowed"]);
        let both = [(1, RadiusUnit::Processes), (1, RadiusUnit::Of(here()))];
        let lines = planned([here(), process("web")], &both).await.unwrap();
        assert_eq!(lines[0], "1 touched, at most 1 processes allowed");
        assert!(lines[1].starts_with("1 of 1 touched"), "{lines:?}");
        let (message, _) = planned([here(), process("web")], &[(1, RadiusUnit::Hosts)]).await.unwrap_err();
        assert!(message.contains("at most 1 hosts, and the faults would touch 2"), "{message}");
    }
}
