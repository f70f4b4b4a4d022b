//! The way to one cluster.

use std::{future::Future, sync::Arc, time::Duration};

use chaos_core::{model::Cluster, trouble::Trouble};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    client::{Body, ConfigExt},
    config::KubeConfigOptions,
};
use tokio::{sync::OnceCell, time::timeout};
use tower::{BoxError, ServiceBuilder};

/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one answer of the API server may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

/// The way to the cluster of a scope, opened when it is first needed.
pub struct Link {
    cluster: Cluster,
    client: OnceCell<Client>,
}

impl Link {
    /// Leads to a cluster; nothing is opened yet.
    pub fn to(cluster: &Cluster) -> Arc<Self> {
        Arc::new(Link { cluster: cluster.clone(), client: OnceCell::new() })
    }

    /// Returns which cluster it leads to.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the client, after a look that it is the cluster of the scope.
    ///
    /// # Errors
    /// There is no such context, nobody answers, a right is missing, or it is another cluster.
    pub(crate) async fn client(&self) -> Result<Client, Trouble> {
        self.client.get_or_try_init(|| self.open()).await.cloned()
    }

    async fn open(&self) -> Result<Client, Trouble> {
        let client = self.connect().await?;
        self.recognise(&client).await?;
        Ok(client)
    }

    /// Returns a client without a look at which cluster it is.
    pub(crate) async fn connect(&self) -> Result<Client, Trouble> {
        let context = &self.cluster.context.value;
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = match Config::from_kubeconfig(&options).await {
            Ok(config) => config,
            // In a pod there is no kubeconfig; the uid says whether it is the right cluster.
            Err(error) => Config::incluster_env().map_err(|_| {
                Trouble::absent(format!("the context `{context}` cannot be used: {}", chain(&error))).with_help(
                    "`kubectl config get-contexts` shows those there are, in the kubeconfig that KUBECONFIG names",
                )
            })?,
        };
        build(config).map_err(|error| self.unreachable(&error))
    }

    /// Refuses another cluster than that of the scope.
    async fn recognise(&self, client: &Client) -> Result<(), Trouble> {
        let Cluster { context, uid, .. } = &self.cluster;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let system = self.ask("read the namespace `kube-system`", namespaces.get("kube-system")).await?;
        match system.metadata.uid {
            Some(found) if found == uid.value => Ok(()),
            found => Err(Trouble::unable(format!(
                "the context `{context}` leads to another cluster: the uid of its namespace `kube-system` is `{}`, and the scope \
                 says `{uid}`",
                found.unwrap_or_default()
            ))
            .with_help("choose the context of the cluster that is meant; change the scope only if that cluster was made anew")),
        }
    }

    /// Waits for an answer of the API server, within bounds; `what` continues "cannot".
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|error| self.refused(what, &error)),
            Err(_) => Err(Trouble::unable(format!(
                "cannot {what}: the API server of `{}` gave no answer within {} s",
                self.cluster.context,
                ANSWER.as_secs()
            ))),
        }
    }

    /// Says why the API server did not do something.
    pub(crate) fn refused(&self, what: &str, error: &kube::Error) -> Trouble {
        let context = &self.cluster.context;
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Trouble::denied(format!("cannot {what}: `{context}` does not know this user"))
                    .with_help("log in again; the credentials of the kubeconfig may have expired"),
                403 => Trouble::denied(format!("cannot {what}: {}", status.message))
                    .with_help("a role has to allow it; `chaos rbac FILE` prints the least role for a file"),
                404 => Trouble::absent(format!("cannot {what}: {}", status.message)),
                _ => Trouble::unable(format!("cannot {what}: {}", status.message)),
            },
            other => self.unreachable(other).said(|why| format!("cannot {what}: {why}")),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Trouble {
        Trouble::unable(format!(
            "the API server of `{}` cannot be reached: {}",
            self.cluster.context,
            chain(error)
        ))
        .with_help("look whether `kubectl version` gets an answer with the same context")
    }

    #[cfg(test)]
    pub(crate) fn with(cluster: Cluster, client: Client) -> Arc<Self> {
        Arc::new(Link { cluster, client: OnceCell::new_with(Some(client)) })
    }
}

/// Builds a client that sends small messages at once: kube's own waits with each for the answer to the last one, up to 44 ms.
fn build(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    let https = config.rustls_https_connector_with_connector(connector)?;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

/// Says an error with everything that caused it, each once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use chaos_core::trouble::Kind;
    use serde_json::json;

    use super::*;
    use crate::fake;

    #[tokio::test]
    async fn a_cluster_of_another_uid_is_refused() {
        let link = Link::to(&fake::cluster());
        let of_uid = |uid: &'static str| {
            fake::client(move |path, _| {
                assert_eq!(path, "/api/v1/namespaces/kube-system");
                Some(json!({ "metadata": { "name": "kube-system", "uid": uid } }))
            })
        };
        assert_eq!(link.recognise(&of_uid(fake::UID)).await, Ok(()));
        let error = link.recognise(&of_uid("0-0")).await.unwrap_err();
        assert!(
            error.message.contains("leads to another cluster") && error.message.contains("`0-0`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_the_server_refuses_says_whether_a_right_is_missing() {
        let link = Link::to(&fake::cluster());
        for (code, kind) in [
            (401, Kind::Permission),
            (403, Kind::Permission),
            (404, Kind::Absent),
            (409, Kind::Unable),
            (429, Kind::Unable),
        ] {
            let client =
                fake::client(move |_, _| Some(fake::refusal(code, "Reason", "the words of the server")));
            let error = link.recognise(&client).await.unwrap_err();
            assert_eq!(error.kind, kind, "{code}: {error}");
            assert!(error.message.starts_with("cannot read the namespace `kube-system`: "), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up() {
        let link = Link::to(&fake::cluster());
        let error = link.ask("read x", std::future::pending::<Result<(), kube::Error>>()).await.unwrap_err();
        assert_eq!(error.message, "cannot read x: the API server of `staging` gave no answer within 15 s");
    }
}
