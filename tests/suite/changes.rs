//! Changes: made by a step, in place through the watch, gone at the end.

use chaos_tests::{
    Chaos, World, lab_or_skip,
    scenario::{LAB, changed},
    slot,
};

#[test]
fn a_change_stays_through_the_watch_and_is_gone_at_the_end() {
    if !lab_or_skip() {
        return;
    }
    let _slot = slot();
    let chaos = Chaos::new();
    let before = World::of(&chaos, &[]);
    let text = changed(
        LAB,
        &[
            ("  fault far =", "  change distant = delay 40ms on client to api\n\n  fault far ="),
            ("    inject   far\n", "    make     distant\n    inject   far\n"),
            (
                "    \"the way is far\":  p50(get.latency) >= 15ms during far observed\n",
                "    \"both add up\":     p50(get.latency) >= 55ms during far observed\n    \"it stays\":        \
                 p50(get.latency) >= 35ms during watch observed\n    \"it was near\":     \
                 p50(get.latency) <= 35ms during baseline observed\n",
            ),
        ],
    );
    let file = chaos.file("change.chaos", &text);
    chaos.call(&["fmt", "--check", &file]).exits(0);
    chaos.call(&["explain", &file]).exits(0).says("make distant, for the rest of the run");
    chaos.call(&["plan", &file]).exits(0).says("make distant");
    let ended = chaos.call(&["run", &file]).exits(0).says("PASSED").says("distant");
    let record = ended.record();
    assert_eq!(record["exercised"]["distant"], true, "{record}");
    let part = record["parts"].as_array().unwrap().iter().find(|p| p["change"] == true).unwrap().clone();
    let watch = record["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "watch").unwrap().clone();
    assert!(part["reverting"].as_i64() >= watch["end"].as_i64(), "{part} {watch}");
    let entries: Vec<String> = ended
        .journal()
        .iter()
        .filter(|entry| entry["entry"] == "reverted")
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(entries, ["far/api/1", "distant/client/1"], "last in, first out");
    before.assert_same(&chaos, &[]);
}
