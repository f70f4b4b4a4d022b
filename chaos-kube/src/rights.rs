//! Whether this user may do something, as the API server says.

use std::fmt;

use chaos_core::trouble::Trouble;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

use crate::Link;

/// One thing that somebody may be allowed to do.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    /// Where; none where it is of the cluster as a whole.
    pub(crate) namespace: Option<String>,
    pub(crate) group: String,
    /// The resource, and the subresource behind a `/`.
    pub(crate) resource: String,
    pub(crate) verb: &'static str,
}

impl Right {
    /// Says where it is.
    pub(crate) fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("`{namespace}`"),
            None => "the whole cluster".to_owned(),
        }
    }

    /// Asks whether this user has it; returns why not, where not.
    ///
    /// # Errors
    /// Nobody answers, or even that may not be asked.
    pub(crate) async fn refused(&self, link: &Link, client: &Client) -> Result<Option<String>, Trouble> {
        let (resource, sub) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (&*self.resource, None),
        };
        let attributes = ResourceAttributes {
            namespace: self.namespace.clone(),
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: sub,
            verb: Some(self.verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let parameters = PostParams::default();
        let asked = reviews.create(&parameters, &review);
        let answer = link.ask("ask which rights this user has", asked).await?;
        let status = answer.status.unwrap_or_default();
        if status.allowed {
            return Ok(None);
        }
        let why = status.reason.filter(|why| !why.is_empty());
        Ok(Some(why.unwrap_or_else(|| format!("no role of this user allows it in {}", self.place()))))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}
