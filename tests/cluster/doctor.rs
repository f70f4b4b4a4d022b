//! What `chaos doctor` finds in a cluster.

use serde_json::Value;

use crate::shop::Shop;

/// Returns whether everything of a section works.
fn works(found: &Value, section: &str) -> bool {
    let findings = found[section].as_array().unwrap_or_else(|| panic!("no {section}: {found}"));
    assert!(!findings.is_empty(), "{found}");
    findings.iter().all(|finding| finding["works"] == true)
}

#[test]
fn the_doctor_says_what_a_cluster_lacks() {
    let Some(shop) = Shop::or_skip() else { return };
    let context = shop.kubectl(&["config", "current-context"]);
    let look = |more: &[&str]| {
        let words =
            [&["doctor", "--cluster", &context, "--namespace", &shop.namespace, "--format", "json"], more]
                .concat();
        shop.start(&words).end()
    };
    let parsed = |stdout: &str| -> Value { serde_json::from_str(stdout).expect("it prints JSON") };

    let whole = look(&[]).exits(0);
    let found = parsed(&whole.stdout);
    assert!(works(&found, "cluster") && works(&found, "rights") && works(&found, "nodes"), "{whole}");
    // What a scope is to be given.
    let uid = shop.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    assert!(found["cluster"].to_string().contains(&uid), "{whole}");

    let lacking = look(&["--agent-image", "localhost/no-such-image:1"]).exits(5);
    let found = parsed(&lacking.stdout);
    assert!(works(&found, "cluster") && !works(&found, "nodes"), "{lacking}");
    let remedy = found["nodes"][0]["remedy"].as_str().unwrap_or_default();
    assert!(remedy.contains("chaos image --output") && remedy.contains("images import"), "{lacking}");

    shop.kubectl(&["label", "namespace", &shop.namespace, "pod-security.kubernetes.io/enforce=baseline"]);
    let strict = look(&[]).exits(5);
    assert!(!works(&parsed(&strict.stdout), "cluster") && strict.stdout.contains("baseline"), "{strict}");

    let unknown = shop.start(&["doctor", "--cluster", "no-such-context"]).end().exits(5);
    assert!(unknown.said("no-such-context") && unknown.said("kubectl config get-contexts"), "{unknown}");
}
