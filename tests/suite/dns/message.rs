//! Queries as a client writes them, and answers as it reads them.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) addresses: Vec<String>,
    pub(crate) edns: bool,
    pub(crate) truncated: bool,
}

/// Writes a query with EDNS; its number is another one each time.
pub(crate) fn query(name: &str, kind: u16) -> Vec<u8> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NUMBER: AtomicU16 = AtomicU16::new(1);
    let id = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{name}.")).expect("it is a name");
    message.add_query(Query::query(name, RecordType::from(kind)));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.edns = Some(edns);
    message.to_vec().expect("it can be written")
}

/// Reads an answer, which must be to this query, with its number and its spelling.
pub(crate) fn read(asked: &[u8], answer: &[u8]) -> Answer {
    let question = asked.len() - 11;
    assert_eq!(answer[..2], asked[..2], "the number");
    assert_eq!(answer[12..question], asked[12..question], "the question as it was asked");
    let message = Message::from_vec(answer).expect("a parser of others reads it");
    let address = |data: &RData| match data {
        RData::A(v4) => Some(Ipv4Addr::from(*v4).to_string()),
        RData::AAAA(v6) => Some(Ipv6Addr::from(*v6).to_string()),
        _ => None,
    };
    Answer {
        code: message.metadata.response_code.into(),
        addresses: message.answers.iter().filter_map(|record| address(&record.data)).collect(),
        edns: message.edns.is_some(),
        truncated: message.metadata.truncation,
    }
}
