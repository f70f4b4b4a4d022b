//! Frames as packet sockets pass them on: a `virtio_net_hdr` that says what is left to the hardware, then the bytes.

use std::ops::Range;

/// Length of the `virtio_net_hdr` in front of each frame.
pub(super) const OFFLOADS: usize = 10;

pub(super) const NEEDS_CHECKSUM: u8 = 1;
pub(super) const ETHERNET: usize = 14;

pub(super) fn u16_at(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..at + 2).map(|two| u16::from_ne_bytes([two[0], two[1]]))
}

pub(super) fn byte(frame: &[u8], at: usize) -> Option<usize> {
    frame.get(at).copied().map(usize::from)
}

/// Puts a VLAN tag that the kernel had taken off back into a frame, and moves what the header in front points to.
pub(super) fn insert_tag(frame: &mut Vec<u8>, protocol: u16, tag: u16) {
    const BEHIND_ADDRESSES: usize = OFFLOADS + 12;
    if frame.len() < BEHIND_ADDRESSES {
        return;
    }
    let (protocol, tag) = (protocol.to_be_bytes(), tag.to_be_bytes());
    frame.splice(BEHIND_ADDRESSES..BEHIND_ADDRESSES, protocol.into_iter().chain(tag));
    let offloads = [frame[0], frame[1]];
    let mut shift = |at: usize| {
        if let Some(value) = u16_at(frame, at) {
            frame[at..at + 2].copy_from_slice(&value.saturating_add(4).to_ne_bytes());
        }
    };
    if offloads[0] & NEEDS_CHECKSUM != 0 {
        shift(6);
    }
    if offloads[1] != 0 {
        shift(2);
    }
}

/// Returns whether the frame was sent by the interface with this address.
pub(super) fn is_from(frame: &[u8], address: [u8; 6]) -> bool {
    frame.get(OFFLOADS + 6..OFFLOADS + 12) == Some(&address[..])
}

/// Addresses the frame to an interface.
pub(super) fn address_to(frame: &mut [u8], address: [u8; 6]) {
    if let Some(to) = frame.get_mut(OFFLOADS..OFFLOADS + 6) {
        to.copy_from_slice(&address);
    }
}

/// Flips one bit behind the transport header, or none if nothing is behind it.
pub(super) fn damage(frame: &mut [u8], choice: u64) -> bool {
    let Some(Range { start, end }) = payload(frame) else { return false };
    let bits = (end.saturating_sub(start) * 8) as u64;
    if bits == 0 {
        return false;
    }
    let bit = (choice % bits) as usize;
    frame[start + bit / 8] ^= 1 << (bit % 8);
    true
}

/// Where the parts of an IP packet are in a frame.
pub(super) struct Headers {
    pub(super) version: usize,
    pub(super) network: usize,
    pub(super) transport: usize,
    /// What begins at `transport`; 0 in a fragment that is not the first of its datagram.
    pub(super) protocol: usize,
    /// Where the packet ends by its own account. Ethernet pads short frames, and nobody reads what is behind this.
    pub(super) end: usize,
}

impl Headers {
    /// Reads them behind the tags of VLANs; nothing for what is neither IPv4 nor IPv6.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let mut network = OFFLOADS + ETHERNET;
        let mut kind = u16_at(frame, network - 2)?.to_be();
        while matches!(kind, 0x8100 | 0x88a8) {
            network += 4;
            kind = u16_at(frame, network - 2)?.to_be();
        }
        let first = byte(frame, network)?;
        match (kind, first >> 4) {
            (0x0800, 4) if first & 15 >= 5 => {
                let later_fragment = u16_at(frame, network + 6)?.to_be() & 0x1fff != 0;
                let protocol = if later_fragment { 0 } else { byte(frame, network + 9)? };
                let transport = network + (first & 15) * 4;
                let end = network + length_at(frame, network + 2)?;
                Some(Self { version: 4, network, transport, protocol, end })
            }
            (0x86dd, 6) => {
                let (mut protocol, mut transport) = (byte(frame, network + 6)?, network + 40);
                // Options for every hop, a route, options for the destination.
                while matches!(protocol, 0 | 43 | 60) {
                    protocol = byte(frame, transport)?;
                    transport += (byte(frame, transport + 1)? + 1) * 8;
                }
                let end = network + 40 + length_at(frame, network + 4)?;
                Some(Self { version: 6, network, transport, protocol, end })
            }
            _ => None,
        }
    }
}

