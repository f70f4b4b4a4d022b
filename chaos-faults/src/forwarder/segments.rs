//! What the hardware would still do to a frame: cut it into packets that fit the wire, and finish their checksums.
//!
//! A fault that hits packets has to hit those of the wire, and damage has to come after the checksum. Otherwise whoever
//! finishes the checksum later would sign the damage as good.

use super::frame::{Headers, NEEDS_CHECKSUM, OFFLOADS, byte, u16_at};

/// How a frame is to be cut (`VIRTIO_NET_HDR_GSO_*`), without the bit for congestion marks.
const TCP_V4: u8 = 1;
const TCP_V6: u8 = 4;
const UDP: u8 = 5;
const CONGESTION: u8 = 0x80;

const FIN_OR_PUSH: u8 = 0x09;
const CONGESTION_REDUCED: u8 = 0x80;

/// Where the parts of a frame that is to be cut begin.
struct Layout {
    network: usize,
    transport: usize,
    checksum: usize,
    payload: usize,
    segment: usize,
    datagrams: bool,
}

impl Layout {
    /// Reads it from the header in front; nothing for a frame that is one packet, or that we cannot cut.
    fn of(frame: &[u8]) -> Option<Self> {
        let kind = frame.get(1).copied()? & !CONGESTION;
        let segment = usize::from(u16_at(frame, 4)?);
        if segment == 0 || frame[0] & NEEDS_CHECKSUM == 0 {
            return None;
        }
        let Headers { version, network, transport, protocol, .. } = Headers::of(frame)?;
        let (header, place) = match (kind, version, protocol) {
            (TCP_V4, 4, 6) | (TCP_V6, 6, 6) => ((byte(frame, transport + 12)? >> 4) * 4, 16),
            (UDP, 4 | 6, 17) => (8, 6),
            _ => return None,
        };
        let (checksum, payload) = (transport + place, transport + header);
        // In a tunnel it is the inner packet whose checksum is to be finished, and the outer headers say nothing of it.
        let understood = checksum_of(frame)? == (transport, checksum);
        let whole = (kind == UDP || header >= 20) && payload < frame.len();
        (understood && whole).then_some(Layout {
            network,
            transport,
            checksum,
            payload,
            segment,
            datagrams: kind == UDP,
        })
    }
}

/// Where the checksum that is still to be finished begins to count, and where it is.
fn checksum_of(frame: &[u8]) -> Option<(usize, usize)> {
    let start = OFFLOADS + usize::from(u16_at(frame, 6)?);
    let place = start + usize::from(u16_at(frame, 8)?);
    (place + 2 <= frame.len()).then_some((start, place))
}

/// How many packets a frame is on the wire, and how many bytes, with the headers that each of them will have.
pub(super) fn on_the_wire(frame: &[u8]) -> (u64, u64) {
    let length = frame.len().saturating_sub(OFFLOADS);
    let Some(layout) = Layout::of(frame) else { return (1, length as u64) };
    let packets = (frame.len() - layout.payload).div_ceil(layout.segment);
    (packets as u64, (length + (packets - 1) * (layout.payload - OFFLOADS)) as u64)
}

