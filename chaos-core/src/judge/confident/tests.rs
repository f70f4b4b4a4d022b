use std::time::Duration;

use super::super::tests::{Reply, at, compare, constant, metric};
use super::*;
use crate::model::{Unit, formula::Op};

fn experiment(seconds: u64) -> Experiment {
    let mut experiment = crate::testing::experiment();
    experiment.steady_state.over = Duration::ZERO;
    experiment.timeline.steps = vec![crate::model::Step::Hold(Duration::from_secs(seconds)).into()];
    experiment
}

/// Plays requests at 20 a second, of which `fails` says whether one fails; returns the second at which the guard fires.
fn play(guard: &mut Confident, seconds: u32, fails: impl Fn(u32) -> bool) -> Option<(f64, String)> {
    for n in 0..seconds * 20 {
        let second = f64::from(n) / 20.0;
        let reply = if fails(n) { Reply::Failed } else { Reply::Ok(1.0) };
        let sample = reply.sample(at(second)).unwrap();
        guard.observe("get", &sample);
        for now in [sample.completed(), at(second + 0.049)] {
            if let Some(said) = guard.fires(now) {
                return Some((now as f64 / 1e9, said));
            }
        }
    }
    None
}

fn guard(function: Function, op: Op, share: f64) -> Confident {
    Confident::new(&compare(metric(function, None), op, constant(share, Unit::Ratio)), &experiment(599))
}

#[test]
fn it_weighs_each_second() {
    // The table of the sequential test: 1, 0, 2, 6, 9, 12 errors of 20 in each second.
    let errors = [1, 0, 2, 6, 9, 12];
    let (second, said) = play(&mut guard(Function::Errors, Op::Greater, 0.05), 10, |n| {
        errors.get(n as usize / 20).is_some_and(|errors| n % 20 < *errors)
    })
    .unwrap();
    assert!((5.99..6.06).contains(&second), "{second}");
    assert_eq!(said, "29 of 80 requests of get failed in the last 4s, more than 5% with 99% confidence");
}

#[test]
fn success_is_the_mirror_of_errors() {
    for n in [3, 4, 7] {
        let errors = play(&mut guard(Function::Errors, Op::Greater, 0.05), 60, |i| i % n == 0);
        let success = play(&mut guard(Function::Success, Op::Less, 0.95), 60, |i| i % n == 0);
        assert!(errors.is_some());
        assert_eq!(errors, success);
    }
}

#[test]
fn it_never_believes_a_share_at_its_limit_and_sees_an_outage_at_once() {
    assert_eq!(play(&mut guard(Function::Errors, Op::Greater, 0.05), 600, |n| n % 20 == 0), None);
    let late = play(&mut guard(Function::Errors, Op::Greater, 0.05), 600, |n| n >= 300 * 20).unwrap().0;
    assert!((300.9..302.1).contains(&late), "{late}");
    let (half, _) =
        play(&mut guard(Function::Errors, Op::Greater, 0.05), 600, |n| n >= 6000 && n % 2 == 0).unwrap();
    assert!((301.0..304.0).contains(&half), "{half}");
}

#[test]
fn its_delay_is_known_beforehand() {
    let delay = |share| typical_delay(0.05, 600, 20.0, share);
    assert_eq!(delay(0.05), None);
    let medians = [(0.10, 25.0), (0.20, 6.0), (0.50, 2.0), (1.0, 1.0)];
    for (share, median) in medians {
        let measured = delay(share).unwrap();
        assert!((measured - median).abs() <= 0.1 * median + 1.0, "{share}: {measured} is not about {median}");
    }
    assert_eq!(planned_ticks(&experiment(599)), 600);
}

#[test]
fn false_alarms_keep_to_their_bound() {
    // 400 runs of 600 s at exactly the limit: 1 % of them at most, 4 expected, and far fewer in truth.
    let mut state = 11_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let alarms = (0..400)
        .filter(|_| {
            let mut guard = ConfidentGuard::new(0.05, 600, FALSE_ALARM);
            (0..600).any(|_| {
                let errors = (0..20).filter(|_| random() < 0.05).count() as u64;
                guard.update(20, errors)
            })
        })
        .count();
    assert!(alarms <= 4, "{alarms}");
}
