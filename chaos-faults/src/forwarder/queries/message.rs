//! DNS messages (RFC 1035, RFC 6891), as far as a query has to be understood and an answer to it made.
//!
//! Only the header, the one question and the OPT record are read. What is odd in any way is left alone.

use std::net::IpAddr;

/// Types of records.
const A: u16 = 1;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const ANY: u16 = 255;

/// The class of the Internet.
const IN: u16 = 1;

const HEADER: usize = 12;

/// Flags: an answer; recursion desired, recursion available, checking disabled, truncated.
const RESPONSE: u16 = 0x8000;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;
const TRUNCATED: u16 = 0x0200;
const OPCODE: u16 = 0x7800;

/// What an answer says its maker takes over UDP.
const UDP_SIZE: u16 = 1232;

/// The EDNS option of a cookie (RFC 7873), and how long one is that a server has completed.
const COOKIE: u16 = 10;
const WHOLE_COOKIE: std::ops::RangeInclusive<usize> = 16..=40;

/// The codes of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    ServFail = 2,
    NxDomain = 3,
    Refused = 5,
}

/// A query with one question of the class of the Internet.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pub(super) id: u16,
    flags: u16,
    /// The name, in lower case, without the dot of the root; what no text has is a `?`.
    pub(super) name: String,
    pub(super) kind: u16,
    /// The question as it was asked, with the case of its letters.
    question: &'a [u8],
    edns: Option<Edns<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Edns<'a> {
    wants_signatures: bool,
    cookie: Option<&'a [u8]>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

impl<'a> Query<'a> {
    /// Reads a query; none where it is not an ordinary one.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let (id, flags) = (u16_at(message, 0)?, u16_at(message, 2)?);
        let counts = [u16_at(message, 4)?, u16_at(message, 6)?, u16_at(message, 8)?];
        if flags & (RESPONSE | OPCODE) != 0 || counts != [1, 0, 0] {
            return None;
        }
        let (name, behind) = name(message)?;
        let (kind, class) = (u16_at(message, behind)?, u16_at(message, behind + 2)?);
        let end = behind + 4;
        if class != IN {
            return None;
        }
        let edns = edns(message.get(end..)?, u16_at(message, 10)?);
        Some(Query { id, flags, name, kind, question: &message[HEADER..end], edns })
    }

    /// Makes an answer without records.
    pub(super) fn failed(&self, code: Code) -> Vec<u8> {
        self.respond(code as u16, &[])
    }

    /// Makes an answer that says that it was cut off.
    pub(super) fn truncated(&self) -> Vec<u8> {
        self.respond(TRUNCATED, &[])
    }

    /// Makes an answer of those of the addresses that are of the type that is asked for.
    pub(super) fn answered(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let asked = |address: &&IpAddr| match address {
            IpAddr::V4(_) => matches!(self.kind, A | ANY),
            IpAddr::V6(_) => matches!(self.kind, AAAA | ANY),
        };
        let addresses: Vec<IpAddr> = addresses.iter().filter(asked).copied().collect();
        self.respond(Code::NoError as u16, &addresses)
    }

    fn respond(&self, flags: u16, addresses: &[IpAddr]) -> Vec<u8> {
        const NAME_OF_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
        let kept = self.flags & (RECURSION_DESIRED | CHECKING_DISABLED);
        let mut out = self.id.to_be_bytes().to_vec();
        let counts = [1, addresses.len() as u16, 0, self.edns.is_some().into()];
        for word in [RESPONSE | RECURSION_AVAILABLE | kept | flags].into_iter().chain(counts) {
            out.extend(word.to_be_bytes());
        }
        out.extend(self.question);
        for address in addresses {
            let (kind, bytes): (u16, Vec<u8>) = match address {
                IpAddr::V4(v4) => (A, v4.octets().into()),
                IpAddr::V6(v6) => (AAAA, v6.octets().into()),
            };
            out.extend(NAME_OF_QUESTION);
            out.extend(kind.to_be_bytes());
            out.extend(IN.to_be_bytes());
            // Nobody may keep it beyond the fault.
            out.extend([0; 4]);
            out.extend((bytes.len() as u16).to_be_bytes());
            out.extend(bytes);
        }
        if let Some(edns) = self.edns {
            out.push(0);
            out.extend(OPT.to_be_bytes());
            out.extend(UDP_SIZE.to_be_bytes());
            out.extend([0, 0, if edns.wants_signatures { 0x80 } else { 0 }, 0]);
            // Only what a server has completed is one that its client takes back; without one the client asks no less.
            let cookie = edns.cookie.filter(|cookie| WHOLE_COOKIE.contains(&cookie.len()));
            let length = cookie.map_or(0, |cookie| cookie.len() + 4);
            out.extend((length as u16).to_be_bytes());
            if let Some(cookie) = cookie {
                out.extend(COOKIE.to_be_bytes());
                out.extend((cookie.len() as u16).to_be_bytes());
                out.extend(cookie);
            }
        }
        out
    }
}

