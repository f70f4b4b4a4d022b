//! A client and two Services in a namespace of their own.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use chaos_tests::{Chaos, Running, repository, wait_until};
use nix::unistd::Pid;
use serde_json::Value;

const MANIFEST: &str = include_str!("shop.yaml");

/// A namespace of the cluster with a client and the Services `web` and `other`.
pub(crate) struct Shop {
    kubeconfig: String,
    pub(crate) namespace: String,
    pub(crate) chaos: Chaos,
}

impl Shop {
    /// Opens one; prints why a test is skipped where there is no cluster.
    pub(crate) fn or_skip() -> Option<Shop> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let Ok(kubeconfig) = env::var("CHAOS_TEST_KUBECONFIG") else {
            println!("skipped: CHAOS_TEST_KUBECONFIG names no cluster to test on");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("chaos-test-{}-{number}", std::process::id());
        let shop = Shop { kubeconfig, namespace, chaos: Chaos::new() };
        let image = env::var("CHAOS_TEST_IMAGE").unwrap_or_else(|_| "localhost/tools:1".into());
        shop.kubectl(&["create", "namespace", &shop.namespace]);
        let manifest = shop.chaos.file("shop.yaml", MANIFEST.replace("IMAGE", &image));
        let manifest = shop.chaos.path().join(manifest).display().to_string();
        shop.kubectl(&["-n", &shop.namespace, "apply", "-f", &manifest]);
        for name in ["client", "web", "other"] {
            let name = format!("deployment/{name}");
            shop.kubectl(&["-n", &shop.namespace, "rollout", "status", &name, "--timeout=60s"]);
        }
        // A node takes a moment to lead a Service's address to pods that are ready.
        let client = shop.pod("client");
        for service in ["web", "other"] {
            assert!(wait_until(|| shop.request(&client, service).is_some()), "`{service}` does not answer");
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

    /// Says what stands in a pod's network: its interfaces, queues and filters. The length of an interface's queue is left out: the kernel
    /// sets it where there was none when a queue is first put on it, and does not unset it.
    pub(crate) fn network(&self, pod: &str) -> String {
        const LOOK: &str = "ip -o link | sed -E 's/( qlen [0-9]+)? *[\\\\] */ /'; tc qdisc show; \
                            for i in $(ls /sys/class/net); do tc filter show dev $i; tc filter show dev $i ingress; done 2>/dev/null; true";
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

    /// Returns the process of the agent in a pod, where the nodes are processes of this machine.
    pub(crate) fn agent_process(&self, pod: &str) -> Option<Pid> {
        let uid = self.kubectl(&["-n", &self.namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"]);
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_agent = |pid: &i32| {
            let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
            read("comm").trim() == "chaos-agent" && read("cgroup").replace('_', "-").contains(&uid)
        };
        pids.find(is_agent).map(Pid::from_raw)
    }

    /// Returns what the pod's status says of its agents' containers.
    pub(crate) fn agents(&self, pod: &str) -> Vec<Value> {
        let pod = self.kubectl(&["-n", &self.namespace, "get", "pod", pod, "-o", "json"]);
        let pod: Value = serde_json::from_str(&pod).expect("kubectl prints JSON");
        pod["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let gone = self.command(&["delete", "namespace", &self.namespace, "--wait=false"]).output();
        drop(gone);
    }
}
