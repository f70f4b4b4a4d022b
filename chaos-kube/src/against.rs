//! What is against a plan in its cluster: what refuses its agents, which disruption budgets its faults would overdraw, and who
//! undoes what they do.
//!
//! Everything is only read, or tried without effect (a dry run): nothing of the cluster is changed.

mod admission;
mod budgets;
mod keepers;

use std::collections::BTreeMap;

use chaos_core::{
    place::{Kind, ObjectId},
    plan::{Origin, Plan, PlanError},
    remark::Remark,
    span::Span,
    trouble::Trouble,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;

use crate::{Link, environment, record};

/// How many questions are put to the API server at once.
const AT_ONCE: usize = 16;

/// A pod that a run would do something in.
struct Touched {
    id: ObjectId,
    pod: Pod,
    /// Where the file says so.
    span: Span,
    /// Whether an agent is put into it.
    agent: bool,
    /// Whether a fault is on it.
    faulted: bool,
}

impl Touched {
    fn namespace(&self) -> &str {
        self.id.namespace.as_deref().unwrap_or_default()
    }
}

/// Looks at what a plan would meet in its cluster, with agents from an image; returns what should be known before running.
///
/// # Errors
/// The API server would not let an agent in, a disruption budget allows fewer disruptions than the faults are, or nobody answers.
pub async fn opposition(link: &Link, image: &str, plan: &Plan) -> Result<Vec<Remark>, PlanError> {
    let at = |trouble: Trouble| PlanError::Inventory { trouble, span: plan.experiment.span };
    let client = link.client().await.map_err(at)?;
    let touched = touched(link, &client, plan).await.map_err(at)?;
    let mut remarks = admission::tried(link, &client, image, &touched).await?;
    remarks.extend(budgets::counted(link, &client, &plan.experiment, &touched).await?);
    remarks.extend(keepers::named(link, &client, &touched).await);
    Ok(remarks)
}

/// Reads every pod that a plan does something in; one that has gone since is left out.
async fn touched(link: &Link, client: &Client, plan: &Plan) -> Result<Vec<Touched>, Trouble> {
    /// Where the file says so, whether an agent is put into it, and whether a fault is on it.
    type Use = (Span, bool, bool);
    let experiment = &plan.experiment;
    let mut uses: BTreeMap<&ObjectId, Use> = BTreeMap::new();
    for planned in plan.faults.iter().chain(&plan.changes) {
        let fault = experiment.fault(&planned.name).map(|fault| fault.on.span());
        let span = fault.or_else(|| experiment.change(&planned.name).map(|change| change.on.span()));
        for part in &planned.parts {
            let of = uses.entry(&part.offer.ask.object);
            let (_, agent, faulted) = of.or_insert((span.unwrap_or(Span::NONE), false, false));
            *agent |= part.injector == record::NAME;
            *faulted = true;
            // Pods that go along are disturbed as well.
            for gone in &part.offer.takes {
                uses.entry(&gone.id).or_insert((span.unwrap_or(Span::NONE), false, false)).2 = true;
            }
        }
    }
    for (probe, planned) in experiment.probes.iter().zip(&plan.probes) {
        let Origin::Places(places) = &planned.from else { continue };
        for place in places {
            uses.entry(place).or_insert((probe.span, false, false)).1 = true;
        }
    }
    // Owned: a closure over references would be too narrow for a future that others poll.
    let mut pods: Vec<(ObjectId, Use)> = uses.into_iter().map(|(id, of)| (id.clone(), of)).collect();
    pods.retain(|(id, _)| id.kind == Kind::POD);
    let read = stream::iter(pods).map(|(id, (span, agent, faulted))| async move {
        let pod = environment::same(link, client, &id).await?;
        Ok::<_, Trouble>(pod.map(|pod| Touched { id, pod, span, agent, faulted }))
    });
    let all: Vec<Option<Touched>> = read.buffered(AT_ONCE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

/// Returns a trouble as the reason why an experiment is not planned.
fn refusal(span: Span, message: String, help: String) -> PlanError {
    PlanError::unsound(Remark::error(span, message).with_help(help))
}
