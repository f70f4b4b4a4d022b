//! Fingerprints: equal for equal bytes, on every machine (FNV-1a of 64 bits).

/// Returns the fingerprint of some bytes.
pub fn of(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Returns the fingerprint of some bytes as 16 hexadecimal digits.
pub fn text(bytes: impl IntoIterator<Item = u8>) -> String {
    format!("{:016x}", of(bytes))
}

#[cfg(test)]
mod tests {
    /// The test vectors of its authors (draft-eastlake-fnv).
    #[test]
    fn it_is_fnv_1a() {
        assert_eq!(super::text(*b""), "cbf29ce484222325");
        assert_eq!(super::text(*b"a"), "af63dc4c8601ec8c");
        assert_eq!(super::text(*b"foobar"), "85944171f73967e8");
    }
}
