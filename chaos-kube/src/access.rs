//! The rights that an experiment takes: no more than it uses.

#![warn(clippy::wildcard_enum_match_arm)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use chaos_core::{
    capability::Capability,
    model::{
        Action, Cluster, Experiment, ObjectFault, Pick, ProbeKind, Selector, Vantage, Watched,
        cluster::{Criterion, WorkloadKind},
        packets::Who,
        scope::RadiusUnit,
    },
    trouble::Trouble,
    which::Which,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;

use crate::{Link, object, rights::Right};

/// How many rights are asked for at once.
const AT_ONCE: usize = 16;

/// What is done with the Leases of a claim.
const CLAIM: [&str; 6] = ["create", "delete", "get", "list", "patch", "watch"];

/// What may be done to what: the API group, the resource, and the verbs.
type Rules = BTreeMap<(String, String), BTreeSet<&'static str>>;

/// The rights that experiments in one cluster take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// By namespace.
    namespaces: BTreeMap<String, Rules>,
    /// Of the cluster as a whole.
    whole: Rules,
    /// By namespace, what a plan only says more with; none is the whole cluster.
    remarks: BTreeMap<Option<String>, Rules>,
}

impl Access {
    /// Returns the rights that planning and running one experiment takes.
    pub fn of(experiment: &Experiment) -> Self {
        let mut access = Access::default();
        access.add(experiment);
        access
    }

    /// Adds what planning and running an experiment takes; nothing for one in no cluster.
    pub fn add(&mut self, experiment: &Experiment) {
        let Some(cluster) = experiment.scope.cluster() else { return };
        let targets = experiment.targets.iter().map(|target| &target.selector);
        let packets = experiment.faults.iter().filter_map(|fault| fault.action.packets());
        let peers = packets.filter_map(|packets| match &packets.traffic.peers {
            Which::These(peers) => Some(peers),
            Which::Any => None,
        });
        let peers = peers.flat_map(|peers| peers.iter()).filter_map(|peer| match &peer.who {
            Who::Objects(selector) => Some(selector),
            Who::Network { .. } | Who::Name(_) => None,
        });
        let limits = experiment.blast_radius.iter().filter_map(|limit| match &limit.of {
            RadiusUnit::Of(selector) => Some(selector),
            RadiusUnit::Hosts
            | RadiusUnit::Processes
            | RadiusUnit::Pods
            | RadiusUnit::Nodes
            | RadiusUnit::Objects => None,
        });
        for selector in targets.chain(peers).chain(limits) {
            self.find(selector, cluster);
        }
        if experiment.targets.iter().any(|target| matches!(target.pick, Pick::PerZone(_))) {
            // Where its nodes are.
            self.allow_whole("", "nodes", &["list"]);
        }
        for probe in &experiment.probes {
            if let ProbeKind::Kube(watched) = &probe.kind {
                self.watch(watched, cluster);
            }
        }
        let probed = experiment.probes.iter().filter_map(|probe| match &probe.from {
            Vantage::Each(selector) => Some(selector),
            Vantage::Runner => None,
        });
        let done = experiment.faults.iter().map(|fault| (&fault.action, &fault.on));
        let made = experiment.changes.iter().map(|change| (&change.action, &change.on));
        let (on_objects, others): (Vec<_>, Vec<_>) =
            done.chain(made).partition(|(action, _)| matches!(action, Action::Objects(_)));
        for (action, on) in on_objects {
            if let Action::Objects(fault) = action {
                self.act(fault, experiment.finder(on), cluster);
            }
        }
        let faulted = others.into_iter().map(|(_, on)| (on, true));
        for (selector, faulted) in faulted.chain(probed.map(|from| (from, false))) {
            let Selector::Named(name) = selector else { continue };
            let target = experiment.targets.iter().find(|target| target.name == *name);
            if let Some(Selector::Pods(pods)) = target.map(|target| &target.selector) {
                let namespace = pods.namespace.as_ref().unwrap_or(&cluster.namespace);
                self.agents(namespace);
                if faulted {
                    self.opposition(namespace);
                }
            }
        }
    }

