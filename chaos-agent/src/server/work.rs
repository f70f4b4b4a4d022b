//! What the agent is asked to do, many requests at once.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chaos_core::{
    injector::{Injector, Lost, Measured, Undo},
    trouble::Trouble,
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};

use super::{
    seat::Seat,
    turns::{Turn, Turns},
};
use crate::{
    bounds,
    host::Host,
    lifesign::Lifesign,
    measuring::Measuring,
    protocol::{Answer, Message, Request},
    stack::Stack,
};

/// How many requests are worked on at once; others wait. By default a runner asks for no more at a time.
const AT_ONCE: usize = 64;

/// How often an agent that is on its own tries to take a fault back, before it says so and gives up on it.
const TRIES: u32 = 8;

/// How long after a failed revert at its deadline a fault is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an agent that ends waits for what is being done about a fault, before it takes that back nevertheless.
const PATIENCE: Duration = Duration::from_secs(5);

/// The faults in place, and everything that requests are carried out with.
pub(super) struct Work {
    /// Made once the runner has greeted: what the agent can do, and where.
    host: OnceLock<(Host, Seat)>,
    stack: Mutex<Stack>,
    turns: Turns,
    measuring: Mutex<Measuring>,
    at_once: Semaphore,
    life: Arc<Lifesign>,
    says: mpsc::UnboundedSender<Message>,
}

impl Work {
    pub(super) fn new(life: Arc<Lifesign>, says: mpsc::UnboundedSender<Message>) -> Self {
        Work {
            host: OnceLock::new(),
            stack: Mutex::default(),
            turns: Turns::default(),
            measuring: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            life,
            says,
        }
    }

    /// Takes in what the agent can do, and where; the first stays.
    pub(super) fn furnish(&self, host: Host, seat: Seat) -> &Host {
        &self.host.get_or_init(|| (host, seat)).0
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measuring(&self) -> MutexGuard<'_, Measuring> {
        self.measuring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seated(&self) -> Result<&(Host, Seat), Trouble> {
        self.host.get().ok_or_else(|| Trouble::unable("the first request to an agent must be a hello"))
    }

    fn host(&self) -> Result<&Host, Trouble> {
        Ok(&self.seated()?.0)
    }

    fn named(&self, injector: &str) -> Result<Arc<dyn Injector>, Trouble> {
        self.host()?.named(injector).map(Arc::clone)
    }

    /// Returns when the next fault ends on its own.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.stack().next_deadline()
    }

    pub(super) fn say(&self, number: u64, answer: Answer) {
        self.says.send(Message::Answer { number, answer }).ok();
    }

    /// Returns what carries a request out and reports the result. Its place among those about the same fault or probe is
    /// taken at once.
    pub(super) fn answer(
        self: &Arc<Self>,
        number: u64,
        request: Request,
    ) -> impl Future<Output = ()> + use<> {
        let work = Arc::clone(self);
        let turn = about(&request).map(|thing| work.turns.take(&thing));
        async move {
            // In this order: whoever waits for others must not keep them from their work.
            let mut turn = turn;
            if let Some(turn) = turn.as_mut() {
                turn.wait().await;
            }
            // What a probe needs to go on takes no time, and waits for no fault.
            let _place = if is_short(&request) { None } else { work.at_once.acquire().await.ok() };
            let answer = work.carry_out(request).await;
            work.say(number, answer.unwrap_or_else(Answer::Failed));
        }
    }

    /// Does what is asked for, at the place of this agent only.
    async fn carry_out(&self, mut request: Request) -> Result<Answer, Trouble> {
        bounds::check(&request)?;
        let named = self.seated()?.1.lead_in(&mut request)?;
        let mut answer = self.act(request).await?;
        Seat::lead_out(&mut answer, named);
        Ok(answer)
    }

