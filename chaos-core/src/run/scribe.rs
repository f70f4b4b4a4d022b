//! Writing the journal without ever making a revert wait for a disk.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use crate::{
    journal::{Entry, Journal},
    trouble::Trouble,
};

/// Appends entries in the order they were handed in.
pub(crate) struct Scribe {
    queue: mpsc::UnboundedSender<Order>,
}

enum Order {
    /// Appends an entry; whoever waits is told how it went.
    Append(Box<Entry>, Option<oneshot::Sender<Result<(), Trouble>>>),
    /// Tells the first error of a note that nobody waited for.
    Finish(oneshot::Sender<Result<(), Trouble>>),
}

impl Scribe {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        let (queue, mut orders) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut noted = Ok(());
            while let Some(order) = orders.recv().await {
                match order {
                    // Whoever waited may have given up; that is its own affair.
                    Order::Append(entry, Some(reply)) => {
                        let _ = reply.send(journal.append(&entry).await);
                    }
                    Order::Append(entry, None) => noted = noted.and(journal.append(&entry).await),
                    Order::Finish(reply) => {
                        let _ = reply.send(std::mem::replace(&mut noted, Ok(())));
                    }
                }
            }
        });
        Scribe { queue }
    }

    /// Appends an entry and waits until it is kept: before something is touched.
    pub(crate) async fn write(&self, entry: Entry) -> Result<(), Trouble> {
        let (reply, answer) = oneshot::channel();
        // A writer that panicked has dropped the receiver, and with it the reply.
        let _ = self.queue.send(Order::Append(Box::new(entry), Some(reply)));
        answer.await.unwrap_or_else(|_| Err(Trouble::unable("the journal's writer is gone")))
    }

    /// Appends an entry without waiting: while something is put back.
    pub(crate) fn note(&self, entry: Entry) {
        let _ = self.queue.send(Order::Append(Box::new(entry), None));
    }

    /// Waits until everything is kept; returns the first note that could not be.
    pub(crate) async fn finish(&self, patience: Duration) -> Result<(), Trouble> {
        let (reply, answer) = oneshot::channel();
        let _ = self.queue.send(Order::Finish(reply));
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Trouble::unable("the journal's writer is gone")),
            Err(_) => Err(Trouble::unable(format!(
                "the journal's disk did not answer within {}",
                humantime::format_duration(patience)
            ))),
        }
    }
}
