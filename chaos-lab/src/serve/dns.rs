//! The built-in DNS server: authoritative for the lab's names over UDP and TCP, ignorant of all others.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use super::configuration::Dns;
use super::socket::{ServeError, accept, bound, listener};
use crate::resolver::Names;

/// How long an answer may be kept, in seconds: so short that a fault on DNS is soon felt.
const TTL: u32 = 1;

/// The largest answer over UDP without and with the client's word that it takes more.
const PLAIN_UDP: usize = 512;
const LARGEST_UDP: u16 = 1232;

/// Serves until the process is killed.
///
/// # Errors
///
/// Fails when the port is taken.
pub async fn serve(configuration: Dns) -> Result<(), ServeError> {
    // UDP first: the TCP port is what shows that the server is ready.
    let udp = UdpSocket::from_std(bound(configuration.port, socket2::Type::DGRAM)?.into())?;
    let tcp = listener(configuration.port)?;
    let names = Rc::new(configuration.names);
    tokio::task::LocalSet::new()
        .run_until(async {
            let datagrams = Rc::clone(&names);
            tokio::task::spawn_local(async move { answer_datagrams(&udp, &datagrams).await });
            accept(tcp, |stream| {
                let names = Rc::clone(&names);
                tokio::task::spawn_local(async move {
                    // A client that leaves in the middle is its own affair.
                    let _ = answer_stream(stream, &names).await;
                });
            })
            .await
        })
        .await
}

async fn answer_datagrams(socket: &UdpSocket, names: &Names) {
    let mut buffer = [0; 4096];
    loop {
        // An error here is news of an earlier answer that its client did not take.
        if let Ok((length, client)) = socket.recv_from(&mut buffer).await
            && let Some(answer) = answer(&buffer[..length], names, true)
        {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

async fn answer_stream(mut stream: tokio::net::TcpStream, names: &Names) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await?;
        let Some(answer) = answer(&query, names, false) else { return Ok(()) };
        let mut framed = u16::try_from(answer.len()).map_err(std::io::Error::other)?.to_be_bytes().to_vec();
        framed.extend(answer);
        stream.write_all(&framed).await?;
    }
}

/// Answers one query; nothing for what is not a query at all.
fn answer(query: &[u8], names: &Names, udp: bool) -> Option<Vec<u8>> {
    let query = match Message::from_vec(query) {
        Ok(query) if query.metadata.message_type == MessageType::Query => query,
        Ok(_) => return None,
        Err(_) => {
            let id = u16::from_be_bytes(query.get(..2)?.try_into().ok()?);
            // Bit 15 of the flags marks an answer, and answers are never answered.
            let is_query = query.get(2)? & 0x80 == 0;
            let error = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
            return if is_query { error.to_vec().ok() } else { None };
        }
    };
    let answer = respond(&query, names);
    let bytes = answer.to_vec().ok()?;
    let room = match &query.edns {
        Some(edns) => usize::from(edns.max_payload().clamp(PLAIN_UDP as u16, LARGEST_UDP)),
        None => PLAIN_UDP,
    };
    if udp && bytes.len() > room { answer.truncate().to_vec().ok() } else { Some(bytes) }
}

fn respond(query: &Message, names: &Names) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.authoritative = true;
    answer.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_UDP);
        answer.set_edns(edns);
    }
    let [question] = query.queries.as_slice() else {
        answer.metadata.response_code = ResponseCode::FormErr;
        return answer;
    };
    if query.metadata.op_code != OpCode::Query {
        answer.metadata.response_code = ResponseCode::NotImp;
        return answer;
    }
    let addresses = names.resolve(&question.name().to_ascii());
    if addresses.is_empty() || question.query_class() != DNSClass::IN {
        answer.metadata.response_code = ResponseCode::NXDomain;
        return answer;
    }
    for address in addresses {
        let data = match address {
            IpAddr::V4(v4) => RData::A(A(*v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
        };
        if matches!(question.query_type(), RecordType::ANY) || data.record_type() == question.query_type() {
            answer.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
        }
    }
    answer
}

/// Asks the servers in turn for the addresses of `name`; each gets its share of the time.
///
/// # Errors
///
/// Fails when no server gives an answer in time, with the last reason.
pub(crate) async fn lookup(servers: &[IpAddr], name: &str, within: Duration) -> std::io::Result<Vec<IpAddr>> {
    let mut last = std::io::Error::other("no DNS server is known");
    let share = within / servers.len().max(1) as u32;
    for server in servers {
        match tokio::time::timeout(share, ask(*server, name, share)).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(e)) => last = e,
            Err(_) => last = std::io::Error::other(format!("{server} did not answer within {share:?}")),
        }
    }
    Err(last)
}