    async fn act(&self, request: Request) -> Result<Answer, Trouble> {
        Ok(match request {
            // Answered before.
            Request::Ping | Request::Hello { .. } | Request::Bye => Answer::Done,
            Request::Offer { injector, ask, around } => {
                Answer::Offers(self.named(&injector)?.offer(&ask, &around).await?)
            }
            Request::Prepare { injector, id, offer, place, deadline } => {
                let undo = self.named(&injector)?.prepare(&id, &offer, &place, deadline).await?;
                Answer::Prepared(Box::new(undo))
            }
            Request::Inject { undo } => {
                let injector = self.named(&undo.injector)?;
                // On the stack first: also a half-done injection is owed a revert.
                if !self.stack().push(undo.clone()) {
                    return Err(ending());
                }
                injector.inject(&undo).await?;
                Answer::Injected
            }
            Request::Release { ids } => {
                let undos = self.stack().among(&ids);
                self.release(&undos).await;
                Answer::Done
            }
            Request::Revert { undo } => Answer::Reverted(self.revert(&undo).await?),
            Request::Effect { undo } => Answer::Effect(self.named(&undo.injector)?.effect(&undo).await?),
            Request::Capabilities { injector } => {
                Answer::Capabilities(self.named(&injector)?.capabilities().await?)
            }
            Request::Standing { undo } => {
                Answer::Evidence(self.named(&undo.injector)?.standing(&undo).await?)
            }
            Request::Leftovers { injector, object } => {
                Answer::Evidence(self.named(&injector)?.leftovers(&object).await?)
            }
            Request::ChangedByOthers { undo } => {
                Answer::Evidence(self.named(&undo.injector)?.changed_by_others(&undo).await)
            }
            Request::Evidence { injector, place } => {
                Answer::Evidence(self.named(&injector)?.evidence(&place).await)
            }
            Request::Open { feed, probing } => {
                let opening = self.measuring().opening(*probing, self.host()?.opens()?)?;
                let prober = opening.await?;
                self.measuring().keep(feed, prober);
                Answer::Done
            }
            Request::Measure { feed, stream } => {
                self.measuring().start(feed, stream, self.life.clock(), self.says.clone())?;
                Answer::Done
            }
            Request::Taken { feed, count } => {
                self.measuring().taken(feed, count);
                Answer::Done
            }
            Request::Halt { feed } => {
                self.measuring().stop(feed)?;
                Answer::Done
            }
            Request::Close { feed } => {
                self.measuring().close(feed);
                Answer::Done
            }
        })
    }

    /// Lets the traffic of these faults pass at once, where that takes no time.
    async fn release(&self, undos: &[Undo]) {
        for injector in self.host.get().map_or(&[][..], |(host, _)| host.injectors()) {
            let own = undos.iter().filter(|undo| undo.injector == injector.name());
            let own: Vec<Undo> = own.cloned().collect();
            if !own.is_empty() {
                injector.release(&own).await;
            }
        }
    }

    async fn revert(&self, undo: &Undo) -> Result<Option<Measured>, Trouble> {
        let injector = self.named(&undo.injector)?;
        injector.revert(undo).await?;
        let effect = injector.effect(undo).await.ok();
        self.stack().remove(&undo.id);
        Ok(effect)
    }

    /// Returns what reverts the faults that outlived their deadlines.
    pub(super) fn expire(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let (work, undos) = (Arc::clone(self), self.stack().expired());
        let owed = self.owed(undos);
        async move {
            work.release(&owed.iter().flatten().map(|(undo, _)| undo.clone()).collect::<Vec<_>>()).await;
            work.take_back(owed, |undo| format!("its deadline of {:?} passed", undo.deadline)).await;
        }
    }

    /// Returns what reverts faults that broke without anybody's doing.
    pub(super) fn lose(self: &Arc<Self>, lost: Lost) -> impl Future<Output = ()> + use<> {
        let (work, undos) = (Arc::clone(self), self.stack().end(&lost.ids));
        let owed = self.owed(undos);
        async move { work.take_back(owed, |_| lost.reason.clone()).await }
    }