    /// Adds what it takes to do something to objects, and to put it back.
    fn act(&mut self, fault: &ObjectFault, on: &Selector, cluster: &Cluster) {
        let (namespace, group, resource) = match on {
            Selector::Object(object) => {
                let resource = (object.kind.group.as_str(), object.kind.plural.as_str());
                if object.kind.is_of_no_namespace() {
                    return self.act_on_whole(fault, resource);
                }
                (object.namespace.as_ref(), resource.0, resource.1)
            }
            Selector::Pods(pods) => (pods.namespace.as_ref(), "", "pods"),
            Selector::Hosts(_)
            | Selector::Here(_)
            | Selector::Netns(_)
            | Selector::Process(_)
            | Selector::Service(_)
            | Selector::Named(_) => return,
        };
        let namespace = namespace.unwrap_or(&cluster.namespace);
        self.allow(namespace, group, resource, &["get", "list", "patch", "watch"]);
        self.claim(namespace);
        if (group, resource) == ("apps", "deployments") {
            // What is announced on a Deployment, its controller copies to them.
            self.allow(namespace, "apps", "replicasets", &["list", "patch"]);
        }
        match fault {
            ObjectFault::Scale { .. } | ObjectFault::Restart => {
                self.allow(namespace, "", "pods", &["get", "list"]);
            }
            ObjectFault::Patch { .. } | ObjectFault::Drain { .. } => return,
            ObjectFault::Detach { .. } => self.allow(namespace, "", "services", &["get"]),
            ObjectFault::Delete { .. } => self.allow(namespace, "", "pods", &["delete"]),
            ObjectFault::Evict => self.allow(namespace, "", "pods/eviction", &["create"]),
        }
        self.opposition(namespace);
    }

    /// Adds what it takes to do something to an object of no namespace, and to put it back.
    fn act_on_whole(&mut self, fault: &ObjectFault, (group, resource): (&str, &str)) {
        self.allow_whole(group, resource, &["get", "list", "patch", "watch"]);
        self.claim(object::HOME);
        if !matches!(fault, ObjectFault::Drain { .. }) {
            return;
        }
        // Of which namespaces the pods of a node are, only the cluster knows.
        self.allow_whole("", "pods", &["get", "list"]);
        self.allow_whole("", "pods/eviction", &["create"]);
        self.allow_whole("policy", "poddisruptionbudgets", &["list"]);
        self.allow_whole("coordination.k8s.io", "leases", &CLAIM);
        self.more(None);
    }

