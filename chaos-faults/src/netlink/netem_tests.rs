use proptest::prelude::*;

use super::*;
use crate::{
    netlink::Chain,
    share::{Bursts, Share},
};

fn share(fraction: f64) -> Share {
    Share::new(fraction).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes `tc qdisc add … netem delay 50ms 5ms loss 1% limit 1000` sends, in the order of attributes used here.
#[test]
#[cfg(target_endian = "little")]
fn delay_jitter_and_loss_are_encoded_byte_by_byte() {
    let netem = Netem {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(5),
        loss: Loss::random(share(0.01)),
        ..Netem::default()
    };
    let expected = concat!(
        "c2eb0b00", // 50 ms / 64 ns = 781,250 ticks
        "e8030000", // limit 1000
        "295c8f02", // 1 % of 2^32 - 1
        "00000000", // gap
        "00000000", // duplicate
        "2d310100", // 5 ms in ticks
        "10000100",
        "000000000000000000000000", // correlations
        "0c000400",
        "0000000000000000", // corruption
        "0c000a00",
        "80f0fa0200000000", // 50,000,000 ns
        "0c000b00",
        "404b4c0000000000", // 5,000,000 ns
    );
    assert_eq!(hex(&netem.encode()), expected);
}

#[test]
#[cfg(target_endian = "little")]
fn burst_loss_wide_rate_reordering_and_seed_are_encoded_byte_by_byte() {
    let netem = Netem {
        loss: Bursts::of_length(share(0.5), 1.0).unwrap().into(),
        rate: Some(Rate { bytes_per_second: 0x1_0000_0002, packet_overhead: -4, ..Rate::default() }),
        reorder: Some(Reorder { probability: Probability::ALWAYS, correlation: Probability::NEVER, gap: 5 }),
        seed: Some(42),
        ..Netem::default()
    };
    let encoded = hex(&netem.encode());
    assert!(
        encoded.starts_with(concat!("00000000", "e8030000", "00000000", "05000000", "00000000", "00000000"))
    );
    assert!(encoded.contains(concat!("0c000300", "ffffffff", "00000000")), "reordering in {encoded}");
    assert!(
        encoded.contains(concat!("18000500", "14000200", "ffffffff", "ffffffff", "00000000", "00000000"))
    );
    assert!(encoded.contains(concat!("0c000800", "0200000001000000", "14000600", "ffffffff", "fcffffff")));
    assert!(encoded.ends_with(concat!("0c000e00", "2a00000000000000")));
}

#[test]
fn one_nanosecond_and_a_hundredth_of_a_percent_survive() {
    let netem =
        Netem { delay: Duration::from_nanos(1), loss: Loss::random(share(0.0001)), ..Netem::default() };
    let back = Netem::decode(&netem.encode()).unwrap();
    assert_eq!(back.delay.as_nanos(), 1);
    assert!((back.loss.ratio().unwrap() - 0.0001).abs() < 1e-9);
}

#[test]
fn kernels_before_the_wide_times_are_read_by_their_ticks() {
    let mut bytes = Netem { delay: Duration::from_millis(1), ..Netem::default() }.encode();
    bytes.truncate(FIXED);
    assert_eq!(Netem::decode(&bytes).unwrap().delay, Duration::from_millis(1));
    assert!(Netem::decode(&bytes[..20]).is_err());
}

#[test]
fn limits_hold_every_packet_of_the_longest_delay() {
    let delay = Netem { delay: Duration::from_millis(100), ..Netem::default() };
    assert_eq!(delay.limit_for(), 201_000);
    let slow = Netem { rate: Some(Rate { bytes_per_second: 125_000, ..Rate::default() }), ..delay.clone() };
    assert_eq!(slow.limit_for(), 1000 + 196);
    let jittery =
        Netem { jitter: Duration::from_millis(10), distribution: Distribution::Normal, ..delay.clone() };
    assert!(jittery.limit_for() > 280_000);
    assert_eq!(Netem { delay: Duration::MAX, ..delay }.limit_for(), u32::MAX);
}

fn probability() -> impl Strategy<Value = Probability> {
    any::<u32>().prop_map(Probability::from_bits)
}

fn loss() -> impl Strategy<Value = Loss> {
    let p = probability;
    prop_oneof![
        (p(), p()).prop_map(|(probability, correlation)| Loss::Random { probability, correlation }),
        (p(), p(), p(), p()).prop_map(|(enter, leave, pass_in_bad, lose_in_good)| Loss::Chain(Chain {
            enter,
            leave,
            pass_in_bad,
            lose_in_good
        })),
        (p(), p(), p(), p(), p()).prop_map(|(p13, p31, p32, p14, p23)| Loss::FourState {
            p13,
            p31,
            p32,
            p14,
            p23
        }),
    ]
}

fn rate() -> impl Strategy<Value = Rate> {
    (1..u64::MAX, any::<i32>(), any::<u32>(), any::<i32>()).prop_map(
        |(bytes_per_second, packet_overhead, cell_size, cell_overhead)| Rate {
            bytes_per_second,
            packet_overhead,
            cell_size,
            cell_overhead,
        },
    )
}

fn reorder() -> impl Strategy<Value = Reorder> {
    (probability(), probability(), 1..u32::MAX).prop_map(|(probability, correlation, gap)| Reorder {
        probability,
        correlation,
        gap,
    })
}

fn netem() -> impl Strategy<Value = Netem> {
    let p = probability;
    (
        (0..=i64::MAX as u64, 0..=i64::MAX as u64, p(), loss()),
        (p(), p(), p(), p()),
        (proptest::option::of(reorder()), proptest::option::of(rate())),
        (any::<u32>(), any::<bool>(), any::<Option<u64>>(), proptest::collection::vec(any::<i16>(), 1..20)),
    )
        .prop_map(
            |(
                time,
                (duplicate, duplicate_correlation, corrupt, corrupt_correlation),
                (reorder, rate),
                rest,
            )| {
                Netem {
                    delay: Duration::from_nanos(time.0),
                    jitter: Duration::from_nanos(time.1),
                    delay_correlation: time.2,
                    distribution: Distribution::Table(rest.3),
                    loss: time.3,
                    duplicate,
                    duplicate_correlation,
                    corrupt,
                    corrupt_correlation,
                    reorder,
                    rate,
                    limit: rest.0,
                    ecn: rest.1,
                    seed: rest.2,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(netem in netem()) {
        let back = Netem::decode(&netem.encode()).unwrap();
        prop_assert!(netem.matches(&back));
        prop_assert_eq!(back, netem);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Netem::decode(&bytes);
    }
}