/// Reads the name of the question and where it ends. Questions are not compressed.
fn name(message: &[u8]) -> Option<(String, usize)> {
    let (mut text, mut at) = (String::new(), HEADER);
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((text, at));
        }
        if length > 63 || at + length - HEADER > 254 {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        let readable = |byte: &u8| if byte.is_ascii_graphic() && *byte != b'.' { *byte } else { b'?' };
        let label = message.get(at..at + length)?;
        text.extend(label.iter().map(|byte| char::from(readable(byte).to_ascii_lowercase())));
        at += length;
    }
}

/// Finds the OPT record among the additional ones.
fn edns(mut rest: &[u8], records: u16) -> Option<Edns<'_>> {
    for _ in 0..records {
        // The name of an OPT record is the root; another record's may be anything, and is passed over.
        let name = rest.iter().position(|byte| *byte == 0 || *byte >= 0xc0)?;
        let behind = name + if rest[name] == 0 { 1 } else { 2 };
        let fixed = rest.get(behind..behind + 10)?;
        let length = usize::from(u16_at(fixed, 8)?);
        let data = rest.get(behind + 10..behind + 10 + length)?;
        if u16_at(fixed, 0)? == OPT {
            return Some(Edns { wants_signatures: fixed[6] & 0x80 != 0, cookie: option(data, COOKIE) });
        }
        rest = &rest[behind + 10 + length..];
    }
    None
}

/// Finds an EDNS option.
fn option(mut data: &[u8], code: u16) -> Option<&[u8]> {
    while let (Some(found), Some(length)) = (u16_at(data, 0), u16_at(data, 2)) {
        let value = data.get(4..4 + usize::from(length))?;
        if found == code {
            return Some(value);
        }
        data = &data[4 + usize::from(length)..];
    }
    None
}

/// Returns the name of a type of record.
pub(super) fn kind(number: u16) -> String {
    let known = match number {
        A => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        AAAA => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        ANY => "ANY",
        257 => "CAA",
        _ => return format!("TYPE{number}"),
    };
    known.to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A query as a client writes it.
    pub(crate) fn query(id: u16, name: &str, kind: u16, extra: &[u8]) -> Vec<u8> {
        let mut out = id.to_be_bytes().to_vec();
        out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!extra.is_empty())]);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            out.push(label.len() as u8);
            out.extend(label.bytes());
        }
        out.push(0);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(extra);
        out
    }

    fn opt(signatures: bool, options: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, 41, 16, 0, 0, 0, if signatures { 0x80 } else { 0 }, 0, 0];
        out.push(options.len() as u8);
        out.extend(options);
        out
    }

    #[test]
    fn an_answer_keeps_id_case_and_edns() {
        let cookie: Vec<u8> = [0, 10, 0, 16].into_iter().chain(1..=16).collect();
        let bytes = query(0xbeef, "PaY.exAmple", A, &opt(true, &cookie));
        let asked = Query::read(&bytes).unwrap();
        assert_eq!((asked.name.as_str(), asked.kind), ("pay.example", A));
        let answer = asked.failed(Code::NxDomain);
        assert_eq!(answer[..12], [0xbe, 0xef, 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(answer[12..29], bytes[12..29]);
        let mut expected = vec![0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 20];
        expected.extend(&cookie);
        assert_eq!(answer[29..], expected);
        // A client's half of a cookie is none that a server gives.
        let half: Vec<u8> = [0, 10, 0, 8].into_iter().chain(1..=8).collect();
        let bytes = query(1, "a", A, &opt(false, &half));
        assert!(Query::read(&bytes).unwrap().failed(Code::Refused).ends_with(&[0, 0, 0, 0, 0, 0]));
        let plain = query(1, "a", A, &[]);
        assert_eq!(Query::read(&plain).unwrap().truncated()[2..12], [0x83, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_answer_has_the_addresses_of_the_type_asked_for() {
        let all: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd71::2".parse().unwrap()];
        for (kind, count, length) in [(A, 1, 16), (AAAA, 1, 28), (ANY, 2, 44), (15, 0, 0)] {
            let bytes = query(7, "a.b", kind, &[]);
            let answer = Query::read(&bytes).unwrap().answered(&all);
            assert_eq!((answer[7], answer.len()), (count, bytes.len() + length), "{kind}");
            assert_eq!(answer[3] & 15, 0);
        }
    }

    #[test]
    fn what_is_no_ordinary_query_is_left_alone() {
        let good = query(7, "pay.example", A, &[]);
        for length in 0..good.len() {
            assert!(Query::read(&good[..length]).is_none(), "{length}");
        }
        for (at, value) in
            [(2, 0x81), (2, 0x29), (5, 0), (5, 2), (7, 1), (9, 1), (12, 0xc0), (good.len() - 1, 3)]
        {
            let mut odd = good.clone();
            odd[at] = value;
            assert!(Query::read(&odd).is_none(), "{at} {value}");
        }
        let long = query(7, &["a"; 130].join("."), A, &[]);
        assert!(Query::read(&long).is_none());
        // An OPT record that is cut off is none.
        let bytes = query(7, "a", A, &[0, 0, 41, 16]);
        assert_eq!(Query::read(&bytes).unwrap().failed(Code::ServFail)[11], 0);
    }
}