    fn allow_whole(&mut self, group: &str, resource: &str, verbs: &[&'static str]) {
        self.whole.entry((group.to_owned(), resource.to_owned())).or_default().extend(verbs);
    }

    /// Adds what a run's claim to objects of a namespace takes.
    fn claim(&mut self, namespace: &str) {
        self.allow(namespace, "coordination.k8s.io", "leases", &CLAIM);
    }

    /// Adds what agents in the pods of a namespace take.
    pub(crate) fn agents(&mut self, namespace: &str) {
        self.allow(namespace, "", "pods", &["get", "list", "watch"]);
        // What is done to them is announced on them, and the run's claim to them stands on Leases.
        self.allow(namespace, "", "pods", &["patch"]);
        self.claim(namespace);
        self.allow(namespace, "", "pods/ephemeralcontainers", &["patch"]);
        // The handshake of a WebSocket is a get, and what it opens is created.
        self.allow(namespace, "", "pods/attach", &["create", "get"]);
    }

    /// Adds what it takes to see who is against faults on the pods of a namespace.
    fn opposition(&mut self, namespace: &str) {
        self.allow(namespace, "policy", "poddisruptionbudgets", &["list"]);
        self.more(Some(namespace));
    }

    /// Adds what a plan only says more with.
    fn more(&mut self, namespace: Option<&str>) {
        let rules = self.remarks.entry(namespace.map(str::to_owned)).or_default();
        let mut add = |group: &str, resource: &str, verb| {
            rules.entry((group.to_owned(), resource.to_owned())).or_default().insert(verb);
        };
        add("autoscaling", "horizontalpodautoscalers", "list");
        for owner in ["daemonsets", "deployments", "replicasets", "statefulsets"] {
            add("apps", owner, "get");
        }
        add("batch", "jobs", "get");
    }

    /// Finds out which of these rights this user does not have: a refusal, or none. Nothing is known where that may not be asked.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn lacking(&self, link: &Link) -> Result<Option<Trouble>, Trouble> {
        let client = link.client().await?;
        let by = &client;
        let all: Vec<Right> = self.each().collect();
        let asked = stream::iter(all).map(|right| async move {
            let refused = right.refused(link, by).await?;
            Ok::<_, Trouble>(refused.map(|_| format!("`{right}` in {}", right.place())))
        });
        let missing: Vec<Option<String>> = match asked.buffered(AT_ONCE).try_collect().await {
            Ok(missing) => missing,
            Err(trouble) if trouble.is_denied() => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let missing: Vec<String> = missing.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok(None);
        }
        let message =
            format!("this user may not {}, which a run of this experiment needs", missing.join(", "));
        Ok(Some(
            Trouble::denied(message)
                .with_help("a role has to allow it; `chaos rbac FILE` prints the least role for a file"),
        ))
    }

    /// Asks of each of these rights whether this user has it.
    ///
    /// # Errors
    /// Nobody answers, or even that may not be asked.
    pub(crate) async fn capabilities(
        &self,
        link: &Link,
        client: &Client,
    ) -> Result<Vec<Capability>, Trouble> {
        let mut all = Vec::new();
        for right in self.each() {
            let name = right.to_string();
            all.push(match right.refused(link, client).await? {
                None => Capability::available(name),
                Some(why) => {
                    Capability::forbidden(name, why, "`chaos rbac FILE` prints the least role for a file")
                }
            });
        }
        Ok(all)
    }