async fn ask(server: IpAddr, name: &str, share: Duration) -> std::io::Result<Vec<IpAddr>> {
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;
    use std::io::Error;

    let own: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect((server, 53)).await?;
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).map_err(Error::other)?, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(LARGEST_UDP);
    query.set_edns(edns);
    let bytes = query.to_vec().map_err(Error::other)?;

    let mut buffer = [0; 4096];
    loop {
        socket.send(&bytes).await?;
        // A lost datagram is sent again, as a resolver would, while there is time for an answer.
        let resend = tokio::time::sleep((share / 3).min(Duration::from_secs(1)));
        tokio::pin!(resend);
        loop {
            tokio::select! {
                () = &mut resend => break,
                received = socket.recv(&mut buffer) => {
                    let Ok(answer) = Message::from_vec(&buffer[..received?]) else { continue };
                    if answer.metadata.id != query.metadata.id {
                        continue;
                    }
                    if answer.metadata.truncation {
                        return ask_stream(server, &bytes).await;
                    }
                    return Ok(addresses(&answer));
                }
            }
        }
    }
}

async fn ask_stream(server: IpAddr, query: &[u8]) -> std::io::Result<Vec<IpAddr>> {
    let mut stream = tokio::net::TcpStream::connect((server, 53)).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map(|a| addresses(&a)).map_err(std::io::Error::other)
}

fn addresses(answer: &Message) -> Vec<IpAddr> {
    answer.answers.iter().filter_map(|r| r.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    use super::*;

    fn names() -> Names {
        let many: Vec<String> = (1..=60).map(|i| format!("\"10.77.0.{i}\"")).collect();
        let json =
            format!(r#"{{"api": ["10.77.0.1", "10.77.0.2", "fd77::1"], "many": [{}]}}"#, many.join(","));
        serde_json::from_str(&json).unwrap()
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        query
    }

    fn ask(query: &Message, udp: bool) -> Message {
        Message::from_vec(&answer(&query.to_vec().unwrap(), &names(), udp).unwrap()).unwrap()
    }

    #[test]
    fn both_families_and_the_domain() {
        let v4 = ask(&query("api.lab.", RecordType::A), true);
        assert!(v4.metadata.authoritative);
        assert_eq!(addresses(&v4), names().resolve("api")[..2]);
        assert!(v4.answers.iter().all(|r| r.ttl <= 1));
        assert_eq!(addresses(&ask(&query("API", RecordType::AAAA), true)), names().resolve("api")[2..]);
    }

    #[test]
    fn strangers_do_not_exist_but_other_types_are_only_empty() {
        let stranger = ask(&query("example.com.", RecordType::A), true);
        assert_eq!(stranger.metadata.response_code, ResponseCode::NXDomain);
        let mail = ask(&query("api", RecordType::MX), true);
        assert_eq!((mail.metadata.response_code, mail.answers.len()), (ResponseCode::NoError, 0));
    }

    #[test]
    fn what_does_not_fit_a_datagram_comes_over_tcp() {
        let large = query("many", RecordType::A);
        let datagram = ask(&large, true);
        assert!(datagram.metadata.truncation && datagram.answers.is_empty());
        assert_eq!(ask(&large, false).answers.len(), 60);
        let mut roomy = query("many", RecordType::A);
        roomy.edns.insert(Edns::new()).set_max_payload(1232);
        assert_eq!(ask(&roomy, true).answers.len(), 60, "EDNS asks for 1,232 bytes");
    }

    #[test]
    fn rubbish_is_refused_and_answers_are_never_answered() {
        let refused = answer(&[0x12, 0x34, 0, 0, 0, 9], &names(), true).unwrap();
        let refused = Message::from_vec(&refused).unwrap();
        assert_eq!((refused.metadata.id, refused.metadata.response_code), (0x1234, ResponseCode::FormErr));
        assert!(answer(&[1], &names(), true).is_none());
        assert!(answer(&[0x12, 0x34, 0x80, 0, 0, 9], &names(), true).is_none());
        let own = answer(&query("api", RecordType::A).to_vec().unwrap(), &names(), true).unwrap();
        assert!(answer(&own, &names(), true).is_none());
    }
}
