//! A client and two Services in a namespace of their own.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chaos_tests::{Chaos, Running, repository};
use nix::unistd::Pid;
use serde_json::Value;

const MANIFEST: &str = include_str!("shop.yaml");

/// Says what stands in a network namespace: its interfaces, queues and filters. The length of an interface's queue is left out: the
/// kernel sets it where there was none when a queue is first put on it, and does not unset it.
const LOOK: &str = "ip -o link | sed -E 's/( qlen [0-9]+)? *[\\\\] */ /'; tc qdisc show; \
                    for i in $(ls /sys/class/net); do tc filter show dev $i; tc filter show dev $i ingress; done 2>/dev/null; true";

/// How long a cluster may take after an outage of its parts until it works as before.
pub(crate) const RECOVERY: Duration = Duration::from_secs(100);

/// Whether the cluster is as it should be: a test that breaks parts of it waits until no other uses it.
static WHOLE: RwLock<()> = RwLock::new(());

/// What a test has of the cluster for as long as it runs.
enum Share {
    /// A namespace.
    #[expect(dead_code, reason = "held, not read")]
    Namespace(RwLockReadGuard<'static, ()>),
    /// All of it.
    #[expect(dead_code, reason = "held, not read")]
    Alone(RwLockWriteGuard<'static, ()>),
}

/// A namespace of the cluster with a client and the Services `web` and `other`.
pub(crate) struct Shop {
    kubeconfig: String,
    pub(crate) namespace: String,
    pub(crate) chaos: Chaos,
    share: Share,
}

impl Shop {
    /// Opens one; prints why a test is skipped where there is no cluster.
    pub(crate) fn or_skip() -> Option<Shop> {
        Shop::open(|| Share::Namespace(WHOLE.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Opens one in a cluster that nobody else uses meanwhile, and whose parts are processes of this machine that may be broken.
    pub(crate) fn alone_or_skip() -> Option<Shop> {
        if env::var_os("CHAOS_TEST_CLUSTER").is_none() {
            println!("skipped: this takes a cluster of the tests' own, whose parts may be broken");
            return None;
        }
        Shop::open(|| Share::Alone(WHOLE.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn open(share: impl FnOnce() -> Share) -> Option<Shop> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let Ok(kubeconfig) = env::var("CHAOS_TEST_KUBECONFIG") else {
            println!("skipped: CHAOS_TEST_KUBECONFIG names no cluster to test on");
            return None;
        };
        let share = share();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("chaos-test-{}-{number}", std::process::id());
        let shop = Shop { kubeconfig, namespace, chaos: Chaos::new(), share };
        let image = env::var("CHAOS_TEST_IMAGE").unwrap_or_else(|_| "localhost/tools:1".into());
        shop.kubectl(&["create", "namespace", &shop.namespace]);
        let manifest = shop.chaos.file("shop.yaml", MANIFEST.replace("IMAGE", &image));
        let manifest = shop.chaos.path().join(manifest).display().to_string();
        shop.kubectl(&["-n", &shop.namespace, "apply", "-f", &manifest]);
        for name in ["client", "web", "other"] {
            let name = format!("deployment/{name}");
            shop.kubectl(&["-n", &shop.namespace, "rollout", "status", &name, "--timeout=60s"]);
        }
        // A node takes a moment to lead a Service's address to pods that are ready, and longer where it has just lost the API server
        // for a while: it then asks less and less often.
        let client = shop.pod("client");
        let (services, started) = (["web", "other"], Instant::now());
        while !services.iter().all(|service| shop.request(&client, service).is_some()) {
            assert!(started.elapsed() < RECOVERY, "the Services do not answer");
        }
        Some(shop)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(arguments).env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        kubectl
    }

    /// Calls kubectl, which has to succeed, and returns what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let ended = self.command(arguments).output().expect("kubectl is on the PATH");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "kubectl {arguments:?}: {said}");
        String::from_utf8_lossy(&ended.stdout).trim().to_owned()
    }

    /// Returns a scenario of the project, made for this cluster and namespace.
    pub(crate) fn scenario(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let path = repository().join("scenarios/kubernetes").join(name);
        let mut text = fs::read_to_string(path).expect("the scenario is there");
        let uid = self.kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]);
        let context = self.kubectl(&["config", "current-context"]);
        let own = [
            ("00000000-0000-0000-0000-000000000000", uid.as_str()),
            ("\"default\"", &format!("\"{context}\"")),
            ("chaos-demo", &self.namespace),
        ];
        for (from, to) in own.iter().chain(changes) {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        self.chaos.file(name, text)
    }

    /// Starts the command, with the cluster and the agent's image.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_as(&self.kubeconfig, arguments)
    }

    /// Starts the command with another kubeconfig, a file of the place that it is called from.
    pub(crate) fn start_as(&self, kubeconfig: &str, arguments: &[&str]) -> Running {
        let mut command = self.chaos.command(arguments);
        command.env("KUBECONFIG", kubeconfig);
        self.chaos.start_prepared(command, arguments.join(" "))
    }

    /// Starts the command as on another machine, which knows nothing of the runs on this one.
    pub(crate) fn start_elsewhere(&self, other: &Chaos, arguments: &[&str]) -> Running {
        let mut command = other.command(arguments);
        command.env("KUBECONFIG", &self.kubeconfig);
        other.start_prepared(command, arguments.join(" "))
    }

    /// Returns the name of the one pod of a Deployment.
    pub(crate) fn pod(&self, deployment: &str) -> String {
        let label = format!("app={deployment}");
        self.kubectl(&[
            "-n",
            &self.namespace,
            "get",
            "pods",
            "-l",
            &label,
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ])
    }

    /// Says what stands in a pod's network, as the API server leads into it.
    pub(crate) fn network(&self, pod: &str) -> String {
        self.kubectl(&["-n", &self.namespace, "exec", pod, "-c", "main", "--", "sh", "-c", LOOK])
    }

    /// Measures in a pod how long a request to a Service takes, in seconds; nothing where it fails within two.
    pub(crate) fn request(&self, pod: &str, service: &str) -> Option<f64> {
        let url = format!("http://{service}/");
        let arguments = [
            "-n",
            &self.namespace,
            "exec",
            pod,
            "-c",
            "main",
            "--",
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-m",
            "2",
            "-w",
            "%{time_total}",
            &url,
        ];
        let ended = self.command(&arguments).output().expect("kubectl is on the PATH");
        let printed = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        ended.status.success().then(|| printed.parse().expect("curl prints a time"))
    }

    /// Returns the number of the node that a pod is on, where the nodes are the recipe's.
    pub(crate) fn node_of(&self, pod: &str) -> String {
        let node =
            self.kubectl(&["-n", &self.namespace, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"]);
        node.strip_prefix("node").expect("the nodes are the recipe's").to_owned()
    }

    /// Returns a process of a pod by its name, where the nodes are processes of this machine.
    pub(crate) fn process(&self, pod: &str, name: &str) -> Option<Pid> {
        let uid = self.kubectl(&["-n", &self.namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"]);
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_it = |pid: &i32| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            read("comm").trim() == name && read("cgroup").replace('_', "-").contains(&uid)
        };
        pids.find(is_it).map(Pid::from_raw)
    }

    /// Returns the process of the agent in a pod, where the nodes are processes of this machine.
    pub(crate) fn agent_process(&self, pod: &str) -> Option<Pid> {
        self.process(pod, "chaos-agent")
    }

    /// Breaks a part of the cluster with a script of the recipe, until what is returned is dropped.
    pub(crate) fn breaks(&self, breaks: &[&str], mends: &[&str]) -> Broken {
        assert!(matches!(self.share, Share::Alone(_)), "others use the cluster");
        let owned = mends.iter().map(|word| (*word).to_owned()).collect();
        recipe(breaks);
        Broken { mends: owned, kubeconfig: self.kubeconfig.clone() }
    }

    /// Returns what the pod's status says of its agents' containers.
    pub(crate) fn agents(&self, pod: &str) -> Vec<Value> {
        let pod = self.kubectl(&["-n", &self.namespace, "get", "pod", pod, "-o", "json"]);
        let pod: Value = serde_json::from_str(&pod).expect("kubectl prints JSON");
        pod["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default()
    }
}

/// Says what stands in the network of a process, without the API server.
pub(crate) fn network_of(process: Pid) -> String {
    let ended = Command::new("nsenter")
        .args(["--all", "--target", &process.to_string(), "sh", "-c", LOOK])
        .output()
        .expect("there is nsenter");
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}

/// A part of the cluster that is broken; it is mended, and the cluster waited for, when this is dropped.
pub(crate) struct Broken {
    mends: Vec<String>,
    kubeconfig: String,
}

impl Drop for Broken {
    fn drop(&mut self) {
        let words: Vec<&str> = self.mends.iter().map(String::as_str).collect();
        recipe(&words);
        let ready = |of: &[&str]| {
            let mut wait = Command::new("kubectl");
            wait.arg("wait").args(of).arg("--timeout=2s").env("KUBECONFIG", &self.kubeconfig);
            wait.stdin(Stdio::null()).output().is_ok_and(|ended| ended.status.success())
        };
        let started = Instant::now();
        let whole = || {
            ready(&["--for=condition=Ready", "nodes", "--all"])
                && ready(&["--for=condition=Available", "-n", "kube-system", "deployment/coredns"])
        };
        while !whole() && started.elapsed() < RECOVERY {}
    }
}

/// Calls a script of the recipe.
fn recipe(words: &[&str]) {
    let [script, arguments @ ..] = words else { panic!("no script is named") };
    let script = repository().join("tests/cluster/recipe").join(script);
    let ended =
        Command::new(script).args(arguments).stdin(Stdio::null()).output().expect("the recipe is there");
    assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

impl Drop for Shop {
    fn drop(&mut self) {
        let gone = self.command(&["delete", "namespace", &self.namespace, "--wait=false"]).output();
        drop(gone);
    }
}
