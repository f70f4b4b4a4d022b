//! Disruption budgets: how many pods of an application its owner lets others disturb at once.

use std::collections::{BTreeMap, BTreeSet};

use chaos_core::{model::Experiment, place::Protection, plan::PlanError, remark::Remark, span::Span};
use k8s_openapi::{
    api::policy::v1::PodDisruptionBudget,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use super::{Touched, refusal};
use crate::Link;

/// Says which budgets cover pods that faults are on; refuses more than one allows, unless the blast radius allows that.
pub(super) async fn counted(
    link: &Link,
    client: &Client,
    experiment: &Experiment,
    touched: &[Touched],
) -> Result<Vec<Remark>, PlanError> {
    let mut remarks = Vec::new();
    let line = experiment.allowed.iter().find(|line| line.what == Protection::DisruptionBudget);
    let mut overdrawn = false;
    let faulted: Vec<&Touched> = touched.iter().filter(|of| of.faulted).collect();
    let namespaces: BTreeSet<&str> = faulted.iter().map(|of| of.namespace()).collect();
    for namespace in namespaces {
        let here: Vec<&Touched> = faulted.iter().copied().filter(|of| of.namespace() == namespace).collect();
        let span = here.first().map_or(Span::NONE, |of| of.span);
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
        let what = format!("list the disruption budgets of `{namespace}`");
        let found = match link.ask(&what, budgets.list(&ListParams::default())).await {
            Ok(found) => found.items,
            Err(trouble) if trouble.is_denied() => {
                let message =
                    format!("whether a disruption budget covers these pods is not known: {trouble}");
                let remark = Remark::warning(span, message);
                remarks.push(match trouble.help {
                    Some(help) => remark.with_help(help),
                    None => remark,
                });
                continue;
            }
            Err(trouble) => return Err(PlanError::Inventory { trouble, span }),
        };
        for budget in &found {
            let covered: Vec<&Touched> = here.iter().copied().filter(|of| covers(budget, of)).collect();
            let Some(first) = covered.first() else { continue };
            let left = budget.status.as_ref().map_or(0, |status| status.disruptions_allowed);
            let said = said(budget, covered.len(), left);
            if covered.len() as i64 <= i64::from(left) {
                remarks.push(Remark::warning(first.span, said));
            } else if line.is_some() {
                overdrawn = true;
                remarks.push(Remark::warning(first.span, format!("{said}; the blast radius allows it")));
            } else {
                let help = "pick fewer pods, or wait until all of them are healthy; where it is meant, write \
                            `allow disruption budget` in the blast radius";
                return Err(refusal(first.span, said, help.to_owned()));
            }
        }
    }
    remarks.extend(line.filter(|_| !overdrawn).map(|line| {
        let message = format!("`allow {}` allows nothing: no budget is overdrawn", line.what);
        Remark::warning(line.span, message).with_help("remove it: it would hide the day when one is")
    }));
    Ok(remarks)
}

fn said(budget: &PodDisruptionBudget, covered: usize, left: i32) -> String {
    let pods = if covered == 1 { "pod" } else { "pods" };
    let health = budget.status.as_ref().map_or_else(String::new, |status| {
        format!(" ({} healthy, {} needed)", status.current_healthy, status.desired_healthy)
    });
    format!(
        "faults are on {covered} {pods} of the disruption budget `{}`, which allows {left} to be disturbed now{health}",
        budget.name_any()
    )
}

/// Returns whether a budget is about a pod: one without a selector is about none, one with an empty selector about all.
fn covers(budget: &PodDisruptionBudget, of: &Touched) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let labels = of.pod.metadata.labels.clone().unwrap_or_default();
    selector.is_some_and(|selector| selects(selector, &labels))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && selector.match_expressions.iter().flatten().all(|one| meets(one, labels))
}

fn meets(one: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&one.key);
    let listed = value.is_some_and(|value| one.values.iter().flatten().any(|other| other == value));
    match one.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // One that is not known yet may be about it.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::{fake, pod};

    #[test]
    fn a_budget_is_about_the_pods_that_its_selector_means() {
        let labels =
            BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "a".to_owned())]);
        let of = |selector: serde_json::Value| {
            selects(&serde_json::from_value::<LabelSelector>(selector).unwrap(), &labels)
        };
        let one = |operator: &str, key: &str, values: &[&str]| {
            of(json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }))
        };
        assert!(of(json!({})) && of(json!({ "matchLabels": { "app": "web" } })));
        assert!(!of(json!({ "matchLabels": { "app": "web", "tier": "b" } })));
        assert!(one("In", "tier", &["a", "b"]) && !one("In", "tier", &["b"]) && !one("In", "zone", &["a"]));
        assert!(one("NotIn", "zone", &["a"]) && !one("NotIn", "tier", &["a"]));
        assert!(one("Exists", "app", &[]) && !one("Exists", "zone", &[]));
        assert!(one("DoesNotExist", "zone", &[]) && !one("DoesNotExist", "app", &[]));
    }

    /// A fault on two pods, where the budget of the pods `api` allows this many disruptions.
    async fn counted_where(left: i32, allowed: bool) -> Result<Vec<String>, PlanError> {
        let link = fake::link(move |path, _| {
            assert_eq!(path, "/apis/policy/v1/namespaces/shop/poddisruptionbudgets");
            let status = json!({
                "currentHealthy": 2, "desiredHealthy": 2, "disruptionsAllowed": left, "expectedPods": 2,
            });
            let budget = |name: &str, app: &str| {
                json!({ "metadata": { "name": name }, "status": status,
                        "spec": { "selector": { "matchLabels": { "app": app } } } })
            };
            Some(fake::list(vec![budget("keep", "api"), budget("others", "web")]))
        });
        let touched: Vec<Touched> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let pod: Pod = serde_json::from_value(fake::pod(name, "o")).unwrap();
                Touched { id: pod::id(&pod), pod, span: Span::NONE, agent: true, faulted: true }
            })
            .collect();
        let mut experiment = Experiment::new("x", "y");
        if allowed {
            experiment = experiment.allowing(Protection::DisruptionBudget);
        }
        let remarks = counted(&link, &link.client().await.unwrap(), &experiment, &touched).await?;
        Ok(remarks.into_iter().map(|remark| remark.message).collect())
    }

    #[tokio::test]
    async fn more_pods_than_a_budget_allows_take_a_line_in_the_blast_radius() {
        let two = "faults are on 2 pods of the disruption budget `keep`, which allows";
        let health = "to be disturbed now (2 healthy, 2 needed)";
        assert_eq!(counted_where(2, false).await.unwrap(), [format!("{two} 2 {health}")]);
        let error = counted_where(1, false).await.unwrap_err().remark();
        assert_eq!(error.message, format!("{two} 1 {health}"));
        assert!(error.help.is_some_and(|help| help.contains("`allow disruption budget`")));
        let allowed = counted_where(1, true).await.unwrap();
        assert_eq!(allowed, [format!("{two} 1 {health}; the blast radius allows it")]);
        let unused = counted_where(2, true).await.unwrap();
        assert!(unused[1].starts_with("`allow disruption budget` allows nothing"), "{unused:?}");
    }
}
