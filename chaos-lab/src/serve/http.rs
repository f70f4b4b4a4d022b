//! The built-in HTTP server: a service with a service time, a capacity and a status.
//!
//! Two paths override its settings, for tests and for looking around: `/status/CODE` answers with that status,
//! `/slow/MS` takes this many milliseconds instead of its service time. Time is kept to a millisecond, never too short.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::configuration::Http;
use super::socket::{ServeError, accept, listener};

/// The header that says which host answered.
pub const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// The longest time that `/slow/MS` may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

struct Server {
    work: Duration,
    places: Option<Semaphore>,
    status: StatusCode,
    served_by: HeaderValue,
    body: Bytes,
}

/// Serves until the process is killed.
///
/// # Errors
///
/// Fails when the port is taken or the configuration names no real status or host.
pub async fn serve(configuration: Http) -> Result<(), ServeError> {
    let listener = listener(configuration.port)?;
    let server = Rc::new(Server::new(configuration)?);
    tokio::task::LocalSet::new()
        .run_until(accept(listener, |stream| {
            let server = Rc::clone(&server);
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let server = Rc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(&request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service);
                // A client that leaves in the middle is its own affair.
                let _ = connection.await;
            });
        }))
        .await
}

impl Server {
    fn new(configuration: Http) -> Result<Self, ServeError> {
        let Http { host, port: _, work, capacity, status, body } = configuration;
        let wrong = |what: String| ServeError::Configuration {
            given: what,
            reason: "not possible in HTTP".to_owned(),
        };
        Ok(Server {
            work,
            places: capacity.map(|places| Semaphore::new(places as usize)),
            status: StatusCode::from_u16(status).map_err(|_| wrong(format!("status {status}")))?,
            served_by: HeaderValue::from_str(&host).map_err(|_| wrong(format!("host {host}")))?,
            body: body.unwrap_or_else(|| format!("{host}\n")).into(),
        })
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (work, status) = self.asked(request.uri().path());
        match &self.places {
            Some(places) => {
                let place = places.acquire().await;
                pause(work).await;
                drop(place);
            }
            None => pause(work).await,
        }
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.status_mut() = status;
        response.headers_mut().insert(SERVED_BY, self.served_by.clone());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }

    /// Returns how long the request takes and how it is answered.
    fn asked(&self, path: &str) -> (Duration, StatusCode) {
        let mut asked = (self.work, self.status);
        if let Some(ms) = path.strip_prefix("/slow/").and_then(|ms| ms.parse().ok()) {
            asked.0 = Duration::from_millis(ms).min(LONGEST);
        } else if let Some(code) = path.strip_prefix("/status/").and_then(|code| code.parse().ok())
            // Below 200 stand interim answers, which end no request.
            && let (200.., Ok(code)) = (code, StatusCode::from_u16(code))
        {
            asked.1 = code;
        }
        asked
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(work: Duration, capacity: Option<u32>) -> Server {
        let configuration =
            Http { host: "api-1".to_owned(), port: 0, work, capacity, status: 200, body: None };
        Server::new(configuration).unwrap()
    }

    #[test]
    fn paths_override_time_and_status() {
        let server = server(Duration::from_millis(5), None);
        let normal = (Duration::from_millis(5), StatusCode::OK);
        assert_eq!(server.asked("/"), normal);
        assert_eq!(server.asked("/slow/250"), (Duration::from_millis(250), StatusCode::OK));
        assert_eq!(server.asked("/slow/18446744073709551615").0, LONGEST);
        assert_eq!(server.asked("/status/503"), (normal.0, StatusCode::SERVICE_UNAVAILABLE));
        for odd in ["/slow/", "/slow/x", "/status/", "/status/100", "/status/9999", "/status/-1"] {
            assert_eq!(server.asked(odd), normal, "{odd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_the_capacity_wait_in_line() {
        let server = server(Duration::from_millis(10), Some(2));
        let started = tokio::time::Instant::now();
        let request = Request::new(());
        let answers = futures_util::future::join_all((0..6).map(|_| server.answer(&request))).await;
        assert_eq!(answers.len(), 6);
        assert_eq!(answers[0].headers()[SERVED_BY], "api-1");
        // Three turns of two; tokio's clock rounds each up to its millisecond.
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(30) && took < Duration::from_millis(40), "{took:?}");
    }

    #[test]
    fn impossible_answers_are_refused() {
        let with = |host: &str, status| Http {
            host: host.to_owned(),
            port: 0,
            work: Duration::ZERO,
            capacity: None,
            status,
            body: None,
        };
        assert!(Server::new(with("api", 20)).is_err());
        assert!(Server::new(with("a\nb", 200)).is_err());
    }
}
