//! Questions to the HTTP interfaces of monitoring systems, answered in JSON.
//!
//! What goes wrong with a question says nothing of the system under test: it is not a failure but a missing reading.

use bytes::Bytes;
use chaos_core::{
    model::{Probe, probe::Condition},
    place::Place,
    probe::{Observation, Progress},
    trouble::Trouble,
};
use http_body_util::Full;
use hyper::{Request, Uri};
use serde::de::DeserializeOwned;

use crate::{
    failure::{Failure, cannot},
    http::{HttpProber, KEPT},
    secrets::Secrets,
    socket::Sockets,
};

/// The interface of one server.
pub(crate) struct Api {
    http: HttpProber,
    request: Request<Full<Bytes>>,
    /// The path of the server's URL, without a final `/`.
    base: String,
}

impl Api {
    /// Prepares questions to the server at `url` from a place.
    pub(crate) fn open(
        probe: &Probe,
        url: &str,
        place: &Place,
        sockets: Sockets,
        secrets: &Secrets,
    ) -> Result<Api, Trouble> {
        if probe.ok_when.is_some() || !probe.labels.is_empty() {
            return Err(cannot(
                format!("the probe `{}` reads a monitoring system, whose answers are not judged", probe.name),
                "leave out `ok when` and `label`",
            ));
        }
        // So that the body is kept.
        let judged = Probe { ok_when: Some(Condition::BodyContains(String::new())), ..probe.clone() };
        let http = HttpProber::open(&judged, ("GET", url, &[], None), place, sockets, secrets)?;
        let request = http.request().clone();
        let base = request.uri().path().trim_end_matches('/').to_owned();
        if request.uri().query().is_some() {
            return Err(cannot(
                format!("`{url}` is asked under paths of its own"),
                "leave out what stands behind the `?`",
            ));
        }
        Ok(Api { http, request, base })
    }

    /// Asks under a path with these parameters; returns the answer, be its status an error.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        seen: &mut Observation,
    ) -> Result<T, Failure> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let uri = format!("{}{path}?{query}", self.base);
        let mut request = self.request.clone();
        *request.uri_mut() = Uri::try_from(uri).map_err(|_| unread("the query is too long"))?;
        let asked = self.http.fetch(&request, seen, &Progress::default()).await;
        let (head, body) = asked.map_err(Failure::not_run)?;
        let status = head.status.as_u16();
        // A server's own error has a body of its own too, but a proxy in front of it may answer anything.
        if head.status.is_server_error() {
            return Err(unread(format!("status {status}")));
        }
        if body.len() >= KEPT {
            return Err(unread("the answer is larger than 1 MiB"));
        }
        serde_json::from_slice(&body).map_err(|_| match head.status.is_success() {
            true => unread("the answer is not of the expected form"),
            false => unread(format!("status {status}")),
        })
    }
}

/// A reason why nothing was read.
pub(crate) fn unread(text: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::NotRun(text.into())
}
