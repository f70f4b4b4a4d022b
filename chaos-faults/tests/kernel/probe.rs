use chaos_faults::capability;

use crate::two_hosts::{attempt, run, two_hosts};

#[tokio::test]
async fn the_probe_agrees_with_what_tc_can_do() {
    let Some(hosts) = two_hosts(&["veth"]).await else { return };
    let found = capability::probe().await;
    let names: Vec<&str> = found.iter().map(|capability| capability.name.as_str()).collect();
    assert_eq!(names, capability::NAMES);
    for capability in &found {
        println!("{capability:?}");
        assert_eq!(capability.available, capability.detail.is_none());
        assert_eq!(capability.available, capability.remedy.is_none());
    }
    for (name, line) in [
        ("netem", "tc qdisc add dev left root netem delay 1ms"),
        ("prio", "tc qdisc add dev left root prio"),
        ("htb", "tc qdisc add dev left root htb"),
        ("clsact", "tc qdisc add dev left clsact"),
    ] {
        let expected = found.iter().any(|capability| capability.name == name && capability.available);
        let got = attempt(&hosts.a, line).status.success();
        assert_eq!(got, expected, "{name}");
        if got && !line.contains("clsact") {
            run(&hosts.a, "tc qdisc del dev left root");
        }
    }
}
