//! The agent's ephemeral container: what it is, and what became of it.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};

/// What the containers of agents are called, before a number of their own.
pub(crate) const NAME: &str = "chaos-agent-";

/// Returns the patch that adds the container to a pod.
///
/// Root inside the container, since rights are void for anybody else, with three of them and no way to more; of the host it
/// sees nothing. No target container: it lives on when the application's ends.
pub(crate) fn patch(name: &str, image: &str) -> Value {
    json!({ "spec": { "ephemeralContainers": [{
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "stdin": true,
        "stdinOnce": true,
        "tty": false,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "BPF"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
    }]}})
}

/// What has become of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It cannot be started, and this is why.
    Stuck { reason: String, message: String },
    /// It has ended.
    Ended { code: i32, message: String },
}

/// Reasons of waiting that do not pass without somebody who mends them.
const STUCK: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Reads from a pod what has become of its container of this name.
pub(crate) fn state(pod: &Pod, name: &str) -> State {
    let statuses = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    statuses.filter(|status| status.name == name).find_map(of_status).unwrap_or(State::Starting)
}

fn of_status(status: &ContainerStatus) -> Option<State> {
    let state = status.state.as_ref()?;
    if let Some(ended) = &state.terminated {
        let words = ended.message.clone().or_else(|| ended.reason.clone()).unwrap_or_default();
        return Some(State::Ended { code: ended.exit_code, message: words.trim().to_owned() });
    }
    if state.running.is_some() {
        return Some(State::Running);
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    let stuck = STUCK.contains(&reason.as_str());
    stuck.then(|| State::Stuck { reason, message: waiting.message.clone().unwrap_or_default() })
}

/// Returns the name of an agent's container that lives in a pod and was there before the one of this name; any where there is none of
/// this name.
///
/// Runs exclude each other by their Leases; this finds the agent of a runner that has just died, which is about to end. One that does
/// not run yet holds nothing, and one whose image cannot be had is tried again and again for as long as its pod lives.
pub(crate) fn ahead<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let all = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    let names = all.map(|container| container.name.as_str()).take_while(|other| *other != name);
    let mut agents = names.filter(|other| other.starts_with(NAME));
    agents.find(|other| match state(pod, other) {
        State::Running => true,
        State::Starting | State::Stuck { .. } | State::Ended { .. } => false,
    })
}

/// Returns what would help a container that cannot be started.
pub(crate) fn remedy(reason: &str, image: &str) -> String {
    match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => format!(
            "the node cannot have the agent's image `{image}`: `chaos doctor --cluster CONTEXT` says how it gets there"
        ),
        "CreateContainerConfigError" => {
            "a policy of the pod forbids the agent's security context: it has to be root in its own container"
                .to_owned()
        }
        _ => "`kubectl describe pod` has the events of the pod".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(state: Value) -> Pod {
        let status = json!({ "name": "a", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        serde_json::from_value(json!({ "status": { "ephemeralContainerStatuses": [status] } })).unwrap()
    }

    #[test]
    fn the_agent_that_came_first_is_ahead_until_it_ends() {
        let running = json!({ "running": { "startedAt": null } });
        let ended = json!({ "terminated": { "exitCode": 0 } });
        let stuck = json!({ "waiting": { "reason": "ErrImagePull" } });
        let pod = |states: &[(&str, &Value)]| -> Pod {
            let statuses: Vec<Value> = states.iter().map(|(name, state)| {
                json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state })
            }).collect();
            // One that has no status yet.
            let names = states.iter().map(|(name, _)| *name).chain(["chaos-agent-new"]);
            let containers: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
            serde_json::from_value(json!({
                "spec": { "containers": [], "ephemeralContainers": containers },
                "status": { "ephemeralContainerStatuses": statuses },
            }))
            .unwrap()
        };
        let two = pod(&[("debugger", &running), ("chaos-agent-a", &running), ("chaos-agent-b", &running)]);
        assert_eq!(ahead(&two, "chaos-agent-a"), None, "somebody's shell is not an agent");
        assert_eq!(ahead(&two, "chaos-agent-b"), Some("chaos-agent-a"));
        assert_eq!(ahead(&two, "not added yet"), Some("chaos-agent-a"));
        let over = pod(&[("chaos-agent-a", &ended), ("chaos-agent-b", &stuck)]);
        assert_eq!(ahead(&over, "chaos-agent-new"), None);
        let pulling = json!({ "waiting": { "reason": "PodInitializing" } });
        let doomed = pod(&[("chaos-agent-a", &pulling)]);
        assert_eq!(ahead(&doomed, "another"), None, "it may wait for its image for ever");
    }

    #[test]
    fn waiting_that_does_not_pass_is_told_from_waiting_that_does() {
        assert_eq!(state(&Pod::default(), "a"), State::Starting);
        assert_eq!(
            state(&pod(json!({ "waiting": { "reason": "ContainerCreating" } })), "a"),
            State::Starting
        );
        assert_eq!(state(&pod(json!({ "running": { "startedAt": null } })), "a"), State::Running);
        assert_eq!(state(&pod(json!({ "running": { "startedAt": null } })), "another"), State::Starting);
        for reason in STUCK {
            let found = state(&pod(json!({ "waiting": { "reason": reason, "message": "m" } })), "a");
            assert_eq!(found, State::Stuck { reason: reason.into(), message: "m".into() });
        }
        let ended =
            json!({ "terminated": { "exitCode": 7, "reason": "Error", "message": "not restored: x\n" } });
        assert_eq!(state(&pod(ended), "a"), State::Ended { code: 7, message: "not restored: x".into() });
    }
}
