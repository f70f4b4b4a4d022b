//! The Lease beside each pod or other object that a run touches: who is on it, what is owed there, and how the run is stopped.
//!
//! A Lease (`coordination.k8s.io/v1`) is named after the uid of its object, so that of two runs exactly one can make it, from whichever
//! machines they come. Its runner renews it; one that is not renewed any more belongs to a runner that is dead or cut off. What is
//! owed stands in annotations, one for each debt, so that debts come and go without anybody reading before writing. The object
//! owns its Lease: with it goes everything that was owed there.

use std::{collections::BTreeMap, time::Duration};

use chaos_core::{
    injector::Undo,
    journal::Header,
    model::Cluster,
    place::{Kind, ObjectId},
    trouble::Trouble,
};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    jiff::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{object, record};

/// After how much silence a Lease counts as abandoned.
pub(crate) const DURATION: Duration = Duration::from_secs(12);

/// How often its runner renews it.
pub(crate) const RENEWAL: Duration = Duration::from_secs(3);

/// Which Leases are of this program.
pub(crate) const OURS: &str = "app.kubernetes.io/managed-by=chaos";

/// The label that says of which run a Lease is.
pub(crate) const RUN: &str = "chaos-runner/run";

/// The annotation of the namespace `kube-system` of a cluster in which no run may begin.
pub(crate) const BLOCKED: &str = "chaos-runner/blocked";

/// What stands before the uid of a pod in the name of its Lease.
const PREFIX: &str = "chaos-";

const HEADER: &str = "chaos-runner/header";
const STOP: &str = "chaos-runner/stop";
const DEBT: &str = "chaos-runner/debt-";
const FAULT: &str = "chaos-runner/fault-";

/// Who asked for something, how often, and when last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// How often: the first time a run reverts and ends, the second time it hurries, the third time it gives up.
    pub(crate) times: u32,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

/// Something that is owed to a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Debt {
    /// Counts up within a run: what came last is reverted first.
    pub(crate) number: u64,
    pub(crate) undo: Undo,
}

/// What a person who looks at the pod may want to know of a fault on it.
#[derive(Debug, Serialize)]
pub(crate) struct Notice<'a> {
    pub(crate) run: &'a str,
    pub(crate) experiment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<&'a str>,
    /// What is done to the pod.
    pub(crate) fault: String,
    /// When it ends at the latest, whoever is alive then.
    pub(crate) ends: Timestamp,
    /// What tells the record on the Lease from one that somebody else wrote there; none where nothing could be made of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seal: Option<String>,
    /// The command that ends it.
    pub(crate) stop: String,
}

/// Returns the name of the Lease of an object.
///
/// # Errors
/// The object has no uid, and so nothing that tells it from its successors.
pub(crate) fn name(object: &ObjectId) -> Result<String, Trouble> {
    match &object.uid {
        Some(uid) => Ok(format!("{PREFIX}{uid}")),
        None => Err(Trouble::internal(format!("{object} has no uid"))),
    }
}