/// Cuts a frame into the packets that it is on the wire, with all checksums finished, and hands on one after another in
/// `packet`. What is one packet already is handed on as it is.
pub(super) fn each(frame: &mut Vec<u8>, packet: &mut Vec<u8>, mut take: impl FnMut(&mut Vec<u8>)) {
    let Some(layout) = Layout::of(frame) else { return take(frame) };
    let Layout { network, transport, checksum, payload, segment, datagrams } = layout;
    let mut headers = frame[..payload].to_vec();
    headers[..OFFLOADS].fill(0);
    // What the kernel left in the checksum is the sum of the pseudo-header, which has the length of the whole.
    let whole = u32::try_from(frame.len() - transport).unwrap_or(u32::MAX);
    let pseudo = u64::from(be16(&headers, checksum)) + u64::from(!fold(u64::from(whole)));
    let first_sequence = u32::from_be_bytes(std::array::from_fn(|byte| headers[transport + 4 + byte]));
    let first_number = be16(&headers, network + 4);
    let last = (frame.len() - payload).div_ceil(segment) - 1;
    for (number, part) in frame[payload..].chunks(segment).enumerate() {
        packet.clear();
        packet.extend_from_slice(&headers);
        packet.extend_from_slice(part);
        let (size, length) = (packet.len() - network, packet.len() - transport);
        if packet[network] >> 4 == 4 {
            set(packet, network + 2, fit(size));
            set(packet, network + 4, first_number.wrapping_add(fit(number)));
            set(packet, network + 10, 0);
            let sum = !fold(sum(&packet[network..transport]));
            set(packet, network + 10, sum);
        } else {
            set(packet, network + 4, fit(size - 40));
        }
        if datagrams {
            set(packet, transport + 4, fit(length));
        } else {
            let offset = u32::try_from(number * segment).unwrap_or(u32::MAX);
            let sequence = first_sequence.wrapping_add(offset).to_be_bytes();
            packet[transport + 4..transport + 8].copy_from_slice(&sequence);
            if number < last {
                packet[transport + 13] &= !FIN_OR_PUSH;
            }
            if number > 0 {
                packet[transport + 13] &= !CONGESTION_REDUCED;
            }
        }
        set(packet, checksum, fold(pseudo + length as u64));
        finish(packet, transport, checksum);
        take(packet);
    }
}

/// Finishes the checksum that was left to the hardware, and has whoever receives the packet look at it.
///
/// Returns whether that was possible: of a frame that is several packets on the wire it is not.
pub(super) fn seal(frame: &mut [u8]) -> bool {
    if frame.len() < OFFLOADS || frame[1] != 0 {
        return false;
    }
    if frame[0] & NEEDS_CHECKSUM != 0 {
        let Some((start, place)) = checksum_of(frame) else { return false };
        finish(frame, start, place);
    }
    frame[..OFFLOADS].fill(0);
    true
}

fn finish(frame: &mut [u8], start: usize, place: usize) {
    let sum = !fold(sum(&frame[start..]));
    // Zero would mean that there is none in UDP, and is the same number elsewhere.
    set(frame, place, if sum == 0 { u16::MAX } else { sum });
}

/// Adds up the 16-bit numbers.
fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    pairs.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u64>() + odd
}

