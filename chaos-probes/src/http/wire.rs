//! The byte stream under an HTTP connection, which notes when the first byte of an answer came.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::secure::Stream;

/// When the current request began and when its answer did, in nanoseconds since the connection was made.
#[derive(Debug)]
pub(super) struct Meter {
    made: Instant,
    began: AtomicU64,
    first_byte: AtomicU64,
}

/// No byte yet.
const NEVER: u64 = u64::MAX;

impl Meter {
    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(NEVER - 1)
    }

    /// Starts measuring a request.
    pub(super) fn begin(&self) {
        self.began.store(self.now(), Ordering::Relaxed);
        self.first_byte.store(NEVER, Ordering::Relaxed);
    }

    /// Returns how long the first byte took, or none while there is none.
    pub(super) fn ttfb(&self) -> Option<Duration> {
        let first = self.first_byte.load(Ordering::Relaxed);
        (first != NEVER)
            .then(|| Duration::from_nanos(first.saturating_sub(self.began.load(Ordering::Relaxed))))
    }
}

/// A connection with a meter.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    meter: Arc<Meter>,
}

impl Wire {
    /// Wraps a connection.
    pub(super) fn new(stream: Stream) -> Wire {
        let meter =
            Meter { made: Instant::now(), began: AtomicU64::new(0), first_byte: AtomicU64::new(NEVER) };
        Wire { stream, meter: Arc::new(meter) }
    }

    /// Returns the meter.
    pub(super) fn meter(&self) -> Arc<Meter> {
        self.meter.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && self.meter.first_byte.load(Ordering::Relaxed) == NEVER {
            self.meter.first_byte.store(self.meter.now(), Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
