use super::*;

const S: Nanos = 1_000_000_000;

fn mistake(text: &str) -> (String, Option<u64>) {
    let error = read(text.as_bytes()).expect_err(text);
    let help = error.help.as_ref().map_or_else(String::new, |help| format!(" / {help}"));
    (format!("{}{help}", error.message), error.place.map(|(line, _)| line))
}

fn values(recording: &Recording, name: &str) -> Vec<(f64, Option<f64>)> {
    let column = recording.column(name).unwrap_or_else(|| panic!("no {name} in {recording:?}"));
    column.points.iter().map(|(at, value)| (*at as f64 / 1e9, *value)).collect()
}

#[test]
fn the_same_signals_in_every_form() {
    let expected = vec![(0.0, Some(1.0)), (0.5, None), (2.0, Some(3.5))];
    for text in [
        "time,x,up\n0,1,true\n0.5,,\n2,3.5,false\n",
        "\u{feff}up , time, x\r\ntrue,0,1\r\n,0.5,\r\n0,2,3.5",
        r#"{"time": [0, 0.5, 2], "x": [1, null, 3.5], "up": [true, null, 0]}"#,
        r#"[{"time": 0, "x": 1, "up": true}, {"time": 0.5}, {"time": 2, "x": 3.5, "up": false}]"#,
    ] {
        let recording = read(text.as_bytes()).unwrap();
        assert_eq!(values(&recording, "x"), expected, "{text}");
        assert_eq!(values(&recording, "up"), [(0.0, Some(1.0)), (0.5, None), (2.0, Some(0.0))], "{text}");
        assert_eq!((recording.first, recording.last), (Some(0), Some(2 * S)));
        assert_eq!(recording.column("up").unwrap().first_number, None);
        assert_eq!(recording.column("x").unwrap().first_number, Some(3.5));
    }
}

#[test]
fn mistakes_are_reported_with_their_line() {
    for (text, line, words) in [
        ("", None, "empty"),
        ("  \n\n", None, "empty"),
        ("time,x\n", None, "no rows"),
        ("timestamp,x\n0,1\n", Some(1), "rename `timestamp` to `time`"),
        ("x,y\n0,1\n", Some(1), "no column `time`"),
        ("0,1\n1,2\n", Some(1), "names the columns"),
        ("time;x\n0;1\n", Some(1), "commas"),
        ("time,x,x\n0,1,2\n", Some(1), "two columns are called `x`"),
        ("time,x,\n0,1,2\n", Some(1), "column 3 has no name"),
        ("time,x\n0,1\n1,abc\n", Some(3), "`abc` in column `x` is not a number"),
        ("time,x\n0,1\n1,5ms\n", Some(3), "plain numbers"),
        ("time,x\n0,null\n", Some(2), "leave a cell empty"),
        ("time,x\n0,1\n1,2,3\n", Some(3), "3 cells where the header has 2"),
        ("time,x\n0,1\n,2\n", Some(3), "without its time"),
        ("time,x\n0,1\n2,1\n1,2\n", Some(4), "`1` comes after `2`"),
        ("time,x\n0,1\n0.0,2\n", Some(3), "`0.0` stands twice"),
        ("time,x\nnow,1\n", Some(2), "`now` is not a time"),
        ("time,x\nNaN,1\n", Some(2), "no number"),
        ("time,x\n0,1\n2026-01-31T12:00:00Z,1\n", Some(3), "of another kind"),
        ("{\"time\": [0, 1],\n \"x\": [NaN, 1]}", Some(2), "JSON has no NaN"),
        ("{\"time\": [0, 1], \"x\": [1]}", None, "`x` has 1 values and `time` has 2"),
        ("{\"time\": 5}", None, "`time` is not a list"),
        ("{\"x\": [5]}", None, "there is no `time`"),
        ("{\"time\": [], \"x\": []}", None, "no rows"),
        ("[]", None, "no rows"),
        ("[5]", None, "[0] is not an object"),
        ("[{\"x\": 5}]", None, "[0] has no `time`"),
        ("{\"time\": [1, 0], \"x\": [1, 2]}", None, "time[1]: the time `0` comes after `1`"),
        ("{\"time\": [0], \"x\": [\"5\"]}", None, "`5` without quotes"),
        ("{\"time\": [0], \"x\": [\"abc\"]}", None, "x[0] is not a number"),
        ("{\"status\": \"error\", \"error\": \"timeout\"}", None, "Prometheus answered `error`: timeout"),
        ("{\"status\": \"success\", \"data\": {\"resultType\": \"vector\"}}", None, "query_range"),
    ] {
        let (message, found) = mistake(text);
        assert!(message.contains(words), "{text:?}: {message}");
        assert_eq!(found, line, "{text:?}: {message}");
    }
    assert!(read(b"time,x\n0,\xff\n").is_err_and(|e| e.place == Some((2, None))));
}

