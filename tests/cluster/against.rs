//! What a plan says of those who are against it.

use crate::shop::Shop;

/// A budget over the pods of `web`, an autoscaler of it, and a mark of Argo CD on it.
const AGAINST: &str = r#"
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: keep}
spec: {minAvailable: NEEDED, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: grow}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 5
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 90}}}]
"#;

fn apply(shop: &Shop, needed: u32) {
    let file = shop.chaos.file("against.yaml", AGAINST.replace("NEEDED", &needed.to_string()));
    let file = shop.chaos.path().join(file).display().to_string();
    shop.kubectl(&["-n", &shop.namespace, "apply", "-f", &file]);
    // Its controller counts first.
    let allowed = format!("--for=jsonpath={{.status.disruptionsAllowed}}={}", 2 - needed);
    shop.kubectl(&["-n", &shop.namespace, "wait", "pdb/keep", &allowed, "--timeout=30s"]);
}

#[test]
fn a_plan_names_who_undoes_it_and_keeps_to_disruption_budgets() {
    let Some(shop) = Shop::or_skip() else { return };
    let on_web = [
        ("pods of deployment \"client\"", "pods of deployment \"web\""),
        ("service \"web\"\n\n  timeline", "service \"other\"\n\n  timeline"),
    ];
    let namespace = &shop.namespace;
    shop.kubectl(&["-n", namespace, "annotate", "deployment", "web", "argocd.argoproj.io/tracking-id=x"]);
    apply(&shop, 1);
    let planned = shop.start(&["plan", &shop.scenario("delay.chaos", &on_web)]).end().exits(0);
    assert!(planned.said("the autoscaler `grow`") && planned.said("2 to 5 allowed"), "{planned}");
    assert!(planned.said("Argo CD keeps Deployment"), "{planned}");
    assert!(planned.said("the disruption budget `keep`, which allows 1"), "{planned}");
    apply(&shop, 2);
    let refused = shop.start(&["run", &shop.scenario("delay.chaos", &on_web)]).end();
    assert!(refused.code.is_some_and(|code| code != 0), "{refused}");
    assert!(refused.said("which allows 0") && refused.said("`allow disruption budget`"), "{refused}");
    assert!(shop.agents(&shop.pod("web")).is_empty(), "a pod was touched");
    let allowed = ("at most 1 pod", "at most 1 pod\n    allow disruption budget");
    let changes: Vec<_> = on_web.into_iter().chain([allowed]).collect();
    shop.start(&["plan", &shop.scenario("delay.chaos", &changes)]).end().exits(0);
}

#[test]
fn what_admission_has_against_an_agent_refuses_the_plan() {
    let Some(shop) = Shop::or_skip() else { return };
    let file = shop.scenario("delay.chaos", &[]);
    shop.start(&["plan", &file]).end().exits(0);
    shop.kubectl(&["label", "namespace", &shop.namespace, "pod-security.kubernetes.io/enforce=baseline"]);
    let refused = shop.start(&["plan", &file]).end();
    assert!(refused.code.is_some_and(|code| code != 0), "{refused}");
    assert!(
        refused.said("violates PodSecurity \"baseline") && refused.said("enforce=privileged"),
        "{refused}"
    );
    let pod = shop.pod("client");
    assert!(shop.agents(&pod).is_empty(), "a dry run was none");
    let written = ["-n", &shop.namespace, "get", "pod", &pod, "-o", "jsonpath={.spec.ephemeralContainers}"];
    assert_eq!(shop.kubectl(&written), "", "a dry run was none");
}
