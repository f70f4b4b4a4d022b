//! Writing the journal without ever making a revert wait for a disk.

use std::{future::Future, sync::Arc, time::Duration};

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
    /// Appends entries; whoever waits gets a result for each.
    Append(Vec<Entry>, Option<oneshot::Sender<Vec<Result<(), Trouble>>>>),
    /// Returns the first error of a note that nobody waited for.
    Finish(oneshot::Sender<Result<(), Trouble>>),
}

/// How many entries somebody has handed in, and who waits for them.
type Asker = (usize, Option<oneshot::Sender<Vec<Result<(), Trouble>>>>);

/// How many orders are kept together at most.
const TOGETHER: usize = 4096;

impl Scribe {
    pub(crate) fn new(journal: Arc<dyn Journal>) -> Self {
        let (queue, mut orders) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut noted, mut waiting) = (Ok(()), Vec::new());
            // What came in while the disk was busy is kept together, so that a thousand notes wait for it once.
            while orders.recv_many(&mut waiting, TOGETHER).await > 0 {
                keep(&*journal, std::mem::take(&mut waiting), &mut noted).await;
            }
        });
        Scribe { queue }
    }

    /// Appends entries at once; the future ends when they are kept, before anything is touched.
    ///
    /// They are handed in when this returns, whether the future is waited for or not.
    pub(crate) fn write(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Vec<Result<(), Trouble>>> + use<> {
        let count = entries.len();
        let (reply, answer) = oneshot::channel();
        // A writer that panicked has dropped the receiver, and with it the reply.
        let _ = self.queue.send(Order::Append(entries, Some(reply)));
        async move {
            let gone = || vec![Err(Trouble::unable("the journal's writer is gone")); count];
            answer.await.unwrap_or_else(|_| gone())
        }
    }

    /// Appends an entry without waiting: while something is put back.
    pub(crate) fn note(&self, entry: Entry) {
        let _ = self.queue.send(Order::Append(vec![entry], None));
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

/// Carries out orders in turn; entries that follow each other are appended together.
async fn keep(journal: &dyn Journal, orders: Vec<Order>, noted: &mut Result<(), Trouble>) {
    let (mut entries, mut askers) = (Vec::new(), Vec::new());
    for order in orders {
        match order {
            Order::Append(more, reply) => {
                askers.push((more.len(), reply));
                entries.extend(more);
            }
            Order::Finish(reply) => {
                append(journal, std::mem::take(&mut entries), std::mem::take(&mut askers), noted).await;
                // Whoever waited may have given up; that is its own affair.
                let _ = reply.send(std::mem::replace(noted, Ok(())));
            }
        }
    }
    append(journal, entries, askers, noted).await;
}

async fn append(
    journal: &dyn Journal,
    entries: Vec<Entry>,
    askers: Vec<Asker>,
    noted: &mut Result<(), Trouble>,
) {
    if entries.is_empty() {
        return;
    }
    let mut results = journal.append_all(&entries).await.into_iter();
    for (count, reply) in askers {
        let own: Vec<_> = results.by_ref().take(count).collect();
        match reply {
            Some(reply) => {
                let _ = reply.send(own);
            }
            None => {
                if let (Ok(()), Some(Err(error))) = (&noted, own.into_iter().find(Result::is_err)) {
                    *noted = Err(error);
                }
            }
        }
    }
}