#[test]
fn what_is_not_finite_counts_as_unknown_and_is_reported() {
    let recording = read(b"time,x\n0,1\n1,NaN\n2,inf\n3,2\n").unwrap();
    let column = recording.column("x").unwrap();
    assert_eq!(
        column.remark().unwrap(),
        "2 values of `x` count as unknown: NaN or infinite, the first in line 3"
    );
    let signal = recording.signal(column, Interval::EVERYTHING).unwrap();
    assert_eq!(signal.at(S), Interval::EVERYTHING);
    assert_eq!(signal.at(0), Interval::exactly(1.0));
}

#[test]
fn the_last_row_is_known_at_its_own_instant_and_nothing_after_it() {
    let recording = read(b"time,x\n1,5\n2,6\n").unwrap();
    let signal = recording.signal(&recording.columns[0], Interval::NON_NEGATIVE).unwrap();
    assert_eq!(signal.at(S - 1), Interval::NON_NEGATIVE);
    assert_eq!(signal.at(2 * S - 1), Interval::exactly(5.0));
    assert_eq!(signal.at(2 * S), Interval::exactly(6.0));
    assert_eq!(signal.at(2 * S + 1), Interval::NON_NEGATIVE);
    assert_eq!(signal.heard(), 2 * S);
}

#[test]
fn a_value_outside_of_its_range_is_an_error() {
    let recording = read(b"time,x\n0,1\n3,120\n").unwrap();
    let error = recording.signal(&recording.columns[0], Interval { lo: 0.0, hi: 100.0 }).unwrap_err();
    assert_eq!(error.message, "`x` is 120 at 3 s, outside of its range 0..100");
}

#[test]
fn dates_begin_at_the_first_unless_asked_otherwise() {
    let text = b"time,x\n2026-01-31T12:00:00Z,1\n2026-01-31T12:00:01.5Z,2\n";
    let later = b"time,y\n2026-01-31T12:00:10Z,1\n";
    let mut both = [read(text).unwrap(), read(later).unwrap()];
    align(&mut both, None).unwrap();
    assert_eq!((both[0].first, both[0].last, both[1].first), (Some(0), Some(3 * S / 2), Some(10 * S)));
    let mut one = [read(text).unwrap()];
    align(&mut one, Some("2026-01-31T11:59:59Z".parse().unwrap())).unwrap();
    assert_eq!(one[0].first, Some(S));
    assert!(align(&mut [read(text).unwrap()], Some("5".parse().unwrap())).is_err());
    let mut own = [read(b"time,x\n100,1\n101,2\n").unwrap()];
    align(&mut own, None).unwrap();
    assert_eq!(own[0].first, Some(100 * S), "seconds mean what they say");
    align(&mut own, Some("100".parse().unwrap())).unwrap();
    assert_eq!(own[0].first, Some(0));
}

#[test]
fn an_answer_of_prometheus_goes_stale_where_a_series_has_no_value() {
    let text = br#"{"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"__name__": "up", "job": "api"}, "values": [[1700000000, "1"], [1700000010, "0"], [1700000040, "1"]]},
        {"metric": {"__name__": "lag", "job": "b"}, "values": [[1700000000.5, "NaN"]]},
        {"metric": {"__name__": "lag", "job": "a"}, "values": []}]}}"#;
    let mut recordings = [read(text).unwrap()];
    align(&mut recordings, None).unwrap();
    let [recording] = &recordings;
    let names: Vec<&str> = recording.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["up", "lag{job=\"b\"}", "lag{job=\"a\"}"]);
    let up = recording.signal(&recording.columns[0], Interval::SHARE).unwrap();
    let at = |seconds: i64| up.at(seconds * S);
    assert_eq!(
        (at(0), at(10), at(34)),
        (Interval::exactly(1.0), Interval::exactly(0.0), Interval::exactly(0.0))
    );
    assert_eq!((at(35), at(40), at(41)), (Interval::SHARE, Interval::exactly(1.0), Interval::SHARE));
    let unknown = recording.signal(&recording.columns[2], Interval::SHARE).unwrap();
    assert_eq!(unknown.at(0), Interval::SHARE);
}

#[test]
fn the_times_of_an_answer_of_prometheus_are_whole_milliseconds() {
    // A binary fraction of this many seconds is not finer than a quarter of a microsecond.
    let text =
        br#"{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "x"},
        "values": [[1795397060.734, "1"], [1795397061.034, "2"], [1795397061.334, "3"]]}]}}"#;
    let mut recordings = [read(text).unwrap()];
    align(&mut recordings, None).unwrap();
    let at: Vec<Nanos> = recordings[0].columns[0].points.iter().map(|(at, _)| *at).collect();
    assert_eq!(at, [0, 300_000_000, 600_000_000]);
}