/// Folds the carries of a sum back in.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A length as a header has it.
fn fit(length: usize) -> u16 {
    u16::try_from(length & 0xffff).unwrap_or(u16::MAX)
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn set(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::{ETHERNET, damage};
    use super::*;

    const NETWORK: usize = OFFLOADS + ETHERNET;

    /// A frame of TCP over IPv4 or IPv6 as the kernel leaves it: with the sum of the pseudo-header in place of the checksum.
    fn bulk(version: u8, payload: usize, segment: u16) -> Vec<u8> {
        let network = if version == 4 { 20 } else { 40 };
        let transport = NETWORK + network;
        let mut frame = vec![0; transport + 20];
        frame[0] = NEEDS_CHECKSUM;
        frame[1] = if version == 4 { TCP_V4 } else { TCP_V6 };
        frame[4..6].copy_from_slice(&segment.to_ne_bytes());
        frame[6..8].copy_from_slice(&((ETHERNET + network) as u16).to_ne_bytes());
        frame[8..10].copy_from_slice(&16_u16.to_ne_bytes());
        if version == 4 {
            set(&mut frame, NETWORK - 2, 0x0800);
            set(&mut frame, NETWORK, 0x4500);
            set(&mut frame, NETWORK + 4, 0xffff);
            frame[NETWORK + 9] = 6;
        } else {
            set(&mut frame, NETWORK - 2, 0x86dd);
            frame[NETWORK] = 0x60;
            frame[NETWORK + 6] = 6;
        }
        let addresses = addresses(version);
        for (byte, value) in frame[addresses.clone()].iter_mut().zip(1..) {
            *byte = value;
        }
        frame[transport + 4..transport + 8].copy_from_slice(&(u32::MAX - 100).to_be_bytes());
        frame[transport + 12] = 0x50;
        frame[transport + 13] = FIN_OR_PUSH | 0x10 | CONGESTION_REDUCED;
        frame.extend((0..payload).map(|at| (at * 7) as u8));
        let pseudo = pseudo(&frame, version);
        set(&mut frame, transport + 16, pseudo);
        frame
    }

    fn addresses(version: u8) -> std::ops::Range<usize> {
        if version == 4 { NETWORK + 12..NETWORK + 20 } else { NETWORK + 8..NETWORK + 40 }
    }

    fn pseudo(frame: &[u8], version: u8) -> u16 {
        let transport = addresses(version).end;
        fold(sum(&frame[addresses(version)]) + 6 + (frame.len() - transport) as u64)
    }

    /// Whether a receiver would take the packet.
    fn is_good(packet: &[u8], version: u8) -> bool {
        let transport = addresses(version).end;
        let header = version == 6 || fold(sum(&packet[NETWORK..transport])) == 0xffff;
        let total = u64::from(pseudo(packet, version)) + sum(&packet[transport..]);
        header && fold(total) == 0xffff
    }

    fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
        let (mut packets, mut frame) = (Vec::new(), frame.to_vec());
        each(&mut frame, &mut Vec::new(), |packet| packets.push(packet.clone()));
        packets
    }

    #[test]
    fn every_packet_of_bulk_data_is_one_that_a_receiver_takes() {
        for version in [4, 6] {
            let frame = bulk(version, 3001, 1448);
            let packets = cut(&frame);
            let transport = addresses(version).end;
            let parts: Vec<_> = packets.iter().map(|packet| packet.len() - transport - 20).collect();
            assert_eq!(parts, [1448, 1448, 105]);
            assert!(packets.iter().all(|packet| is_good(packet, version)), "version {version}");
            let data: Vec<_> = packets.iter().flat_map(|packet| &packet[transport + 20..]).collect();
            assert!(data.into_iter().eq(&frame[transport + 20..]));
            let sequences = packets
                .iter()
                .map(|packet| u32::from_be_bytes(std::array::from_fn(|byte| packet[transport + 4 + byte])));
            assert_eq!(sequences.collect::<Vec<_>>(), [u32::MAX - 100, 1347, 2795]);
            let flags: Vec<_> = packets.iter().map(|packet| packet[transport + 13]).collect();
            assert_eq!(flags, [0x90, 0x10, 0x19]);
            assert!(packets.iter().all(|packet| packet[..OFFLOADS] == [0; OFFLOADS]));
        }
    }

    #[test]
    fn a_frame_counts_as_the_packets_that_it_is_on_the_wire() {
        let frame = bulk(4, 3001, 1448);
        let sent: usize = cut(&frame).iter().map(|packet| packet.len() - OFFLOADS).sum();
        assert_eq!(on_the_wire(&frame), (3, sent as u64));
        let mut single = bulk(4, 1000, 0);
        single[1] = 0;
        assert_eq!(on_the_wire(&single), (1, 1054));
        assert_eq!(cut(&single), [single]);
        assert_eq!(on_the_wire(&[]), (1, 0));
    }

    #[test]
    fn options_in_front_of_the_transport_header_are_in_every_packet() {
        let mut frame = bulk(6, 3001, 1448);
        frame[NETWORK + 6] = 0;
        frame.splice(NETWORK + 40..NETWORK + 40, [6, 0, 1, 4, 0, 0, 0, 0]);
        frame[6..8].copy_from_slice(&((ETHERNET + 48) as u16).to_ne_bytes());
        let packets = cut(&frame);
        assert_eq!(packets.len(), 3);
        for packet in packets {
            assert_eq!(usize::from(be16(&packet, NETWORK + 4)), packet.len() - NETWORK - 40);
            assert_eq!(packet[NETWORK + 40..NETWORK + 48], frame[NETWORK + 40..NETWORK + 48]);
            let mut plain = packet;
            plain.drain(NETWORK + 40..NETWORK + 48);
            assert!(is_good(&plain, 6));
        }
    }

    #[test]
    fn bulk_data_in_a_tunnel_goes_on_whole() {
        let inner = bulk(4, 3001, 1448);
        let mut frame = inner[..OFFLOADS].to_vec();
        frame[6..8].copy_from_slice(&((ETHERNET + 36 + ETHERNET + 20) as u16).to_ne_bytes());
        // The outer headers of VXLAN: Ethernet, IPv4 with UDP, port 4789, a network.
        frame.extend(&inner[OFFLOADS..NETWORK + 20]);
        frame[NETWORK + 9] = 17;
        frame.extend([0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0]);
        frame.extend([8, 0, 0, 0, 0, 0, 1, 0]);
        frame.extend(&inner[OFFLOADS..]);
        assert_eq!(on_the_wire(&frame), (1, (frame.len() - OFFLOADS) as u64));
        assert_eq!(cut(&frame), [frame]);
    }

    #[test]
    fn headers_that_contradict_each_other_go_on_whole() {
        // A checksum at the start of a header of four bytes.
        let mut short = bulk(4, 3, 1);
        short[8..10].fill(0);
        short[NETWORK + 32] = 0x10;
        let mut short_only = bulk(4, 3001, 1448);
        short_only[NETWORK + 32] = 0x40;
        let mut no_version = bulk(4, 3, 1);
        no_version[1] = UDP;
        no_version[8..10].copy_from_slice(&6_u16.to_ne_bytes());
        no_version[NETWORK] = 0;
        let mut other_protocol = bulk(4, 3001, 1448);
        other_protocol[NETWORK + 9] = 47;
        let mut other_version = bulk(6, 3001, 1448);
        other_version[1] = TCP_V4;
        for frame in [short, short_only, no_version, other_protocol, other_version, bulk(4, 0, 1448)] {
            assert_eq!(cut(&frame), std::slice::from_ref(&frame));
            assert_eq!(on_the_wire(&frame).0, 1);
        }
    }

    /// Frames with bytes changed anywhere, also in what the kernel says about them, and cut off anywhere.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let changed = (prop_oneof![Just(4), Just(6)], 0..300_usize, 0..200_u16)
            .prop_map(|(version, payload, segment)| bulk(version, payload, segment));
        let noise = prop::collection::vec(any::<u8>(), 0..200);
        let changes = prop::collection::vec((0..NETWORK + 80, any::<u8>()), 0..6);
        (prop_oneof![4 => changed, 1 => noise], changes, prop::option::of(0..400_usize), any::<bool>())
            .prop_map(|(mut frame, changes, length, datagrams)| {
                if datagrams && frame.len() > NETWORK + 9 {
                    let protocol = if frame[1] == TCP_V4 { NETWORK + 9 } else { NETWORK + 6 };
                    frame[protocol] = 17;
                    frame[1] = UDP;
                    frame[8..10].copy_from_slice(&6_u16.to_ne_bytes());
                }
                for (at, value) in changes {
                    if let Some(byte) = frame.get_mut(at) {
                        *byte = value;
                    }
                }
                frame.truncate(length.unwrap_or(usize::MAX));
                frame
            })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_counted_as_it_is_cut(frame in hostile(), choice: u64) {
            let packets = cut(&frame);
            let bytes: usize = packets.iter().map(|packet| packet.len().saturating_sub(OFFLOADS)).sum();
            prop_assert_eq!(on_the_wire(&frame), (packets.len() as u64, bytes as u64));
            for mut packet in packets.into_iter().chain([frame]) {
                let before = packet.len();
                seal(&mut packet);
                damage(&mut packet, choice);
                prop_assert_eq!(packet.len(), before);
            }
        }
    }

    #[test]
    fn damage_after_sealing_is_seen_by_the_receiver() {
        for length in [1000, 1001] {
            let mut frame = bulk(4, length, 0);
            frame[1] = 0;
            assert!(!is_good(&frame, 4));
            assert!(seal(&mut frame));
            // The header's own checksum is none of what was left to the hardware.
            let header = !fold(sum(&frame[NETWORK..NETWORK + 20]));
            set(&mut frame, NETWORK + 10, header);
            assert!(is_good(&frame, 4));
            let last = frame.len() - 1;
            frame[last] ^= 4;
            assert!(!is_good(&frame, 4));
        }
        assert!(!seal(&mut bulk(4, 3001, 1448)), "that is not one packet");
        assert!(!seal(&mut []));
    }
}
