//! The role that `chaos rbac` prints is enough, and none of it is too much.

use std::fs;

use chaos_tests::Ended;

use crate::shop::Shop;

const ACCOUNT: &str = "tester";

/// Makes a service account, and the file `account.kubeconfig` with its token.
pub(crate) fn account(shop: &Shop, name: &str) {
    shop.kubectl(&["-n", &shop.namespace, "create", "serviceaccount", name]);
    let token = shop.kubectl(&["-n", &shop.namespace, "create", "token", name]);
    let config = shop.kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("kubectl prints JSON");
    config["users"][0]["user"] = serde_json::json!({ "token": token });
    shop.chaos.file("account.kubeconfig", config.to_string());
}

/// Gives the service account the rights of these manifests.
pub(crate) fn allow(shop: &Shop, manifests: &str) {
    let rights = shop.chaos.file("rights.yaml", manifests);
    let rights = shop.chaos.path().join(rights).display().to_string();
    shop.kubectl(&["apply", "-f", &rights]);
}

/// Takes all rights from the service account.
pub(crate) fn withdraw(shop: &Shop, name: &str) {
    shop.kubectl(&["delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found"]);
    // What is of no namespace is claimed in `default`.
    for namespace in [shop.namespace.as_str(), "default"] {
        shop.kubectl(&["-n", namespace, "delete", "role,rolebinding", name, "--ignore-not-found"]);
    }
}

/// Returns the role that is printed for a scenario, for a service account.
pub(crate) fn printed(shop: &Shop, name: &str, file: &str) -> String {
    let printed = shop.start(&["rbac", file, "--account", name, "--namespace", &shop.namespace]);
    printed.end().exits(0).stdout
}

/// Runs a scenario as the service account, with these manifests as its only rights.
pub(crate) fn run_as(shop: &Shop, name: &str, manifests: &str, file: &str) -> Ended {
    // What was allowed before goes first.
    withdraw(shop, name);
    allow(shop, manifests);
    shop.start_as("account.kubeconfig", &["run", file]).end()
}

#[test]
fn the_printed_role_is_enough_and_none_of_it_is_too_much() {
    let Some(shop) = Shop::or_skip() else { return };
    let name = format!("{ACCOUNT}-{}", shop.namespace);
    account(&shop, &name);

    let short =
        [("baseline 5s", "baseline 1s"), ("hold     10s", "hold     2s"), ("watch    5s", "watch    1s")];
    let file = shop.scenario("delay.chaos", &short);
    let printed =
        shop.start(&["rbac", &file, "--account", &name, "--namespace", &shop.namespace]).end().exits(0);
    let whole = run_as(&shop, &name, &printed.stdout, &file);
    assert_eq!(whole.record()["restoration"]["state"], "restored", "{whole}");
    assert!(whole.record()["parts"][0]["state"] == "reverted", "nothing was injected: {whole}");

    let mut left_out = 0;
    let remarks = |line: &&str| line.ends_with("# only for remarks of the plan");
    let without: String =
        printed.stdout.lines().filter(|line| !remarks(line)).flat_map(|line| [line, "\n"]).collect();
    assert_ne!(without, printed.stdout, "nothing is only for remarks: {printed}");
    let less = run_as(&shop, &name, &without, &file);
    assert_eq!(less.record()["restoration"]["state"], "restored", "{less}");
    let needed = printed.stdout.lines().filter(|line| !remarks(line));
    for rule in needed.filter(|line| line.starts_with("- {")) {
        let (head, verbs) = rule.split_once("verbs: [").expect("a rule has verbs");
        let verbs: Vec<&str> = verbs.trim_end_matches("]}").split(", ").collect();
        let resource =
            head.split("resources: [").nth(1).and_then(|rest| rest.split(']').next()).expect("a resource");
        for verb in &verbs {
            let others: Vec<&str> = verbs.iter().filter(|other| *other != verb).copied().collect();
            // A rule without verbs is refused by the server.
            let without = if others.is_empty() {
                String::new()
            } else {
                format!("{head}verbs: [{}]}}", others.join(", "))
            };
            let mut manifests = printed.stdout.replace(rule, &without);
            manifests = manifests.replace("rules:\n\n---", "rules: []\n---");
            let ended = run_as(&shop, &name, &manifests, &file);
            let named =
                ended.said(&format!("cannot {verb} resource")) || ended.said(&format!("{verb} {resource}"));
            assert!(
                ended.code.is_some_and(|code| code != 0) && named,
                "without {verb} of {resource}: {ended}"
            );
            left_out += 1;
        }
    }
    assert!(left_out >= 10, "{left_out}: {printed}");
    fs::remove_file(shop.chaos.path().join("account.kubeconfig")).expect("the token is gone");
    withdraw(&shop, &name);
}
