//! Whether the API server would let an agent in: it is asked to, without doing it.

use std::{collections::BTreeMap, future::Future};

use chaos_core::{place::ObjectId, plan::PlanError, remark::Remark, trouble::Trouble};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client,
    api::{Patch, PatchParams},
    core::Status,
};

use super::{AT_ONCE, Touched, refusal};
use crate::{Link, container, environment, pod};

/// What the agent is called while it is only tried.
const TRIED: &str = "chaos-agent-plan";

/// Tries to add an agent to one pod of each workload; refuses where the API server would.
///
/// A dry run is the truth about Pod Security and about webhooks alike: what a namespace is labelled with says only half of it.
pub(super) async fn tried(
    link: &Link,
    client: &Client,
    image: &str,
    touched: &[Touched],
) -> Result<Vec<Remark>, PlanError> {
    // What admits one pod admits the others that were made by the same template.
    let mut one_of_each: BTreeMap<(&str, &str), &Touched> = BTreeMap::new();
    for of in touched.iter().filter(|of| of.agent) {
        let owner = pod::owner(&of.pod.metadata).unwrap_or(&of.id.name);
        one_of_each.entry((of.namespace(), owner)).or_insert(of);
    }
    let ids: Vec<ObjectId> = one_of_each.values().map(|of| of.id.clone()).collect();
    let asked = stream::iter(ids).map(|id| async move { ask(link, client, image, &id).await });
    let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let mut remarks = Vec::new();
    for (of, answer) in one_of_each.into_values().zip(answers) {
        let answer = answer.map_err(|trouble| PlanError::Inventory { trouble, span: of.span })?;
        let Some(status) = answer else { continue };
        match judged(&status) {
            Answer::Unknown => {}
            Answer::Untried => remarks.push(
                Remark::warning(
                    of.span,
                    format!("whether an agent is let into {} was not tried: {}", of.id, status.message),
                )
                .with_help("an admission webhook has to declare `sideEffects: None` for that"),
            ),
            Answer::Refused => return Err(refused(of, image, &status.message)),
        }
    }
    Ok(remarks)
}

/// Asks for it in a dry run; returns what the API server has against it.
async fn ask(
    link: &Link,
    client: &Client,
    image: &str,
    id: &ObjectId,
) -> Result<Option<Box<Status>>, Trouble> {
    let pods = environment::api(client, id)?;
    let patch = Patch::Strategic(container::patch(TRIED, image));
    let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
    let added = pods.patch_ephemeral_containers(&id.name, &parameters, &patch);
    link.ask(&format!("try to add an agent to {id}"), answered(added)).await
}

/// Takes a refusal for an answer, but for one that is not about agents.
async fn answered(
    added: impl Future<Output = Result<Pod, kube::Error>>,
) -> Result<Option<Box<Status>>, kube::Error> {
    match added.await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if !is_of_the_moment(&status) => Ok(Some(status)),
        Err(error) => Err(error),
    }
}

/// Returns whether somebody is not known, or the API server is busy or down: whoever asks later may be let in. A webhook chooses
/// the code of its refusal itself.
fn is_of_the_moment(status: &Status) -> bool {
    matches!(status.code, 401 | 429 | 503 | 504) && !status.message.contains("denied the request")
}

/// What an answer says of an agent that is started later.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It would be refused then, too.
    Refused,
    /// A part of the API server does not do dry runs.
    Untried,
    /// Nothing: this user lacks a right, which is said elsewhere, or the pod has just gone.
    Unknown,
}

fn judged(status: &Status) -> Answer {
    if status.code == 404 || status.message.contains("cannot patch resource") {
        return Answer::Unknown;
    }
    if status.message.contains("does not support dry run") {
        return Answer::Untried;
    }
    Answer::Refused
}

fn refused(of: &Touched, image: &str, message: &str) -> PlanError {
    let help = if message.contains("PodSecurity") {
        format!(
            "its agent needs NET_ADMIN: `kubectl label namespace {} pod-security.kubernetes.io/enforce=privileged --overwrite`, or \
             choose pods of another namespace",
            of.namespace()
        )
    } else {
        format!(
            "whoever keeps that rule has to let in an ephemeral container of `{image}` with the capabilities NET_ADMIN, NET_RAW and BPF"
        )
    };
    refusal(of.span, format!("no agent is let into {}: {message}", of.id), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_api_server_that_cannot_answer_now_has_nothing_against_agents() {
        let said = async |code: u16, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            answered(async { Err(kube::Error::Api(Box::new(status))) }).await
        };
        for code in [401, 429, 503, 504] {
            let error = said(code, "try again later").await.unwrap_err();
            assert!(matches!(&error, kube::Error::Api(status) if status.code == code), "{error}");
        }
        let webhook = "admission webhook \"x.example\" denied the request: no";
        for (code, message) in [(403, "no"), (500, "failed calling webhook"), (429, webhook)] {
            assert_eq!(said(code, message).await.unwrap().unwrap().code, code);
        }
    }

    #[test]
    fn a_missing_right_is_not_taken_for_a_rule_against_agents() {
        let said = |code: u16, message: &str| {
            judged(&Status { code, message: message.to_owned(), ..Status::default() })
        };
        let security =
            "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": non-default capabilities";
        assert_eq!(said(403, security), Answer::Refused);
        assert_eq!(said(403, "admission webhook \"x.example\" denied the request: no"), Answer::Refused);
        let right = "pods \"p\" is forbidden: User \"u\" cannot patch resource \"pods/ephemeralcontainers\" in API group \"\"";
        assert_eq!(said(403, right), Answer::Unknown);
        assert_eq!(said(404, "pods \"p\" not found"), Answer::Unknown);
        let webhook = "admission webhook \"x.example\" does not support dry run";
        assert_eq!(said(400, webhook), Answer::Untried);
    }
}