    /// Puts faults in lines by their objects, each with its turn, before what the runner still asks of it: on one object they are reverted in this order, on several
    /// at once.
    fn owed(&self, undos: Vec<Undo>) -> Vec<Vec<(Undo, Turn)>> {
        let mut lines: Vec<Vec<(Undo, Turn)>> = Vec::new();
        for undo in undos {
            let turn = self.turns.take_first(&undo.id);
            let same = |line: &&mut Vec<(Undo, Turn)>| {
                line.first().is_some_and(|(first, _)| {
                    (&first.offer.ask.object, &first.site) == (&undo.offer.ask.object, &undo.site)
                })
            };
            match lines.iter_mut().find(same) {
                Some(line) => line.push((undo, turn)),
                None => lines.push(vec![(undo, turn)]),
            }
        }
        lines
    }

    async fn take_back(&self, owed: Vec<Vec<(Undo, Turn)>>, reason: impl Fn(&Undo) -> String) {
        stream::iter(owed)
            .for_each_concurrent(AT_ONCE, |line| async {
                for (undo, mut turn) in line {
                    turn.wait().await;
                    // Whoever came before may have done it.
                    if !self.stack().holds(&undo.id) {
                        continue;
                    }
                    let reverted = self.revert(&undo).await;
                    if reverted.is_err() {
                        self.stack().postpone(&undo.id, AGAIN);
                    }
                    self.report(&undo.id, &reason(&undo), reverted);
                }
            })
            .await;
    }

    /// Takes back everything, and returns what could not be; nothing is injected any more.
    pub(super) async fn unwind(&self, reason: &str) -> Vec<String> {
        let all = self.stack().close();
        self.release(&all).await;
        let owed = self.owed(all);
        let left = Mutex::new(Vec::new());
        stream::iter(owed)
            .for_each_concurrent(AT_ONCE, |line| async {
                for (undo, mut turn) in line {
                    // What hangs must not keep the fault in place.
                    let _ = timeout(PATIENCE, turn.wait()).await;
                    if !self.stack().holds(&undo.id) {
                        continue;
                    }
                    let mut reverted = self.revert(&undo).await;
                    for attempt in 1..TRIES {
                        if reverted.is_ok() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(50) * attempt).await;
                        reverted = self.revert(&undo).await;
                    }
                    if let Err(error) = &reverted {
                        let line = format!("{}: {error}", undo.id);
                        left.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    }
                    self.report(&undo.id, reason, reverted);
                }
            })
            .await;
        left.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a fault was ended without the runner's asking.
    fn report(&self, id: &str, reason: &str, reverted: Result<Option<Measured>, Trouble>) {
        let (failure, effect) = match reverted {
            Ok(effect) => (None, effect),
            Err(error) => (Some(error.to_string()), None),
        };
        let ended = Message::Ended { id: id.into(), reason: reason.into(), failure, effect };
        self.says.send(ended).ok();
    }
}

fn ending() -> Trouble {
    Trouble::unable("the agent is ending").with_help("start a new agent")
}

fn is_short(request: &Request) -> bool {
    matches!(
        request,
        Request::Measure { .. } | Request::Taken { .. } | Request::Halt { .. } | Request::Close { .. }
    )
}

/// Returns the one thing that a request is about: a fault's record or a probe.
fn about(request: &Request) -> Option<String> {
    match request {
        Request::Prepare { id, .. } => Some(id.clone()),
        Request::Inject { undo } | Request::Revert { undo } | Request::Effect { undo } => {
            Some(undo.id.clone())
        }
        Request::Open { feed, .. }
        | Request::Measure { feed, .. }
        | Request::Taken { feed, .. }
        | Request::Halt { feed }
        | Request::Close { feed } => Some(format!("probe {feed}")),
        Request::Hello { .. }
        | Request::Ping
        | Request::Offer { .. }
        | Request::Release { .. }
        | Request::Standing { .. }
        | Request::Capabilities { .. }
        | Request::Leftovers { .. }
        | Request::ChangedByOthers { .. }
        | Request::Evidence { .. }
        | Request::Bye => None,
    }
}
