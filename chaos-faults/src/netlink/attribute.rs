//! Netlink attributes as bytes: a 16-bit length and a 16-bit kind in host order, then the value padded to four bytes.

use crate::netlink::error::Malformed;

const HEADER: usize = 4;
/// The two upper bits of a kind are the flags `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND_MASK: u16 = 0x3fff;

/// Appends one attribute.
pub(crate) fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length =
        u16::try_from(HEADER + value.len()).expect("invariant: an attribute we build is below 64 KiB");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Splits `bytes` into `(kind, value)` pairs.
///
/// # Errors
/// [`Malformed`] when a length points outside `bytes`.
pub(crate) fn parse(mut bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, Malformed> {
    let mut found = Vec::new();
    while bytes.len() >= HEADER {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & KIND_MASK;
        let value = bytes.get(HEADER..length).ok_or(Malformed { what: "attribute", length: bytes.len() })?;
        found.push((kind, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

/// Reads 32-bit word number `index` of a kernel structure.
pub(crate) fn word(bytes: &[u8], index: usize) -> Result<u32, Malformed> {
    array(bytes, 4 * index).map(u32::from_ne_bytes)
}

/// Reads the 64-bit number an attribute consists of.
pub(crate) fn long(bytes: &[u8]) -> Result<u64, Malformed> {
    array(bytes, 0).map(u64::from_ne_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    bytes
        .get(at..at + N)
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Malformed { what: "structure", length: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_split_again() {
        let mut out = Vec::new();
        push(&mut out, 7, &[1, 2, 3]);
        push(&mut out, 8 | 0x8000, &[]);
        assert_eq!(out, [7, 0, 7, 0, 1, 2, 3, 0, 4, 0, 8, 0x80]);
        assert_eq!(parse(&out).unwrap(), [(7, &[1u8, 2, 3][..]), (8, &[][..])]);
    }

    #[test]
    fn a_length_past_the_end_is_an_error_not_a_panic() {
        assert!(parse(&[9, 0, 1, 0]).is_err());
        assert!(parse(&[2, 0, 1, 0]).is_err());
        assert!(word(&[0; 7], 1).is_err());
    }
}
