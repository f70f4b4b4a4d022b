//! The text that the records speak of.

use crate::source::SourceFile;

/// A file that has its clauses where the spans of these records point.
pub(super) fn scenario() -> SourceFile {
    let mut text = vec![b' '; 1100];
    for (at, clause) in [
        (300, "p95(shop.latency) <= 50ms"),
        (520, "proven by p50(shop.latency) >= 5ms"),
        (700, "abort when success(shop, over 2s) < 80% for 3s"),
        (800, r#""nobody sees an error": success(shop) >= 99%"#),
        (900, r#""most users notice nothing": p50(shop.latency) <= baseline"#),
        (1000, r#""comes back": p95(shop.latency, over 2s) settles"#),
    ] {
        text[at - 5] = b'\n';
        text[at..at + clause.len()].copy_from_slice(clause.as_bytes());
    }
    SourceFile::new("scenarios/quickstart.chaos", String::from_utf8(text).unwrap())
}
