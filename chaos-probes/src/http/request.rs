//! The request that a probe sends, prepared once.

use std::fmt;

use bytes::Bytes;
use chaos_core::{
    model::probe::{Connections, HeaderValue},
    trouble::Trouble,
};
use http_body_util::Full;
use hyper::{
    Method, Request, Uri,
    header::{self, HeaderMap, HeaderName, HeaderValue as Value},
    http::uri::Scheme,
};

use crate::{endpoint::Endpoint, failure::cannot, secrets::Secrets};

/// What is sent, and where to.
pub(super) struct Target {
    /// The server.
    pub(super) endpoint: Endpoint,
    /// The request, cloned for each measurement.
    pub(super) request: Request<Full<Bytes>>,
    /// Whether TLS is spoken.
    pub(super) secure: bool,
    /// Whether sending it twice does no more than sending it once (RFC 9110, 9.2.2).
    pub(super) idempotent: bool,
}

impl fmt::Debug for Target {
    /// Leaves out the request: its header may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The parts of a request as the model has them.
pub(super) struct Parts<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(String, HeaderValue)],
    pub(super) body: Option<&'a [u8]>,
}

impl Target {
    /// Prepares a request; fails on what cannot be sent and on missing secrets.
    pub(super) fn open(
        parts: &Parts<'_>,
        connections: Connections,
        secrets: &Secrets,
    ) -> Result<Target, Trouble> {
        let method = Method::from_bytes(parts.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| {
                cannot(
                    format!("`{}` is not a method that can be sent", parts.method),
                    "write `GET` or another method",
                )
            })?;
        let (uri, endpoint, host, secure) = read_url(parts.url)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host);
        for (name, value) in parts.headers {
            append(&mut headers, name, value, secrets)?;
        }
        if !headers.contains_key(header::USER_AGENT) {
            headers
                .insert(header::USER_AGENT, Value::from_static(concat!("chaos/", env!("CARGO_PKG_VERSION"))));
        }
        if connections == Connections::Fresh {
            headers.insert(header::CONNECTION, Value::from_static("close"));
        }
        let idempotent = method.is_idempotent();
        let mut request = Request::new(Full::new(parts.body.map(Bytes::copy_from_slice).unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(Target { endpoint, request, secure, idempotent })
    }
}

/// Returns the path and query to ask for, the server, the value of `host`, and whether TLS is spoken.
fn read_url(url: &str) -> Result<(Uri, Endpoint, Value, bool), Trouble> {
    let bad = |why: &str| {
        cannot(format!("`{url}` is not a URL that can be asked: {why}"), "write `http://host/path`")
    };
    let uri: Uri = url.parse().map_err(|error| bad(&format!("{error}")))?;
    let secure = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(_) => return Err(bad("its scheme is neither `http` nor `https`")),
        None => return Err(bad("it has no scheme")),
    };
    let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
    if authority.as_str().contains('@') {
        // The text is not repeated: what stands before the `@` may be a password.
        return Err(cannot(
            "a URL must not hold a user or a password",
            "send them as header `authorization` with a `secret env`",
        ));
    }
    let endpoint = Endpoint::parse(authority.as_str(), Some(if secure { 443 } else { 80 }))?;
    let host = Value::from_str(authority.as_str()).map_err(|_| bad("its host cannot be sent"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((path.parse().map_err(|error| bad(&format!("{error}")))?, endpoint, host, secure))
}

fn append(
    headers: &mut HeaderMap,
    name: &str,
    value: &HeaderValue,
    secrets: &Secrets,
) -> Result<(), Trouble> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        cannot(format!("`{name}` is not the name of a header field"), "use letters, digits and `-`")
    })?;
    if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&parsed) {
        return Err(cannot(
            format!("header field `{name}` follows from the body and from `connections`"),
            "leave it out",
        ));
    }
    let value = match value {
        HeaderValue::Plain(text) => Value::from_str(text).map_err(|_| {
            cannot(
                format!("the value of header field `{name}` cannot be sent"),
                "leave out control characters",
            )
        })?,
        HeaderValue::SecretEnv(variable) => {
            let secret = secrets.find(variable).ok_or_else(|| {
                cannot(
                    format!(
                        "environment variable `{variable}`, needed for header field `{name}`, is not set"
                    ),
                    format!("set `{variable}` before the run"),
                )
            })?;
            let mut value = Value::from_str(&secret).map_err(|_| {
                cannot(
                    format!(
                        "the value of environment variable `{variable}` cannot be sent as a header field"
                    ),
                    "it must not hold control characters, such as a final line break",
                )
            })?;
            value.set_sensitive(true);
            value
        }
    };
    if parsed == header::HOST {
        headers.insert(parsed, value);
    } else {
        headers.append(parsed, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Host;

    fn open(url: &str, headers: &[(String, HeaderValue)]) -> Result<Target, Trouble> {
        let secrets = Secrets::new(|name| (name == "TOKEN").then(|| "hunter2".to_owned()));
        Target::open(&Parts { method: "GET", url, headers, body: None }, Connections::Fresh, &secrets)
    }

    #[test]
    fn urls_are_split() {
        let target = open("http://API:8080/a?b=c#d", &[]).unwrap();
        assert_eq!(target.endpoint, Endpoint { host: Host::Name("api".into()), port: 8080 });
        assert_eq!(target.request.uri(), "/a?b=c");
        assert_eq!(target.request.headers()["host"], "API:8080");
        assert_eq!(target.request.headers()["connection"], "close");
        let target = open("http://[::1]", &[]).unwrap();
        assert_eq!(target.endpoint, Endpoint { host: Host::Address("::1".parse().unwrap()), port: 80 });
        assert_eq!(target.request.uri(), "/");
        assert!(!target.secure);
        let target = open("https://api/", &[]).unwrap();
        assert_eq!(target.endpoint, Endpoint { host: Host::Name("api".into()), port: 443 });
        assert!(target.secure);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let message = |url| open(url, &[]).unwrap_err().message;
        assert!(message("ftp://api/").contains("its scheme is neither `http` nor `https`"));
        assert!(message("/path").contains("it has no scheme"));
        assert_eq!(message("http://api:99999/"), "`99999` is not a port");
        let with_password = message("http://me:hunter2@api/");
        assert!(!with_password.contains("hunter2"), "{with_password}");
    }

    #[test]
    fn secrets_are_sent_and_never_shown() {
        let header =
            |variable: &str| vec![("authorization".to_owned(), HeaderValue::SecretEnv(variable.into()))];
        let target = open("http://api/", &header("TOKEN")).unwrap();
        assert_eq!(target.request.headers()["authorization"], "hunter2");
        let shown = format!("{target:?} {:?}", target.request);
        assert!(!shown.contains("hunter2"), "{shown}");
        let error = open("http://api/", &header("MISSING")).unwrap_err();
        assert!(error.message.contains("`MISSING`"), "{error}");
        let error = open("http://api/", &[("content-length".into(), HeaderValue::Plain("5".into()))]);
        assert!(error.unwrap_err().message.contains("`content-length`"));
    }
}
