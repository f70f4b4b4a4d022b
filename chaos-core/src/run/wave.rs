//! Waves: which parts of a fault are put in place at the same time, and how many of them at once.

use std::{collections::HashMap, future::Future};

use futures_util::{StreamExt as _, future::BoxFuture, stream};

use crate::{place::ObjectId, plan::Part};

/// Cuts the parts of a fault into waves; returns their positions.
///
/// Parts on different objects do not depend on each other and share a wave. Parts on one object stay in order, the first in
/// the first wave, the second in the second and so on, since what is put on a device later lies on top of what is there.
pub(crate) fn waves(parts: &[Part]) -> Vec<Vec<usize>> {
    let mut had = HashMap::<&ObjectId, usize>::new();
    let mut waves = Vec::<Vec<usize>>::new();
    for (position, part) in parts.iter().enumerate() {
        let turn = had.entry(&part.offer.ask.object).or_default();
        if *turn == waves.len() {
            waves.push(Vec::new());
        }
        waves[*turn].push(position);
        *turn += 1;
    }
    waves
}

/// Does something with each of many, at most `limit` of them at once; returns all results in the order of `items`.
///
/// None is dropped before its end, whatever the others return.
pub(crate) fn each<'a, I, F>(
    limit: usize,
    items: impl IntoIterator<Item = I>,
    act: impl Fn(I) -> F,
) -> BoxFuture<'a, Vec<F::Output>>
where
    F: Future<Output: Send> + Send + 'a,
{
    let numbered: Vec<_> = items.into_iter().map(act).enumerate().map(numbered).collect();
    Box::pin(async move {
        let mut results: Vec<_> = stream::iter(numbered).buffer_unordered(limit.max(1)).collect().await;
        results.sort_unstable_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    })
}

async fn numbered<F: Future>((number, future): (usize, F)) -> (usize, F::Output) {
    (number, future.await)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        injector::{Ask, Hold, Offer, Work},
        model::Custom,
        place::ObjectId,
    };

    fn part(object: &str) -> Part {
        let ask = Ask {
            fault: "f".into(),
            object: ObjectId::netns(object),
            work: Work::Custom(Custom::new("i")),
            seed: 0,
        };
        let offer = Offer {
            backend: "b".into(),
            ask,
            hold: Hold::Agent,
            does: Vec::new(),
            undoes: String::new(),
            because: Vec::new(),
            takes: Vec::new(),
        };
        Part { id: object.into(), injector: "i".into(), offer }
    }

    #[test]
    fn objects_share_a_wave_and_the_parts_of_one_keep_their_order() {
        let of = |objects: &[&str]| waves(&objects.iter().map(|o| part(o)).collect::<Vec<_>>());
        assert_eq!(of(&[]), [[0_usize; 0]; 0]);
        assert_eq!(of(&["a", "b", "c"]), [[0, 1, 2]]);
        assert_eq!(of(&["a", "a", "b", "a", "b"]), [vec![0, 2], vec![1, 4], vec![3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn results_keep_their_order_and_no_more_than_allowed_run_at_once() {
        let begun = tokio::time::Instant::now();
        let results = each(3, 0..7_u64, |n| async move {
            tokio::time::sleep(Duration::from_secs(10 - n)).await;
            n
        })
        .await;
        assert_eq!(results, [0, 1, 2, 3, 4, 5, 6]);
        // 0, 1 and 2 begin; each of the others when the first of those before it ends.
        assert_eq!(begun.elapsed().as_secs(), 19);
        assert_eq!(each(0, [1, 2], |n| async move { n }).await, [1, 2]);
    }
}
