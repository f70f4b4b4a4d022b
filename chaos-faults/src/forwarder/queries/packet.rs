//! Frames that carry queries, and frames that carry what is sent back.

use super::super::frame::OFFLOADS;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Flags of TCP.
pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// What a connection or a socket is known by: both addresses and both ports.
pub(super) type Ends = Vec<u8>;

/// A datagram or a segment to the port of DNS.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    frame: &'a [u8],
    /// Where the IP header begins.
    ip: usize,
    v6: bool,
    /// Where the transport header begins.
    transport: usize,
    pub(super) tcp: Option<Segment>,
    pub(super) payload: &'a [u8],
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// Its timestamp and the one that it echoes, where the connection has them.
    stamps: Option<[u32; 2]>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

impl<'a> Packet<'a> {
    /// Reads a frame; none where it has no whole datagram or segment in it.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let mut ip = OFFLOADS + ETHERNET;
        let mut ethertype = u16_at(frame, ip - 2)?;
        while matches!(ethertype, 0x8100 | 0x88a8) {
            ip += 4;
            ethertype = u16_at(frame, ip - 2)?;
        }
        let (v6, protocol, transport, end) = match ethertype {
            0x0800 => {
                const LATER_OR_MORE: u16 = 0x3fff;
                if u16_at(frame, ip + 6)? & LATER_OR_MORE != 0 {
                    return None;
                }
                let header = usize::from(frame.get(ip)? & 15) * 4;
                (false, *frame.get(ip + 9)?, ip + header, ip + usize::from(u16_at(frame, ip + 2)?))
            }
            0x86dd => (true, *frame.get(ip + 6)?, ip + 40, ip + 40 + usize::from(u16_at(frame, ip + 4)?)),
            _ => return None,
        };
        let (tcp, header) = match protocol {
            UDP => (None, 8),
            TCP => {
                let header = usize::from(frame.get(transport + 12)? >> 4) * 4;
                let options = frame.get(transport + 20..transport + header)?;
                let segment = Segment {
                    seq: u32_at(frame, transport + 4)?,
                    ack: u32_at(frame, transport + 8)?,
                    flags: *frame.get(transport + 13)?,
                    stamps: stamps(options),
                };
                (Some(segment), header)
            }
            _ => return None,
        };
        let payload = frame.get(transport + header..end)?;
        Some(Packet { frame, ip, v6, transport, tcp, payload })
    }

    /// Returns both addresses and both ports.
    pub(super) fn ends(&self) -> Ends {
        let addresses = if self.v6 { self.ip + 8..self.ip + 40 } else { self.ip + 12..self.ip + 20 };
        let ports = self.transport..self.transport + 4;
        [&self.frame[addresses], &self.frame[ports]].concat()
    }

    /// Makes the frame of a datagram that goes back.
    pub(super) fn datagram_back(&self, payload: &[u8]) -> Vec<u8> {
        let ports = &self.frame[self.transport..self.transport + 4];
        let mut out = vec![ports[2], ports[3], ports[0], ports[1]];
        out.extend((8 + payload.len() as u16).to_be_bytes());
        out.extend([0, 0]);
        out.extend(payload);
        self.wrap(out, true)
    }

    /// Makes the frame of a segment that goes back.
    pub(super) fn segment_back(&self, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let ports = &self.frame[self.transport..self.transport + 4];
        let swapped = [ports[2], ports[3], ports[0], ports[1]];
        // What the other end stamped last, and what is answered: neither looks older than what was seen.
        let stamps = self.tcp.and_then(|tcp| tcp.stamps).map(|[own, echoed]| [echoed, own]);
        self.wrap(segment(&swapped, seq, ack, flags, stamps, payload), true)
    }

    /// Makes the frame of a segment without payload that goes the packet's own way.
    pub(super) fn segment_on(&self, seq: u32, ack: u32, flags: u8) -> Vec<u8> {
        let ports = &self.frame[self.transport..self.transport + 4];
        let stamps = self.tcp.and_then(|tcp| tcp.stamps);
        self.wrap(segment(ports, seq, ack, flags, stamps, &[]), false)
    }

    /// Puts headers around a datagram or a segment, and its checksum into it.
    fn wrap(&self, mut transport: Vec<u8>, back: bool) -> Vec<u8> {
        const HOPS: u8 = 64;
        let protocol = if self.tcp.is_some() { TCP } else { UDP };
        // Nothing is left to the hardware.
        let mut out = vec![0; OFFLOADS];
        let link = &self.frame[OFFLOADS..self.ip];
        let (to, from) = (&link[..6], &link[6..12]);
        let [first, second] = if back { [from, to] } else { [to, from] };
        out.extend(first);
        out.extend(second);
        out.extend(&link[12..]);
        let addresses = if self.v6 { self.ip + 8..self.ip + 40 } else { self.ip + 12..self.ip + 20 };
        let (source, destination) = self.frame[addresses.clone()].split_at(addresses.len() / 2);
        let ends = if back { [destination, source].concat() } else { [source, destination].concat() };
        let sum = checksum(&[&ends, &[0, protocol], &(transport.len() as u16).to_be_bytes(), &transport]);
        let at = if protocol == TCP { 16 } else { 6 };
        // A checksum of zero would mean that there is none.
        let sum = if sum == 0 && protocol == UDP { 0xffff } else { sum };
        transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        if self.v6 {
            out.extend([0x60, 0, 0, 0]);
            out.extend((transport.len() as u16).to_be_bytes());
            out.extend([protocol, HOPS]);
            out.extend(ends);
        } else {
            let mut header = vec![0x45, 0];
            header.extend((20 + transport.len() as u16).to_be_bytes());
            header.extend([0, 0, 0x40, 0, HOPS, protocol, 0, 0]);
            header.extend(ends);
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            out.extend(header);
        }
        out.extend(transport);
        out
    }
}

