//! One HTTP/1.1 connection, driven by the caller that waits for its answer.
//!
//! No task of its own: reading and writing happen inside the measurement's own future, which saves a hand-over between
//! tasks per request, and makes dropping that future close the connection.

use std::{
    error::Error as _,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body as _, Frame, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;

use super::wire::{Meter, Wire};
use crate::{failure::Failure, secure::Stream};

/// A connection and what drives it.
pub(super) struct Connection {
    /// The server's address.
    pub(super) peer: IpAddr,
    sender: SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<Wire>, Full<Bytes>>,
    meter: Arc<Meter>,
    ended: bool,
}

/// Why there is no answer.
pub(super) struct Unanswered {
    /// What to report.
    pub(super) failure: Failure,
    /// Whether the request never left.
    pub(super) unsent: bool,
    /// Whether not one byte of an answer came.
    pub(super) silent: bool,
}

impl Connection {
    /// Starts HTTP/1.1 on a fresh connection.
    pub(super) async fn start(stream: Stream, peer: IpAddr) -> Result<Connection, Failure> {
        let wire = Wire::new(stream);
        let meter = wire.meter();
        let (sender, driver) =
            http1::handshake(TokioIo::new(wire)).await.map_err(|error| explain(&error, true))?;
        Ok(Connection { peer, sender, driver, meter, ended: false })
    }

    /// Returns whether the connection can take a request, as far as is known.
    pub(super) fn is_usable(&mut self) -> bool {
        // Nobody is woken if an idle connection closes: it is looked at again before it is used. A task that has
        // used up its share would be asked to come back later, and a good connection would pass for a bad one.
        let mut look = pin!(unconstrained(poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })));
        let _ = look.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// Returns how long the first byte of the answer took.
    pub(super) fn ttfb(&self) -> Option<Duration> {
        self.meter.ttfb()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.meter.begin();
        // Unconstrained, because a task that has used up its share is put off through its waker, and here that is none.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        let (driver, ended) = (&mut self.driver, &mut self.ended);
        let answered = poll_fn(|cx| {
            if !*ended {
                *ended = Pin::new(&mut *driver).poll(cx).is_ready();
            }
            // The answer comes out of the driver just polled, so only the driver needs to wake this task.
            match *ended {
                true => answer.as_mut().poll(cx),
                false => answer.as_mut().poll(&mut Context::from_waker(Waker::noop())),
            }
        })
        .await;
        answered.map_err(|error| {
            let silent = self.meter.ttfb().is_none();
            Unanswered { unsent: error.message().is_some(), silent, failure: explain(error.error(), silent) }
        })
    }

    /// Returns the next piece of an answer's body, or none at its end.
    pub(super) async fn next(&mut self, body: &mut Incoming) -> Option<Result<Frame<Bytes>, Failure>> {
        let frame = poll_fn(|cx| {
            // The driver reads on only when the body is wanted, hence in this order, twice.
            for _ in 0..2 {
                if let Poll::Ready(frame) =
                    Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()))
                {
                    return Poll::Ready(frame);
                }
                self.drive(cx);
            }
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await?;
        Some(frame.map_err(|error| explain(&error, false)))
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut self.driver).poll(cx).is_ready();
        }
    }
}

/// Says why a request failed; `silent` if not one byte of an answer came.
fn explain(error: &hyper::Error, silent: bool) -> Failure {
    let early = if silent {
        "connection closed before an answer"
    } else {
        "connection closed in the middle of an answer"
    };
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::UnexpectedEof => Failure::failed(early),
                _ if io.raw_os_error().is_some() => Failure::from_io(io),
                _ => Failure::failed(early),
            };
        }
        cause = inner.source();
    }
    if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        Failure::failed("malformed answer")
    } else {
        Failure::failed(early)
    }
}