    /// Returns each right for itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = Right> {
        let whole = (None, &self.whole);
        let namespaces = self.namespaces.iter().map(|(namespace, rules)| (Some(namespace), rules));
        std::iter::once(whole).chain(namespaces).flat_map(|(namespace, rules)| {
            rules.iter().flat_map(move |((group, resource), verbs)| {
                verbs.iter().map(move |verb| Right {
                    namespace: namespace.cloned(),
                    group: group.clone(),
                    resource: resource.clone(),
                    verb,
                })
            })
        })
    }

    /// Adds what it takes to find objects.
    fn find(&mut self, selector: &Selector, cluster: &Cluster) {
        match selector {
            Selector::Pods(pods) => {
                let namespace = pods.namespace.as_ref().unwrap_or(&cluster.namespace);
                self.allow(namespace, "", "pods", &["list"]);
                let Criterion::Of(workload) = &pods.by else { return };
                match workload.kind {
                    WorkloadKind::Deployment => {
                        self.allow(namespace, "apps", "deployments", &["get"]);
                        self.allow(namespace, "apps", "replicasets", &["list"]);
                    }
                    WorkloadKind::Statefulset => self.allow(namespace, "apps", "statefulsets", &["get"]),
                    WorkloadKind::Daemonset => self.allow(namespace, "apps", "daemonsets", &["get"]),
                    WorkloadKind::Job => self.allow(namespace, "batch", "jobs", &["get"]),
                    WorkloadKind::Service => self.service(namespace),
                }
            }
            Selector::Service(service) => {
                self.service(service.namespace.as_ref().unwrap_or(&cluster.namespace));
            }
            Selector::Hosts(_)
            | Selector::Here(_)
            | Selector::Netns(_)
            | Selector::Process(_)
            | Selector::Object(_)
            | Selector::Named(_) => {}
        }
    }

    /// Adds what it takes to watch a part of the cluster's state.
    fn watch(&mut self, watched: &Watched, cluster: &Cluster) {
        let (namespace, group, resource) = match watched {
            Watched::ReadyEndpoints(service) => {
                (service.namespace.as_ref(), "discovery.k8s.io", "endpointslices")
            }
            Watched::Pods { pods, .. } => (pods.namespace.as_ref(), "", "pods"),
            Watched::Object { object, .. } if object.kind.is_of_no_namespace() => {
                return self.allow_whole(&object.kind.group, &object.kind.plural, &["list", "watch"]);
            }
            Watched::Object { object, .. } => {
                (object.namespace.as_ref(), object.kind.group.as_str(), object.kind.plural.as_str())
            }
        };
        self.allow(namespace.unwrap_or(&cluster.namespace), group, resource, &["list", "watch"]);
    }

    fn service(&mut self, namespace: &str) {
        self.allow(namespace, "", "services", &["get"]);
        self.allow(namespace, "discovery.k8s.io", "endpointslices", &["list"]);
    }

    fn allow(&mut self, namespace: &str, group: &str, resource: &str, verbs: &[&'static str]) {
        let rules = self.namespaces.entry(namespace.to_owned()).or_default();
        rules.entry((group.to_owned(), resource.to_owned())).or_default().extend(verbs);
    }

    /// Returns whether nothing takes any right.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.whole.is_empty()
    }

    /// Writes the roles and their bindings as manifests, for a service account of this name in a namespace.
    pub fn manifests(&self, account: &str, namespace: &str) -> String {
        let mut out = String::new();
        // A file that can be read and compared says everything once, and in a fixed order.
        let _ = writeln!(out, "# Reads the uid of the cluster.");
        let system = Rules::from([((String::new(), "namespaces".to_owned()), BTreeSet::from(["get"]))]);
        role(&mut out, "ClusterRole", None, account, &system, Some("kube-system"));
        for ((group, resource), verbs) in &self.whole {
            let _ = writeln!(out, "{}", rule(group, resource, verbs, None));
        }
        self.remarked(&mut out, None, &self.whole);
        binding(&mut out, "ClusterRole", None, account, namespace);
        for (within, rules) in &self.namespaces {
            role(&mut out, "Role", Some(within), account, rules, None);
            self.remarked(&mut out, Some(within), rules);
            binding(&mut out, "Role", Some(within), account, namespace);
        }
        out
    }

    /// Writes what a plan only says more with, as far as it is not there anyway.
    fn remarked(&self, out: &mut String, within: Option<&String>, rules: &Rules) {
        for ((group, resource), verbs) in self.remarks.get(&within.cloned()).into_iter().flatten() {
            let needed = rules.get(&(group.clone(), resource.clone()));
            let more = verbs.iter().copied().filter(|verb| needed.is_none_or(|has| !has.contains(verb)));
            let more: BTreeSet<_> = more.collect();
            if !more.is_empty() {
                let _ =
                    writeln!(out, "{} # only for remarks of the plan", rule(group, resource, &more, None));
            }
        }
    }
}

fn role(out: &mut String, kind: &str, within: Option<&str>, name: &str, rules: &Rules, only: Option<&str>) {
    head(out, kind, within, name);
    out.push_str("rules:\n");
    for ((group, resource), verbs) in rules {
        let _ = writeln!(out, "{}", rule(group, resource, verbs, only));
    }
}

fn rule(group: &str, resource: &str, verbs: &BTreeSet<&str>, only: Option<&str>) -> String {
    let verbs = verbs.iter().copied().collect::<Vec<_>>().join(", ");
    let only = only.map(|only| format!(", resourceNames: [{only}]")).unwrap_or_default();
    format!("- {{apiGroups: [\"{group}\"], resources: [{resource}]{only}, verbs: [{verbs}]}}")
}

