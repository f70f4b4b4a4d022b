//! What the programs of a lab forward, and what they write into labels.

use super::*;

/// A program whose inside nobody knows.
fn nginx() -> crate::model::Program {
    let ready = crate::model::lab::Ready::Tcp(8080);
    crate::model::Program::Command { argv: vec!["nginx".into()], ready, env: Vec::new(), as_root: false }
}

fn gateway(upstream: &str) -> crate::model::Program {
    crate::model::Program::Gateway {
        port: 8080,
        upstream: upstream.into(),
        upstream_port: 8080,
        timeout: s(1),
        retries: 0,
    }
}

/// A lab whose client asks `front`, which runs this, and behind which `mid` and `db` stand.
fn behind(front: crate::model::Program, mid: crate::model::Program) -> Experiment {
    use crate::model::{Host, Scope};
    let hosts = [
        Host::new("client"),
        Host::new("front").running(front),
        Host::new("mid").running(mid),
        Host::new("db"),
    ];
    let mut experiment = lab(1, Probe::http_get("get", "http://front:8080/"));
    experiment.scope = Scope::Lab(hosts.into_iter().collect());
    experiment
}

#[test]
fn what_a_program_may_forward_is_not_called_untouched() {
    use crate::model::Program;
    let slow = || Fault::new("slow", FaultSpec::delay(s(1)), Selector::hosts("db"));
    let http = || Program::Http { port: 8080, work: s(0), capacity: None, status: 200 };
    let remarks = |experiment| odd(&claiming(experiment, slow(), faster(0.95)));
    let untouched = remarks(behind(http(), http()));
    assert!(untouched[0].contains("at most 0%"), "{untouched:?}");
    let help = super::remarks(&claiming(behind(http(), http()), slow(), faster(0.95))).remove(0).remark.help;
    assert!(help.unwrap().starts_with("aim the fault at hosts that these requests pass"));
    // A program may ask anybody, also one behind a gateway, and one that comes by a change.
    assert_eq!(remarks(behind(nginx(), http())), [""; 0]);
    assert_eq!(remarks(behind(gateway("mid"), nginx())), [""; 0]);
    let change = Change::new("swap", nginx(), Selector::hosts("front"));
    assert_eq!(remarks(behind(http(), http()).with_change(change)), ["the timeline never makes `swap`"]);
    // Gateways behind gateways are followed to the last.
    assert_eq!(remarks(behind(gateway("mid"), gateway("db"))), [""; 0]);
    assert!(remarks(behind(gateway("mid"), http()))[0].contains("at most 0%"));
    assert!(remarks(behind(gateway("mid"), gateway("front")))[0].contains("at most 0%"), "a circle ends");
}

#[test]
fn values_of_labels_that_nothing_can_have() {
    use crate::model::probe::{Label, LabelSource};
    let by = |label: &str, value: &str| Metric {
        filter: vec![crate::model::metric::Filter {
            label: label.into(),
            values: vec![value.into()],
            negated: false,
            variable: None,
        }],
        ..success()
    };
    let labelled = |mut experiment: Experiment, metric: Metric| {
        let label = |name: &str, source| Label { name: name.into(), source };
        experiment.probes[0].labels = vec![
            label("backend", LabelSource::Header("X-Served-By".into())),
            label("who", LabelSource::Peer),
            label("code", LabelSource::Status),
        ];
        let condition = metric.over(s(5)).below(share(0.5)).into();
        experiment.aborts = vec![Abort::When(condition)];
        refusals(&experiment).into_iter().map(|f| f.remark.message).collect::<Vec<_>>()
    };
    let http = || crate::model::Program::Http { port: 8080, work: s(0), capacity: None, status: 200 };
    let refused = labelled(behind(http(), http()), by("backend", "nope"));
    let expected = "no measurement of `get` has the `backend` `nope` that `success(get where backend = \"nope\", over 5s)` asks for";
    assert_eq!(refused, [expected]);
    assert_eq!(labelled(behind(http(), http()), by("backend", "front")), [""; 0]);
    assert_eq!(labelled(behind(gateway("mid"), http()), by("backend", "mid")), [""; 0]);
    assert_eq!(labelled(behind(http(), http()), by("backend", "mid")).len(), 1);
    // What a program of somebody else writes there is not known.
    assert_eq!(labelled(behind(nginx(), http()), by("backend", "nope")), [""; 0]);
    assert_eq!(labelled(behind(gateway("mid"), nginx()), by("backend", "nope")), [""; 0]);
    for (label, value) in
        [("from", "db"), ("who", "db"), ("code", "abc"), ("status", "5xx"), ("status", "20")]
    {
        assert_eq!(labelled(behind(http(), http()), by(label, value)).len(), 1, "{label} {value}");
    }
    for (label, value) in [("from", "client"), ("who", "front"), ("code", "503"), ("status", "200")] {
        assert_eq!(labelled(behind(http(), http()), by(label, value)), [""; 0], "{label} {value}");
    }
    // Outside of a lab only an answer's status is known beforehand.
    let mut outside = experiment();
    outside.probes[0] = Probe::http_get("get", "http://10.0.0.1/").at_rate(100.0);
    assert_eq!(labelled(outside.clone(), by("backend", "nope")), [""; 0]);
    assert_eq!(labelled(outside.clone(), by("status", "teapot")).len(), 1);
    // A health check of gRPC answers in words.
    let address = "10.0.0.1:443".to_owned().into();
    outside.probes[0].kind = crate::model::ProbeKind::Grpc { address, service: String::new(), secure: false };
    for (status, refused) in [("NOT_SERVING", 0), ("UNAVAILABLE", 0), ("200", 1), ("serving", 1)] {
        assert_eq!(labelled(outside.clone(), by("status", status)).len(), refused, "{status}");
    }
}
