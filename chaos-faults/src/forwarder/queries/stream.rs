//! Queries over TCP: where they begin and end in the stream of each connection.

use std::collections::BTreeMap;

use super::{
    Fate, Judge, Verdict,
    message::Query,
    packet::{ACK, Ends, FIN, PSH, Packet, RST, SYN, Segment},
};

/// How many connections are remembered. One that is forgotten is found again where its next query begins a segment.
const MOST: usize = 4096;

/// The longest query that is waited for; a stream of longer ones is left alone.
const LONGEST: usize = 4096;

/// The connections that queries go over.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: BTreeMap<Ends, Stream>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Stream {
    /// The number of the byte that comes next.
    next: u32,
    /// What there is of a query that is not complete.
    part: Vec<u8>,
    /// When it was last heard of.
    heard: u64,
    /// Until when its last query is held, and with it whatever is sent again.
    held: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// Everything from this byte on vanishes.
    Silent {
        from: u32,
    },
    /// It was answered, and ended.
    Answered(Answered),
}

/// What a client was answered; each time in a frame of its own, because its way may be another by now.
#[derive(Debug)]
struct Answered {
    /// The number of its query's first byte, and of the byte behind its query.
    query: [u32; 2],
    payload: Vec<u8>,
    /// The number of the answer's first byte, and of what follows its end.
    answer: [u32; 2],
}

/// Whether one number of a byte comes before another; they begin again after the last.
fn before(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) < 0
}

impl Streams {
    pub(super) fn decide(&mut self, now: u64, packet: &Packet<'_>, judge: &mut Judge) -> Fate {
        let Some(tcp) = packet.tcp else { return Fate::Pass };
        let (ends, payload) = (packet.ends(), packet.payload);
        if tcp.flags & RST != 0 {
            return match self.known.remove(&ends) {
                // Its server was sent one already.
                Some(Stream { state: State::Answered(_), .. }) => Fate::Drop,
                _ => Fate::Pass,
            };
        }
        let opens = tcp.flags & SYN != 0;
        let start = if opens { tcp.seq.wrapping_add(1) } else { tcp.seq };
        if opens {
            self.known.remove(&ends);
        }
        if payload.is_empty() && !opens && !self.known.contains_key(&ends) {
            return Fate::Pass;
        }
        if self.known.len() >= MOST && !self.known.contains_key(&ends) {
            self.forget();
        }
        let fresh = || Stream { next: start, part: Vec::new(), heard: now, held: 0, state: State::Open };
        let stream = self.known.entry(ends.clone()).or_insert_with(fresh);
        stream.heard = now;
        let fate = stream.decide(now, packet, tcp, start, &ends, judge);
        if tcp.flags & FIN != 0 && matches!(stream.state, State::Open) {
            self.known.remove(&ends);
        }
        fate
    }

    /// Forgets the half that was not heard of for longest.
    fn forget(&mut self) {
        let mut heard: Vec<u64> = self.known.values().map(|stream| stream.heard).collect();
        heard.sort_unstable();
        let middle = heard.get(heard.len() / 2).copied().unwrap_or(0);
        self.known.retain(|_, stream| stream.heard > middle);
    }
}

impl Stream {
    fn decide(
        &mut self,
        now: u64,
        packet: &Packet<'_>,
        tcp: Segment,
        start: u32,
        ends: &[u8],
        judge: &mut Judge,
    ) -> Fate {
        let payload = packet.payload;
        match &self.state {
            State::Open => {}
            State::Silent { from } => {
                let end = start.wrapping_add(payload.len() as u32);
                return if payload.is_empty() || !before(*from, end) { Fate::Pass } else { Fate::Drop };
            }
            State::Answered(answered) => return answered.after(packet, tcp),
        }
        if payload.is_empty() {
            return Fate::Pass;
        }
        let end = start.wrapping_add(payload.len() as u32);
        if !before(self.next, end) {
            // It is sent again: the first is still held, or went its way.
            return if self.held > now { Fate::Drop } else { Fate::Pass };
        }
        let new = match before(start, self.next) {
            true => &payload[self.next.wrapping_sub(start) as usize..],
            false => payload,
        };
        if before(self.next, start) {
            // Something is missing in between, so it is seen anew whether a query begins here.
            self.part.clear();
        }
        self.next = end;
        self.part.extend(new);
        let verdicts = self.queries(now, ends, judge);
        if verdicts.contains(&Verdict::Drop) {
            self.state = State::Silent { from: start };
            return Fate::Drop;
        }
        let mut answers = Vec::new();
        let mut due = None;
        for verdict in verdicts {
            match verdict {
                Verdict::Answer(answer) => {
                    answers.extend((answer.len() as u16).to_be_bytes());
                    answers.extend(answer);
                }
                Verdict::Hold(until, whole) => due = due.max(Some((until, whole))),
                Verdict::Pass | Verdict::Drop => {}
            }
        }
        if !answers.is_empty() {
            if tcp.flags & SYN != 0 {
                // Its client opens the connection without a query then, and asks over it.
                self.next = start;
                self.part.clear();
                return Fate::Drop;
            }
            let behind = tcp.ack.wrapping_add(answers.len() as u32 + 1);
            let answered = Answered { query: [start, end], payload: answers, answer: [tcp.ack, behind] };
            let answer = answered.again(packet);
            let reset = packet.segment_on(start, tcp.ack, RST | ACK);
            self.state = State::Answered(answered);
            return Fate::Answer(answer, Some(reset));
        }
        match due {
            Some((due, whole)) => {
                self.held = due;
                Fate::Hold(due, whole)
            }
            None => Fate::Pass,
        }
    }

    /// Takes the queries that are complete, and decides about each.
    fn queries(&mut self, now: u64, ends: &[u8], judge: &mut Judge) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        while let [high, low, rest @ ..] = &self.part[..] {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length > LONGEST {
                self.part.clear();
                break;
            }
            let Some(message) = rest.get(..length) else { break };
            if let Some(query) = Query::read(message) {
                verdicts.push(judge.decide(now, &query, ends, true));
            }
            self.part.drain(..2 + length);
        }
        verdicts
    }
}

impl Answered {
    /// Makes the answer for whoever sent this packet.
    fn again(&self, packet: &Packet<'_>) -> Vec<u8> {
        packet.segment_back(self.answer[0], self.query[1], PSH | FIN | ACK, &self.payload)
    }

    /// What becomes of a segment of a connection that was answered, and is known to its client alone by now.
    fn after(&self, packet: &Packet<'_>, tcp: Segment) -> Fate {
        let length = packet.payload.len() as u32;
        if tcp.flags & FIN != 0 {
            let behind = tcp.seq.wrapping_add(length + 1);
            return Fate::Answer(packet.segment_back(self.answer[1], behind, ACK, &[]), None);
        }
        if length == 0 {
            return Fate::Drop;
        }
        if tcp.seq == self.query[0] {
            // Its answer was lost.
            return Fate::Answer(self.again(packet), None);
        }
        // There is nobody any more whom it could ask.
        Fate::Answer(packet.segment_back(tcp.ack, tcp.seq.wrapping_add(length), RST | ACK, &[]), None)
    }
}
