//! Who undoes what a fault does to a workload, or makes pods that it is not on: autoscalers, GitOps, operators.

use std::collections::{BTreeMap, BTreeSet};

use chaos_core::{remark::Remark, span::Span};
use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscaler,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
};

use super::Touched;
use crate::Link;

/// How far owners are followed: a pod of a resource of somebody's own is of a ReplicaSet of a Deployment of it.
const DEPTH: usize = 4;

/// Field managers that apply what stands in a repository, again and again, by the beginnings of their names.
const MANAGERS: [(&str, &str); 4] = [
    ("argocd", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("fleetagent", "Fleet"),
];

/// Beginnings of the labels and annotations that they leave.
const MARKS: [(&str, &str); 4] = [
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
    ("objectset.rio.cattle.io/", "Fleet"),
];

/// The label that says by which tool an object is managed.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Says who keeps the workloads of pods that faults are on.
///
/// These are remarks and no more: where a right is missing or nobody answers, less is said.
pub(super) async fn named(link: &Link, client: &Client, touched: &[Touched]) -> Vec<Remark> {
    let mut workloads: BTreeMap<String, Workload> = BTreeMap::new();
    for of in touched.iter().filter(|of| of.faulted) {
        let Some(owner) = controller(&of.pod.metadata) else { continue };
        if workloads.contains_key(&owner.uid) {
            continue;
        }
        let chain = chain(link, client, of.namespace(), owner).await;
        workloads.insert(owner.uid.clone(), Workload { namespace: of.namespace(), span: of.span, chain });
    }
    let mut remarks: Vec<Remark> = workloads.values().flat_map(|of| of.kept()).collect();
    let namespaces: BTreeSet<&str> = workloads.values().map(|of| of.namespace).collect();
    for namespace in namespaces {
        let all: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
        let what = format!("list the autoscalers of `{namespace}`");
        let found = link.ask(&what, all.list(&ListParams::default())).await;
        let here = || workloads.values().filter(|of| of.namespace == namespace);
        let found = found.map(|found| found.items).unwrap_or_default();
        remarks.extend(found.iter().flat_map(|one| here().filter_map(|of| of.scaled(one))));
    }
    // Two ReplicaSets are of one Deployment while it rolls.
    let mut said = BTreeSet::new();
    remarks.retain(|remark| said.insert(remark.message.clone()));
    remarks
}

/// What pods are of, from their direct owner upwards.
struct Workload<'a> {
    namespace: &'a str,
    span: Span,
    chain: Vec<Owner>,
}

/// One owner.
struct Owner {
    kind: String,
    group: String,
    name: String,
    /// What it says of itself; none where that may not be read.
    meta: Option<ObjectMeta>,
}

fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Follows the owners of a pod.
async fn chain(link: &Link, client: &Client, namespace: &str, first: &OwnerReference) -> Vec<Owner> {
    let mut chain = Vec::new();
    let mut next = Some(first.clone());
    while let Some(reference) = next.take().filter(|_| chain.len() < DEPTH) {
        let (group, version) = match reference.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", reference.api_version.as_str()),
        };
        // Almost every kind has the plural that this makes of it; where one has not, nothing is found.
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &reference.kind));
        let all: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let what = format!("read the {} `{}`", reference.kind, reference.name);
        let found = link.ask(&what, all.get_metadata_opt(&reference.name)).await.ok().flatten();
        let meta = found.map(|found| found.metadata);
        next = meta.as_ref().and_then(controller).cloned();
        chain.push(Owner { kind: reference.kind, group: group.to_owned(), name: reference.name, meta });
    }
    chain
}

impl Workload<'_> {
    /// Names an owner as people do.
    fn name(&self, of: &Owner) -> String {
        format!("{} {}/{}", of.kind, self.namespace, of.name)
    }

    /// Says who applies it from a repository, and which operator it is of.
    fn kept(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        // A ReplicaSet has the annotations of its Deployment, which is what is applied.
        let applied = self.chain.iter().rev().find_map(|of| Some((of, gitops(of.meta.as_ref()?)?)));
        if let Some((of, (tool, mark))) = applied {
            let message = format!(
                "{tool} keeps {} as its repository says ({mark}): a sync during the fault may replace its pods, and what is on a pod \
                 goes with it",
                self.name(of)
            );
            remarks.push(
                Remark::warning(self.span, message).with_help("pause the sync for as long as the run takes"),
            );
        }
        for of in &self.chain {
            if !["", "apps", "batch"].contains(&of.group.as_str()) {
                let message = format!(
                    "an operator keeps {} ({}): it may replace pods that do not answer",
                    self.name(of),
                    of.group
                );
                remarks.push(
                    Remark::warning(self.span, message)
                        .with_help("look at what it does with pods that are not ready"),
                );
            }
        }
        remarks
    }

    /// Says that an autoscaler scales it, if it does.
    fn scaled(&self, by: &HorizontalPodAutoscaler) -> Option<Remark> {
        let spec = by.spec.as_ref()?;
        let target = &spec.scale_target_ref;
        let of = self.chain.iter().find(|of| of.kind == target.kind && of.name == target.name)?;
        let now = by.status.as_ref().and_then(|status| status.current_replicas);
        let now = now.filter(|now| *now > 0).map_or_else(String::new, |now| format!("{now} now, "));
        let message = format!(
            "the autoscaler `{}` may add pods without the fault to {}, or remove pods with it: {now}{} to {} allowed",
            by.name_any(),
            self.name(of),
            spec.min_replicas.unwrap_or(1),
            spec.max_replicas
        );
        Some(
            Remark::warning(self.span, message)
                .with_help("the fault is on the pods of the plan, whatever is added"),
        )
    }
}

