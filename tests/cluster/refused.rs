//! What is refused before any pod is touched.

use crate::shop::Shop;

#[test]
fn what_cannot_be_is_said_before_a_pod_is_touched() {
    let Some(shop) = Shop::or_skip() else { return };
    let pod = shop.pod("client");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("deployment \"client\"", "deployment \"clint\"")], "there is client, other, web"),
        (
            &[("pods of deployment \"client\"", "pods where app = \"clint\"")],
            "no pod matches `pods where app = \"clint\"`",
        ),
        (&[("cluster   \"", "cluster   \"no-such-")], "the context `no-such-"),
        (&[("at most 1 pod", "at most 0 pods")], "the blast radius allows at most 0 pods"),
        (&[("service \"web\"\n\n  timeline", "service \"wep\"\n\n  timeline")], "there is no service `wep`"),
        (&[("namespace \"chaos-test", "namespace \"no-chaos-test")], "does not exist"),
    ];
    for (changes, said) in cases {
        let file = shop.scenario("delay.chaos", changes);
        let ended = shop.start(&["run", &file]).end();
        assert!(ended.code.is_some_and(|code| code != 0) && ended.said(said), "{said}: {ended}");
    }
    let file = shop.scenario("delay.chaos", &[]);
    let other = std::fs::read_to_string(shop.chaos.path().join(&file)).unwrap();
    let uid = shop.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
    let file = shop.chaos.file("other.chaos", other.replace(&uid, "00000000-0000-0000-0000-000000000000"));
    shop.start(&["run", &file]).end().says("leads to another cluster");
    let file = shop.scenario("delay.chaos", &[]);
    let planned = shop.start(&["plan", &file]).end().exits(0);
    assert!(planned.said("ephemeral container"), "{planned}");
    assert!(shop.agents(&pod).is_empty(), "a pod was touched");
    let lost = shop.start(&["run", &file, "--agent-image", "localhost/no-such-image:1"]).end();
    assert!(lost.code.is_some_and(|code| code != 0), "{lost}");
    assert!(lost.said("localhost/no-such-image:1"), "{lost}");
    // Which of the two it is depends on how long ago the node tried last.
    assert!(lost.said("ErrImagePull") || lost.said("ImagePullBackOff"), "{lost}");
}