fn binding(out: &mut String, of: &str, within: Option<&str>, name: &str, namespace: &str) {
    head(out, &format!("{of}Binding"), within, name);
    let _ = writeln!(out, "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {of}, name: \"{name}\"}}");
    let _ =
        writeln!(out, "subjects: [{{kind: ServiceAccount, name: \"{name}\", namespace: \"{namespace}\"}}]");
}

fn head(out: &mut String, kind: &str, within: Option<&str>, name: &str) {
    let within = within.map(|within| format!(", namespace: \"{within}\"")).unwrap_or_default();
    let _ = writeln!(out, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}");
    let _ = writeln!(out, "metadata: {{name: \"{name}\"{within}}}");
}

#[cfg(test)]
mod tests {
    use chaos_core::{
        model::{
            Fault, FaultSpec, Pick, Pods, Probe, Scope, Target,
            cluster::{Service, Workload},
        },
        span::Span,
    };

    use super::*;
    use crate::fake;

    fn target(name: &str, kind: WorkloadKind, namespace: Option<&str>) -> Target {
        let by = Criterion::Of(Workload { kind, name: "x".into() });
        let pods = Pods { by, namespace: namespace.map(Into::into), span: Span::NONE };
        Target { name: name.into(), selector: Selector::Pods(pods), pick: Pick::Count(1) }
    }

    /// The rules of a namespace, as `verbs resource`.
    fn rules(access: &Access, namespace: &str) -> Vec<String> {
        let rules = access.namespaces.get(namespace).into_iter().flatten();
        let said = rules.map(|((_, resource), verbs)| {
            format!("{} {resource}", verbs.iter().copied().collect::<Vec<_>>().join(","))
        });
        said.collect()
    }

    #[test]
    fn each_namespace_gives_what_is_used_in_it_and_no_more() {
        let mut experiment = Experiment::new("x", "y");
        experiment.scope = Scope::Cluster(fake::cluster());
        let action = FaultSpec::delay(std::time::Duration::from_millis(1))
            .to(Selector::Service(Service { name: "db".into(), namespace: Some("data".into()) }));
        experiment.targets = vec![
            target("db", WorkloadKind::Statefulset, Some("data")),
            target("gen", WorkloadKind::Job, None),
        ];
        let named = |name: &str| Selector::Named(name.into());
        experiment = experiment.with_fault(Fault::new("slow", Action::from(action), named("gen")));
        let mut access = Access::default();
        access.add(&experiment);
        let run = ["get,list,patch,watch pods", "create,get pods/attach", "patch pods/ephemeralcontainers"];
        let claim = "create,delete,get,list,patch,watch leases";
        let budgets = "list poddisruptionbudgets";
        assert_eq!(rules(&access, "shop"), [&run[..], &["get jobs", claim, budgets]].concat());
        // What is needed anyway is not there a second time, only for remarks.
        let printed = access.manifests("chaos", "shop");
        let remarks: Vec<&str> =
            printed.lines().filter(|line| line.ends_with("# only for remarks of the plan")).collect();
        assert_eq!(remarks.len(), 5, "{printed}");
        assert!(!remarks.iter().any(|line| line.contains("jobs")), "{printed}");
        // Only looked at: nothing is put into its pods.
        let looked = ["list pods", "get services", "get statefulsets", "list endpointslices"];
        assert_eq!(rules(&access, "data"), looked);
        experiment = experiment.with_probe(Probe::tcp("up", "db:1").sent_from(named("db")));
        access.add(&experiment);
        assert_eq!(rules(&access, "data")[..3], run);
    }

    #[test]
    fn what_is_in_no_cluster_takes_no_right() {
        let mut access = Access::default();
        access.add(&Experiment::new("x", "y"));
        assert!(access.is_empty());
    }
}