/// Finds who applies an object from a repository, and by what that is known.
fn gitops(meta: &ObjectMeta) -> Option<(&'static str, String)> {
    let keys = meta.labels.iter().chain(&meta.annotations).flat_map(|map| map.keys());
    let marked = keys.filter_map(|key| {
        MARKS.iter().find(|(mark, _)| key.starts_with(mark)).map(|(_, tool)| (*tool, format!("`{key}`")))
    });
    let managed = meta.managed_fields.iter().flatten().filter_map(|entry| {
        let manager = entry.manager.as_ref()?;
        let (_, tool) = MANAGERS.iter().find(|(name, _)| manager.starts_with(name))?;
        Some((*tool, format!("field manager `{manager}`")))
    });
    let labelled = meta.labels.iter().filter_map(|labels| {
        let by = labels.get(MANAGED_BY)?;
        let tool = match by.to_lowercase().as_str() {
            "argocd" | "argo-cd" => "Argo CD",
            "flux" | "fluxcd" => "Flux",
            _ => return None,
        };
        Some((tool, format!("`{MANAGED_BY}: {by}`")))
    });
    marked.chain(managed).chain(labelled).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake;

    fn of(meta: serde_json::Value) -> Option<(&'static str, String)> {
        gitops(&serde_json::from_value(meta).unwrap())
    }

    #[test]
    fn what_is_applied_from_a_repository_is_known_by_what_that_leaves() {
        assert_eq!(of(json!({ "labels": { "app": "web", MANAGED_BY: "Helm" } })), None);
        let tracked = of(json!({ "annotations": { "argocd.argoproj.io/tracking-id": "x" } }));
        assert_eq!(tracked, Some(("Argo CD", "`argocd.argoproj.io/tracking-id`".into())));
        let flux = of(json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "x" } }));
        assert_eq!(flux.unwrap().0, "Flux");
        let fields =
            of(json!({ "managedFields": [{ "manager": "kubectl" }, { "manager": "argocd-controller" }] }));
        assert_eq!(fields, Some(("Argo CD", "field manager `argocd-controller`".into())));
        assert_eq!(of(json!({ "labels": { MANAGED_BY: "ArgoCD" } })).unwrap().0, "Argo CD");
    }

    #[tokio::test]
    async fn an_autoscaler_is_named_through_all_owners_and_a_missing_right_says_less() {
        let link = fake::link(|path, _| match path {
            "/apis/apps/v1/namespaces/shop/replicasets/web-1" => Some(json!({ "metadata": {
                "name": "web-1", "annotations": { "argocd.argoproj.io/tracking-id": "x" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d", "controller": true }],
            } })),
            "/apis/apps/v1/namespaces/shop/deployments/web" => Some(json!({ "metadata": {
                "name": "web", "annotations": { "argocd.argoproj.io/tracking-id": "x" },
                "ownerReferences": [{ "apiVersion": "x.example/v1", "kind": "Shop", "name": "s", "uid": "s", "controller": true }],
            } })),
            "/apis/x.example/v1/namespaces/shop/shops/s" => Some(fake::refusal(403, "Forbidden", "no")),
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers" => Some(fake::list(vec![
                json!({ "metadata": { "name": "h" }, "spec": {
                    "scaleTargetRef": { "kind": "Deployment", "name": "web" }, "minReplicas": 2, "maxReplicas": 9,
                }, "status": { "currentReplicas": 3, "desiredReplicas": 3 } }),
                json!({ "metadata": { "name": "another" }, "spec": {
                    "scaleTargetRef": { "kind": "Deployment", "name": "api" }, "maxReplicas": 9,
                } }),
            ])),
            _ => None,
        });
        let client = link.client().await.unwrap();
        let mut pod = fake::pod("web-1-a", "r");
        pod["metadata"]["ownerReferences"][0]["apiVersion"] = json!("apps/v1");
        pod["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
        pod["metadata"]["ownerReferences"][0]["name"] = json!("web-1");
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod).unwrap();
        let touched = Touched { id: crate::pod::id(&pod), pod, span: Span::NONE, agent: true, faulted: true };
        let remarks = named(&link, &client, &[touched]).await;
        let messages: Vec<&str> = remarks.iter().map(|remark| remark.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "Argo CD keeps Deployment shop/web as its repository says (`argocd.argoproj.io/tracking-id`): a sync during the \
                 fault may replace its pods, and what is on a pod goes with it",
                "an operator keeps Shop shop/s (x.example): it may replace pods that do not answer",
                "the autoscaler `h` may add pods without the fault to Deployment shop/web, or remove pods with it: 3 now, 2 to 9 \
                 allowed",
            ]
        );
    }
}
