//! One DNS question and its answer, over UDP, and over TCP where UDP cut it short.

use std::net::SocketAddr;

use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{failure::Failure, socket::Sockets};

/// The most that a UDP datagram carries.
const DATAGRAM: usize = 65_535;

/// A question that can be asked again and again.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The name asked for.
    pub(crate) name: Name,
    /// The record type asked for.
    pub(crate) record: RecordType,
}

impl Question {
    /// Asks a server once. No repetition: a lost datagram leaves this waiting until the caller gives up.
    pub(crate) async fn ask(&self, sockets: &Sockets, server: SocketAddr) -> Result<Message, Failure> {
        // `Message::query` draws a random id, and the socket a random port: a forger must guess both.
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(self.name.clone(), self.record));
        let id = query.metadata.id;
        let bytes = query.to_vec().map_err(|_| Failure::failed("the question cannot be encoded"))?;
        let answer = self.over_udp(sockets, server, id, &bytes).await?;
        if answer.metadata.truncation { self.over_tcp(sockets, server, id, &bytes).await } else { Ok(answer) }
    }

    async fn over_udp(
        &self,
        sockets: &Sockets,
        server: SocketAddr,
        id: u16,
        query: &[u8],
    ) -> Result<Message, Failure> {
        let socket = sockets.udp(server).await?;
        socket.send(query).await.map_err(|error| Failure::from_io(&error))?;
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let length = socket.recv(&mut buffer).await.map_err(|error| Failure::from_io(&error))?;
            let datagram = &buffer[..length];
            // Late answers to earlier questions and forgeries come with another id, or another question.
            if datagram.len() < 2 || datagram[..2] != id.to_be_bytes() {
                continue;
            }
            let answer = Message::from_vec(datagram).map_err(|_| Failure::failed("malformed answer"))?;
            if self.is_answered_by(&answer, id) {
                return Ok(answer);
            }
        }
    }

    async fn over_tcp(
        &self,
        sockets: &Sockets,
        server: SocketAddr,
        id: u16,
        query: &[u8],
    ) -> Result<Message, Failure> {
        let io = |error: std::io::Error| Failure::from_io(&error).under("over tcp");
        let mut stream = sockets.connect(server).await.map_err(|failure| failure.under("over tcp"))?;
        let mut framed = Vec::with_capacity(query.len() + 2);
        let length = u16::try_from(query.len()).map_err(|_| Failure::failed("the question is too long"))?;
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(query);
        stream.write_all(&framed).await.map_err(io)?;
        let length = stream.read_u16().await.map_err(io)?;
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.map_err(io)?;
        let answer = Message::from_vec(&bytes).map_err(|_| Failure::failed("malformed answer"))?;
        if self.is_answered_by(&answer, id) {
            Ok(answer)
        } else {
            Err(Failure::failed("answer to another question"))
        }
    }

    fn is_answered_by(&self, answer: &Message, id: u16) -> bool {
        let same_question = match answer.queries.first() {
            // Some servers leave the question out of an error.
            None => answer.metadata.response_code != ResponseCode::NoError,
            Some(asked) => asked.query_type() == self.record && asked.name() == &self.name,
        };
        answer.metadata.id == id && answer.metadata.message_type == MessageType::Response && same_question
    }
}

/// Returns an error if the server did not answer the question with success.
pub(crate) fn check(answer: &Message) -> Result<(), Failure> {
    Err(Failure::failed(match answer.metadata.response_code {
        ResponseCode::NoError => return Ok(()),
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::NotImp => "NOTIMP",
        other => other.to_str(),
    }))
}

/// What a name has to be.
pub(crate) const SPELLING: &str =
    "write ASCII letters, digits, `-` and `_`, at most 63 between two dots and 253 in all";

/// Returns the forms in which an answer's value may be named: whole, and for composed values the host in it.
pub(crate) fn values(data: &RData) -> Vec<String> {
    let name = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    match data {
        RData::CNAME(found) => vec![name(&found.0)],
        RData::NS(found) => vec![name(&found.0)],
        RData::PTR(found) => vec![name(&found.0)],
        RData::MX(found) => {
            vec![format!("{} {}", found.preference, name(&found.exchange)), name(&found.exchange)]
        }
        RData::SRV(found) => {
            let target = name(&found.target);
            vec![
                format!("{} {} {} {target}", found.priority, found.weight, found.port),
                format!("{target}:{}", found.port),
                target,
            ]
        }
        RData::A(address) => vec![address.0.to_string()],
        RData::AAAA(address) => vec![address.0.to_string()],
        RData::TXT(text) => vec![text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect()],
        // Of a kind that is not asked for. How records of every kind are written would be 16 kB of a small agent.
        other => vec![other.record_type().to_string()],
    }
}