fn length_at(frame: &[u8], at: usize) -> Option<usize> {
    u16_at(frame, at).map(|length| length.to_be().into())
}

/// Where the payload is; nothing for what is neither IPv4 nor IPv6.
fn payload(frame: &[u8]) -> Option<Range<usize>> {
    let Headers { transport, protocol, end, .. } = Headers::of(frame)?;
    let header = match protocol {
        6 => (byte(frame, transport + 12)? >> 4) * 4,
        1 | 17 | 58 => 8,
        _ => 0,
    };
    Some(transport + header..end.min(frame.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with an IPv4 datagram of four bytes.
    fn datagram() -> Vec<u8> {
        let mut frame = vec![0; OFFLOADS];
        frame.extend([2; 12]);
        frame.extend([8, 0]);
        let mut header = [0; 20];
        header[0] = 0x45;
        header[3] = 32;
        header[9] = 17;
        frame.extend(header);
        frame.extend([0; 8]);
        frame.extend(*b"load");
        frame
    }

    #[test]
    fn damage_is_one_bit_of_the_payload() {
        for choice in [0, 31, 32, u64::MAX] {
            let mut frame = datagram();
            assert!(damage(&mut frame, choice));
            let at = frame.len() - 4;
            assert_eq!(frame[..at], datagram()[..at]);
            let flipped: u32 = frame.iter().zip(datagram()).map(|(new, old)| (new ^ old).count_ones()).sum();
            assert_eq!(flipped, 1);
        }
    }

    #[test]
    fn padding_behind_a_packet_is_not_damaged() {
        let mut six = datagram();
        six[OFFLOADS + 12..OFFLOADS + 14].copy_from_slice(&[0x86, 0xdd]);
        let mut header = [0; 40];
        (header[0], header[5], header[6]) = (0x60, 12, 17);
        six.splice(OFFLOADS + ETHERNET..OFFLOADS + ETHERNET + 20, header);
        for packet in [datagram(), six] {
            for choice in 0..64 {
                let mut frame = packet.clone();
                frame.resize(packet.len() + 14, 0);
                assert!(damage(&mut frame, choice));
                assert_eq!(frame[packet.len()..], [0; 14], "bit {choice}");
            }
        }
    }

    #[test]
    fn frames_that_cannot_be_damaged_stay_whole() {
        let mut arp = datagram();
        arp[OFFLOADS + 12..OFFLOADS + 14].copy_from_slice(&[8, 6]);
        let mut empty = datagram();
        empty.truncate(empty.len() - 4);
        let mut padded = empty.clone();
        padded[OFFLOADS + ETHERNET + 3] = 28;
        padded.resize(OFFLOADS + 60, 0);
        for mut frame in [arp, empty, padded, vec![0; 5], vec![]] {
            assert!(!damage(&mut frame, 3));
        }
    }

    #[test]
    fn a_tag_goes_behind_the_addresses_and_moves_the_checksum() {
        let mut frame = datagram();
        frame[0] = NEEDS_CHECKSUM;
        frame[6..8].copy_from_slice(&34_u16.to_ne_bytes());
        insert_tag(&mut frame, 0x8100, 5);
        assert_eq!(frame[OFFLOADS + 12..OFFLOADS + 18], [0x81, 0, 0, 5, 8, 0]);
        assert_eq!(u16_at(&frame, 6), Some(38));
        assert!(damage(&mut frame, 0));
        assert_eq!(frame[frame.len() - 4], b'l' ^ 1);
    }
}