/// Makes the Lease of a run on one of its targets.
///
/// # Errors
/// As of [`name`].
pub(crate) fn new(
    header: &Header,
    object: &ObjectId,
    owner: OwnerReference,
    now: Timestamp,
) -> Result<Lease, Trouble> {
    let name = name(object)?;
    // The other targets have their own.
    let header = Header { targets: vec![object.clone()], namespaces: Vec::new(), ..header.clone() };
    let said = serde_json::to_string(&header).map_err(|error| Trouble::internal(error.to_string()))?;
    let (key, value) = OURS.split_once('=').unwrap_or_default();
    Ok(Lease {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(object::home(object).to_owned()),
            labels: Some(BTreeMap::from([(key.into(), value.into()), (RUN.into(), header.run.clone())])),
            annotations: Some(BTreeMap::from([(HEADER.into(), said)])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(header.run),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    })
}

/// Returns the patch that renews a Lease.
pub(crate) fn renewed(now: Timestamp) -> Value {
    json!({ "spec": { "renewTime": MicroTime(now) } })
}

/// Returns the patch that sets, or removes, an annotation.
pub(crate) fn annotated(key: &str, value: Option<String>) -> Value {
    json!({ "metadata": { "annotations": { key: value } } })
}

/// Returns the annotation of the Lease under which a debt of a run stands.
pub(crate) fn debt_key(undo: &Undo) -> String {
    format!("{DEBT}{}", digest(&undo.id))
}

/// Returns the annotation of the pod under which a fault of a run is announced.
pub(crate) fn fault_key(run: &str, undo: &Undo) -> String {
    format!("{FAULT}{}", digest(&format!("{run} {}", undo.id)))
}

/// Shortens an id to what a key of an annotation takes.
fn digest(id: &str) -> String {
    Sha256::digest(id).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns of which run a Lease is.
pub(crate) fn run_of(lease: &Lease) -> &str {
    lease.metadata.labels.as_ref().and_then(|labels| labels.get(RUN)).map_or("", String::as_str)
}

/// Returns what a Lease says of its run; none where that cannot be read.
pub(crate) fn header(lease: &Lease) -> Option<Header> {
    serde_json::from_str(annotation(lease, HEADER)?).ok()
}

/// Returns how its run was asked to stop, if it was.
pub(crate) fn stop(lease: &Lease) -> Option<Request> {
    serde_json::from_str(annotation(lease, STOP)?).ok()
}

/// Returns the patch that asks its run to stop, once more.
///
/// # Errors
/// The request cannot be written.
pub(crate) fn stopped(lease: &Lease, by: &str, now: Timestamp) -> Result<Value, Trouble> {
    let times = stop(lease).map_or(0, |request| request.times).saturating_add(1);
    let request = serde_json::to_string(&Request { times, by: by.to_owned(), at: now });
    Ok(annotated(STOP, Some(request.map_err(|error| Trouble::internal(error.to_string()))?)))
}

/// Returns what is owed in a cluster, in no order. Whoever may write Leases in a namespace may write this, so it is believed as far as
/// it is about the pod of the Lease.
///
/// # Errors
/// A debt cannot be read or is about something else: it is of another version, or was changed by hand.
pub(crate) fn debts(lease: &Lease, cluster: &Cluster) -> Result<Vec<Debt>, Trouble> {
    let all = lease.metadata.annotations.iter().flatten().filter(|(key, _)| key.starts_with(DEBT));
    let pod = pod_of(lease);
    let read = |value: &str| {
        let debt: Debt = serde_json::from_str(value).map_err(|error| error.to_string())?;
        let undo = record::vouched(debt.undo, cluster, run_of(lease), &pod)?;
        Ok(Debt { undo, ..debt })
    };
    all.map(|(key, value)| {
        read(value).map_err(|why: String| {
            let name = lease.metadata.name.as_deref().unwrap_or_default();
            let within = lease.metadata.namespace.as_deref().unwrap_or_default();
            Trouble::unable(format!(
                "the annotation `{key}` of the Lease `{name}` in `{within}` is not believed: {why}"
            ))
            .with_help("if its run was of another version of `chaos`, use that; if somebody changed it, look at the pod")
        })
    })
    .collect()
}

/// Returns the object that a Lease is beside, by the Lease's name, as a pod if it is one.
fn pod_of(lease: &Lease) -> ObjectId {
    let uid = lease.metadata.name.as_deref().and_then(|name| name.strip_prefix(PREFIX));
    ObjectId {
        kind: Kind::POD,
        namespace: lease.metadata.namespace.clone(),
        name: String::new(),
        uid: uid.map(str::to_owned),
    }
}

/// Returns whether anything is owed.
pub(crate) fn owes(lease: &Lease) -> bool {
    lease.metadata.annotations.iter().flatten().any(|(key, _)| key.starts_with(DEBT))
}

fn annotation<'a>(lease: &'a Lease, key: &str) -> Option<&'a str> {
    lease.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use chaos_core::{
        injector::{Ask, Hold, Offer, Work},
        model::Custom,
        place::Site,
    };

    use super::*;
    use crate::{fake, record::State};

    fn pod() -> ObjectId {
        ObjectId {
            kind: Kind::POD,
            namespace: Some("shop".into()),
            name: "client".into(),
            uid: Some("7d3a".into()),
        }
    }

    fn header() -> Header {
        Header {
            version: chaos_core::journal::entry::VERSION,
            run: "20261126-1".into(),
            experiment: "slow".into(),
            owner: Some("team-shop".into()),
            started: Timestamp::UNIX_EPOCH,
            pid: 7,
            plan: "p".into(),
            targets: vec![pod(), ObjectId { uid: Some("other".into()), ..pod() }],
            namespaces: vec![None, None],
        }
    }

    fn undo(id: &str) -> Undo {
        let custom = Custom { injector: "x".into(), settings: Vec::new() };
        let ask = Ask { fault: "slow".into(), object: pod(), work: Work::Custom(custom), seed: 1 };
        let offer = Offer {
            backend: "x".into(),
            ask,
            hold: Hold::Agent,
            does: Vec::new(),
            undoes: String::new(),
            because: Vec::new(),
            takes: Vec::new(),
        };
        Undo {
            id: id.into(),
            injector: "pods".into(),
            offer,
            site: Site::Agent { of: pod() },
            deadline: Duration::from_secs(1),
            state: state(Vec::new()),
            line: String::new(),
        }
    }

    fn state(parts: Vec<Undo>) -> Value {
        let state = State { cluster: fake::cluster(), image: None, run: Some(header().run), parts };
        serde_json::to_value(state).unwrap()
    }

    /// The Lease with one debt.
    fn owing(undo: &Undo) -> Lease {
        let mut lease = new(&header(), &pod(), OwnerReference::default(), Timestamp::UNIX_EPOCH).unwrap();
        let debt = serde_json::to_string(&Debt { number: 0, undo: undo.clone() }).unwrap();
        lease.metadata.annotations.get_or_insert_default().insert(debt_key(undo), debt);
        lease
    }

    #[test]
    fn a_debt_that_is_about_anything_but_the_pod_is_not_believed() {
        let fine = undo("slow/a/1");
        let part = Undo { injector: "network".into(), state: Value::Null, ..fine.clone() };
        let whole = Undo { state: state(vec![part.clone()]), ..fine.clone() };
        assert_eq!(debts(&owing(&whole), &fake::cluster()).unwrap().len(), 1);
        let elsewhere = ObjectId { namespace: Some("kube-system".into()), ..pod() };
        let other = ObjectId { uid: Some("other".into()), ..pod() };
        let at = |site: Site, undo: &Undo| Undo { site, ..undo.clone() };
        let on = |object: &ObjectId, undo: &Undo| {
            let ask = Ask { object: object.clone(), ..undo.offer.ask.clone() };
            let offer = Offer { ask, ..undo.offer.clone() };
            Undo { offer, site: Site::Agent { of: object.clone() }, ..undo.clone() }
        };
        let with = |part: Undo| Undo { state: state(vec![part]), ..fine.clone() };
        let (mut cluster, mut run) = (fine.clone(), fine.clone());
        cluster.state["cluster"]["uid"] = "another".into();
        run.state["run"] = "another".into();
        let forged = [
            // What the restorer's own machine would do.
            Undo { injector: "network".into(), ..fine.clone() },
            at(Site::Runner, &fine),
            at(Site::Api, &fine),
            at(Site::Agent { of: other.clone() }, &fine),
            at(Site::Agent { of: elsewhere.clone() }, &fine),
            on(&other, &fine),
            on(&elsewhere, &fine),
            with(at(Site::Runner, &part)),
            with(on(&other, &part)),
            with(on(&elsewhere, &part)),
            cluster,
            run,
            Undo { state: Value::Null, ..fine.clone() },
        ];
        for undo in &forged {
            let error = debts(&owing(undo), &fake::cluster()).unwrap_err();
            assert!(error.message.contains("is not believed"), "{undo:?}: {error}");
        }
        // Nor is the image, with which its own author would run in the pod.
        let mut image = fine.clone();
        image.state["image"] = "evil:1".into();
        let read = debts(&owing(&image), &fake::cluster()).unwrap();
        assert_eq!(read[0].undo.state["image"], Value::Null);
    }

    #[test]
    fn a_lease_says_of_its_own_pod_who_is_on_it() {
        let lease = new(&header(), &pod(), OwnerReference::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((lease.metadata.name.as_deref(), run_of(&lease)), (Some("chaos-7d3a"), "20261126-1"));
        assert_eq!(super::header(&lease).unwrap().targets, [pod()]);
        assert!(!owes(&lease) && stop(&lease).is_none());
        assert!(
            new(
                &header(),
                &ObjectId { uid: None, ..pod() },
                OwnerReference::default(),
                Timestamp::UNIX_EPOCH
            )
            .is_err()
        );
    }

    #[test]
    fn a_debt_is_read_as_it_was_written_and_what_others_wrote_is_not_one() {
        let mut lease = new(&header(), &pod(), OwnerReference::default(), Timestamp::UNIX_EPOCH).unwrap();
        let (one, other) = (undo("slow/a/1"), undo("slow/a/2"));
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert("example.org/debt-1".into(), "nothing of ours".into());
        for (number, undo) in [(0, &one), (1, &other)] {
            let debt = serde_json::to_string(&Debt { number, undo: undo.clone() }).unwrap();
            annotations.insert(debt_key(undo), debt);
        }
        let mut read = debts(&lease, &fake::cluster()).unwrap();
        read.sort_by_key(|debt| debt.number);
        assert_eq!(read.into_iter().map(|debt| debt.undo).collect::<Vec<_>>(), [one.clone(), other]);
        // The part of a key behind its prefix has at most 63 characters.
        assert!(debt_key(&undo(&"x".repeat(300))).len() < 63);
        assert_ne!(fault_key("one", &one), fault_key("another", &one));
        lease.metadata.annotations.get_or_insert_default().insert(debt_key(&one), "{".into());
        let error = debts(&lease, &fake::cluster()).unwrap_err();
        assert!(error.message.contains("the Lease `chaos-7d3a` in `shop` is not believed"), "{error}");
        assert!(owes(&lease), "what cannot be read is owed all the same");
    }

    #[test]
    fn each_request_to_stop_counts_one_more() {
        let mut lease = new(&header(), &pod(), OwnerReference::default(), Timestamp::UNIX_EPOCH).unwrap();
        for times in 1..=3 {
            let patch = stopped(&lease, "ann@host", Timestamp::UNIX_EPOCH).unwrap();
            let asked = patch["metadata"]["annotations"][STOP].as_str().unwrap().to_owned();
            lease.metadata.annotations.get_or_insert_default().insert(STOP.into(), asked);
            let request = stop(&lease).unwrap();
            assert_eq!((request.times, &*request.by), (times, "ann@host"));
        }
    }
}
