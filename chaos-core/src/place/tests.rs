use serde_json::{Value, json};

use super::*;

fn site(json: Value) -> Result<Site, String> {
    serde_json::from_value(json).map_err(|e| e.to_string())
}

fn pod() -> ObjectId {
    let kind = Kind::try_from("pod".to_owned()).unwrap();
    ObjectId { namespace: Some("shop".into()), uid: Some("1-2".into()), ..ObjectId::new(kind, "api-1") }
}

#[test]
fn a_site_survives_being_written_and_read() {
    let mut namespace = Namespace::new("/run/netns/blue");
    namespace.interface = Some("eth0".into());
    for site in [Site::Runner, namespace.into(), Site::Agent { of: pod() }, Site::Api] {
        let text = serde_json::to_string(&site).unwrap();
        assert_eq!(serde_json::from_str::<Site>(&text).unwrap(), site, "{text}");
    }
    assert_eq!(serde_json::to_value(Site::Runner).unwrap(), json!("runner"));
}

/// The one mistake that must not be possible: a place that is not known, taken for the machine at hand.
#[test]
fn no_other_text_means_the_runners_own_machine() {
    assert_eq!(site(json!("runner")).unwrap(), Site::Runner);
    for unknown in [
        json!(null),
        json!({}),
        json!([]),
        json!(""),
        json!("Runner"),
        json!("host"),
        json!({"namespace": null}),
        json!({"namespace": {}}),
        json!({"namespace": {"path": null}}),
        json!({"namespace": {"mounts": "/proc/1/ns/mnt"}}),
        json!({"namespace": {"path": "/run/netns/a", "cluster": "b"}}),
        json!({"agent": {}}),
        json!({"agent": {"of": null}}),
        json!({"pod": {"name": "api-1"}}),
        json!({"runner": null, "api": null}),
    ] {
        let read = site(unknown.clone());
        assert!(read.is_err(), "{unknown} was read as {read:?}");
    }
}

#[test]
fn a_place_without_a_site_is_refused() {
    let mut place = serde_json::to_value(Place::runner()).unwrap();
    assert!(serde_json::from_value::<Place>(place.clone()).is_ok());
    place["site"] = Value::Null;
    assert!(serde_json::from_value::<Place>(place.clone()).is_err());
    place.as_object_mut().unwrap().remove("site");
    assert!(serde_json::from_value::<Place>(place).unwrap_err().to_string().contains("`site`"));
}

#[test]
fn what_is_elsewhere_is_not_entered_from_here() {
    assert_eq!(Site::Runner.entry(), Ok(Entry::Own));
    let namespace = Namespace::new("/run/netns/blue");
    assert_eq!(Site::from(namespace.clone()).entry(), Ok(Entry::Namespace(&namespace)));
    assert_eq!(
        Site::Agent { of: pod() }.entry().unwrap_err().to_string(),
        "pod shop/api-1 is reached only by an agent that runs there, and this does not go through one"
    );
    assert_eq!(Site::Api.entry(), Err(OutOfReach::Api));
}

#[test]
fn objects_are_called_as_people_call_them() {
    let text = |id: ObjectId| id.to_string();
    assert_eq!(text(ObjectId::host("api-1")), "host api-1");
    assert_eq!(text(ObjectId::here()), "this machine");
    assert_eq!(text(ObjectId::netns("blue")), "netns blue");
    assert_eq!(text(ObjectId::process("web[7@9]")), "process web[7@9]");
    assert_eq!(text(pod()), "pod shop/api-1");
    assert_eq!(ObjectId::host("api-1").at([[10, 0, 0, 1].into()]).to_string(), "host api-1");
}

#[test]
fn identity_is_kind_namespace_name_and_uid() {
    let other = |change: fn(&mut ObjectId)| {
        let mut other = pod();
        change(&mut other);
        other
    };
    assert_ne!(pod(), other(|id| id.namespace = None));
    assert_ne!(pod(), other(|id| id.uid = Some("3".into())));
    assert_ne!(pod(), other(|id| id.kind = Kind::HOST));
    let text = serde_json::to_string(&pod()).unwrap();
    assert_eq!(text, r#"{"kind":"pod","namespace":"shop","name":"api-1","uid":"1-2"}"#);
    assert_eq!(serde_json::from_str::<ObjectId>(&text).unwrap(), pod());
    assert!(serde_json::from_str::<ObjectId>(r#"{"kind":"pod","name":"a","cluster":"b"}"#).is_err());
    assert!(serde_json::from_str::<ObjectId>(r#"{"kind":"","name":"a"}"#).is_err());
    assert!(serde_json::from_str::<ObjectId>(r#"{"name":"a"}"#).is_err());
}