fn segment(ports: &[u8], seq: u32, ack: u32, flags: u8, stamps: Option<[u32; 2]>, payload: &[u8]) -> Vec<u8> {
    const WINDOW: u16 = 0xffff;
    let mut out = ports.to_vec();
    out.extend(seq.to_be_bytes());
    out.extend(ack.to_be_bytes());
    out.extend([if stamps.is_some() { 8 << 4 } else { 5 << 4 }, flags]);
    out.extend(WINDOW.to_be_bytes());
    out.extend([0; 4]);
    if let Some([own, echoed]) = stamps {
        out.extend([1, 1, 8, 10]);
        out.extend(own.to_be_bytes());
        out.extend(echoed.to_be_bytes());
    }
    out.extend(payload);
    out
}

/// Finds the timestamps among the options of a segment.
fn stamps(mut options: &[u8]) -> Option<[u32; 2]> {
    loop {
        match *options.first()? {
            0 => return None,
            1 => options = &options[1..],
            8 if options.len() >= 10 => return Some([u32_at(options, 2)?, u32_at(options, 6)?]),
            _ => options = options.get(usize::from(*options.get(1)?).max(2)..)?,
        }
    }
}

/// The checksum of the Internet over parts of an even length each, but for the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame of UDP from 10.0.0.2 port 40000 to 10.0.0.1 port 53.
    pub(crate) fn datagram(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; OFFLOADS];
        frame.extend([1; 6].into_iter().chain([2; 6]));
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((28 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
        frame.extend([0x9c, 0x40, 0, 53]);
        frame.extend((8 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    /// A frame of TCP between the same, over IPv6, with timestamps.
    pub(crate) fn stream(seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; OFFLOADS];
        frame.extend([1; 6].into_iter().chain([2; 6]));
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((32 + payload.len() as u16).to_be_bytes());
        frame.extend([TCP, 64]);
        frame.extend([2; 16].into_iter().chain([1; 16]));
        frame.extend(segment(&[0x9c, 0x40, 0, 53], seq, ack, flags, Some([7, 9]), payload));
        frame
    }

    #[test]
    fn what_goes_back_is_turned_around_and_sums_up() {
        let frame = datagram(b"asked");
        let packet = Packet::read(&frame).unwrap();
        assert_eq!(packet.payload, b"asked");
        let back = packet.datagram_back(b"answers");
        assert_eq!(back[OFFLOADS..OFFLOADS + 12], [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        let read = Packet::read(&back).unwrap();
        assert_eq!(read.payload, b"answers");
        assert_eq!(read.ends(), [10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0x9c, 0x40]);
        assert_eq!(checksum(&[&back[read.ip..read.transport]]), 0);
        let whole = [&back[read.ip + 12..read.transport], &[0, UDP, 0, 15], &back[read.transport..]].concat();
        assert_eq!(checksum(&[&whole]), 0);
    }

    #[test]
    fn a_segment_back_has_the_stamps_that_its_reader_expects() {
        let frame = stream(100, 200, PSH | ACK, b"ask");
        let packet = Packet::read(&frame).unwrap();
        assert_eq!(packet.payload, b"ask");
        let back = packet.segment_back(200, 103, FIN | ACK, b"answer");
        let read = Packet::read(&back).unwrap();
        let expected = Segment { seq: 200, ack: 103, flags: FIN | ACK, stamps: Some([9, 7]) };
        assert_eq!((read.tcp, read.payload), (Some(expected), &b"answer"[..]));
        let on = packet.segment_on(100, 200, RST);
        assert_eq!(Packet::read(&on).unwrap().ends(), packet.ends());
    }

    #[test]
    fn frames_that_are_cut_or_in_parts_are_none() {
        let whole = stream(1, 1, ACK, b"x");
        for length in 0..whole.len() {
            assert!(Packet::read(&whole[..length]).is_none(), "{length}");
        }
        let mut fragment = datagram(b"x");
        fragment[OFFLOADS + 20] = 0x20;
        assert!(Packet::read(&fragment).is_none());
    }
}
