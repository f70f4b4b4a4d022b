use std::io::Write as _;

use super::{registry::RunEntry, *};
use crate::{
    injector::{Ask, Hold, Offer, Undo, Work},
    model::Custom,
    place::{ObjectId, Site},
};

fn undo(id: &str) -> Undo {
    let ask = Ask {
        fault: "f".into(),
        object: ObjectId::netns("blue"),
        work: Work::Custom(Custom::new("i")),
        seed: 1,
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
    Undo {
        id: id.into(),
        injector: "i".into(),
        offer,
        deadline: std::time::Duration::from_secs(60),
        site: Site::Runner,
        state: serde_json::json!({"handle": 1}),
        line: "delete it".into(),
    }
}

fn prepared(id: &str) -> Entry {
    Entry::Prepared { undo: std::sync::Arc::new(undo(id)) }
}

fn header() -> Entry {
    Entry::Run(header_of("r"))
}

fn header_of(run: &str) -> Header {
    Header {
        version: entry::VERSION,
        run: run.into(),
        experiment: "x".into(),
        owner: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        pid: 42,
        plan: String::new(),
        targets: Vec::new(),
        namespaces: Vec::new(),
    }
}

#[tokio::test]
async fn a_journal_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = FileJournal::create(&path).unwrap();
    let entries = [
        header(),
        prepared("a"),
        Entry::Injecting { id: "a".into() },
        prepared("b"),
        Entry::Reverting { id: "b".into() },
        Entry::RevertFailed { id: "b".into(), error: "no".into() },
        Entry::Reverting { id: "a".into() },
        Entry::Reverted { id: "a".into() },
    ];
    for entry in &entries {
        journal.append(entry).await.unwrap();
    }
    let lines = FileJournal::read(&path).unwrap();
    assert_eq!(lines.iter().map(|l| &l.entry).collect::<Vec<_>>(), entries.iter().collect::<Vec<_>>());
    assert!(
        matches!(FileJournal::reopen(&path).unwrap(), Reopened::Alive(Some(found)) if Entry::Run(found.clone()) == header())
    );
    drop(journal);
    let (_, history) = reopen(&path);
    assert_eq!(history.owed().len(), 1);
    assert_eq!(history.owed()[0].error.as_deref(), Some("no"));
    assert!(!history.ended);
}

#[tokio::test]
async fn a_torn_last_line_is_passed_over_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = FileJournal::create(&path).unwrap();
    journal.append(&header()).await.unwrap();
    journal.append(&prepared("a")).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Wherever a crash cuts the file, what was whole before the cut is read.
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let ends = whole[..cut].iter().filter(|b| **b == b'\n').count();
        assert_eq!(FileJournal::read(&path).unwrap().len(), ends, "cut at {cut}");
    }
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    drop(journal);
    let (journal, history) = reopen(&path);
    assert_eq!(history.parts.len(), 0);
    journal.append(&prepared("c")).await.unwrap();
    let lines = FileJournal::read(&path).unwrap();
    assert_eq!(lines[1].entry, prepared("c"));
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_and_not_a_shorter_debt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = FileJournal::create(&path).unwrap();
    for entry in [header(), prepared("a"), prepared("b")] {
        journal.append(&entry).await.unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"entry\":\"prepared\"", "\"entry\":\"prepar", 1)).unwrap();
    let error = FileJournal::read(&path).unwrap_err();
    assert!(error.message.contains("is damaged: line 1 cannot be read"), "{error}");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    let error = FileJournal::read(&path).unwrap_err();
    assert!(error.message.contains("line 1 says that it is number 2"), "{error}");
}

#[tokio::test]
async fn room_is_reserved_before_anything_is_prepared() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = FileJournal::create(&path).unwrap();
    let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
    assert!(blocks() >= 64 * 1024, "{}", blocks());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    for n in 0..10 {
        journal.append(&prepared(&format!("p{n}"))).await.unwrap();
    }
    assert!(blocks() >= 64 * 1024 + 10 * 16 * 1024, "{}", blocks());
    let long = Entry::RevertFailed { id: "p1".into(), error: "é".repeat(100_000) };
    journal.append(&Entry::Reverting { id: "p1".into() }).await.unwrap();
    journal.append(&long).await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 20_000);
    assert_eq!(FileJournal::read(&path).unwrap().len(), 12);
}

#[test]
fn a_journal_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::File::create(&path).unwrap().write_all(b"mine").unwrap();
    let error = FileJournal::create(&path).unwrap_err();
    assert!(error.message.starts_with("cannot make the journal `"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn histories_never_lose_a_debt() {
    let replay = |entries: &[Entry]| {
        let history = History::replay(entries).unwrap();
        let owed = history.owed().len();
        (owed, history.oddities.iter().map(|o| o.to_string()).collect::<Vec<_>>().join("; "))
    };
    let injecting = || Entry::Injecting { id: "a".into() };
    let (reverting, reverted) = (Entry::Reverting { id: "a".into() }, Entry::Reverted { id: "a".into() });
    assert_eq!(replay(&[injecting()]), (0, "part `a` was never prepared".into()));
    let twice = "part `a` is prepared again while a revert of it is owed".to_owned();
    assert_eq!(replay(&[prepared("a"), prepared("a")]), (1, twice));
    let illegal = "part `a`: step `Injecting` cannot follow state `Injecting`".to_owned();
    assert_eq!(replay(&[prepared("a"), injecting(), injecting()]), (1, illegal));
    // The note that reverting began was lost; the confirmation pays all the same.
    assert_eq!(replay(&[prepared("a"), reverted.clone()]).0, 0);
    // Paid and prepared again.
    let again = [prepared("a"), reverting.clone(), reverted, prepared("a"), injecting()];
    assert_eq!(replay(&again), (1, String::new()));
    let new = Entry::Run(Header { version: entry::VERSION + 1, ..header_of("r") });
    assert_eq!(
        History::replay([&new]).unwrap_err().to_string(),
        "it is of version 4, and this `chaos` reads version 3"
    );
}

/// The head of a journal as another version writes it: only its version is certain.
fn head_of(version: u32) -> String {
    format!(
        r#"{{"number":0,"at":"1970-01-01T00:00:00Z","entry":"run","version":{version},"run":"old","odd":[]}}"#
    )
}

#[test]
fn a_journal_of_another_version_is_refused_by_its_version_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let debt = r#"{"number":1,"at":"1970-01-01T00:00:00Z","entry":"prepared","undo":{"id":"a","inode":7}}"#;
    for version in [1, entry::VERSION - 1, entry::VERSION + 1] {
        // Its head alone must not be taken for a torn line, nor what follows for damaged.
        for (number, text) in
            [head_of(version), [head_of(version), debt.into()].join("\n")].iter().enumerate()
        {
            let path = folder.path().join(format!("{version}-{number}"));
            std::fs::write(&path, format!("{text}\n")).unwrap();
            for error in [FileJournal::read(&path).unwrap_err(), FileJournal::reopen(&path).unwrap_err()] {
                let why =
                    format!("it is of version {version}, and this `chaos` reads version {}", entry::VERSION);
                assert_eq!(error.message, format!("cannot read the journal `{}`: {why}", path.display()));
                assert_eq!(error.help.as_deref(), Some("use the `chaos` that wrote it"));
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{text}\n"), "version {version}");
        }
    }
}

#[test]
fn an_entry_of_another_version_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    for (text, found) in [(r#"{"run":"old","targets":[]}"#, 1), (r#"{"version":9,"run":"old"}"#, 9)] {
        let path = folder.path().join("old.run");
        std::fs::write(&path, text).unwrap();
        let why = format!("it is of version {found}, and this `chaos` reads version {}", entry::VERSION);
        let errors = [
            registry.runs().unwrap_err(),
            registry.claim("old").unwrap_err(),
            registry.register(&run("new", Vec::new())).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.to_string(), format!("cannot read `{}`: {why}", path.display()));
            assert_eq!(error.help().as_deref(), Some("use the `chaos` that wrote it"));
        }
    }
}

fn run(id: &str, targets: Vec<ObjectId>) -> RunEntry {
    RunEntry {
        header: Header { experiment: "x".into(), targets, ..header_of(id) },
        journal: "/journal".into(),
    }
}

#[test]
fn two_runs_on_one_target_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path().join("deep/state")).unwrap();
    let blue = || vec![ObjectId::netns("blue"), ObjectId::host("api-1")];
    let first = registry.register(&run("one", blue())).unwrap();
    let error = registry.register(&run("two", blue())).unwrap_err();
    assert_eq!(error.to_string(), "run `one` (process 42) is already on netns blue");
    assert_eq!(error.help().unwrap(), "wait for it, or end it with `chaos stop one`");
    // Each lab has hosts of its own, and other namespaces are other targets.
    let other =
        registry.register(&run("three", vec![ObjectId::netns("green"), ObjectId::host("api-1")])).unwrap();
    assert_eq!(registry.runs().unwrap().iter().map(|r| r.alive).collect::<Vec<_>>(), [true, true]);
    drop(first);
    let error = registry.register(&run("two", blue())).unwrap_err();
    assert_eq!(error.to_string(), "run `one`, which is no longer alive, has not put netns blue back");
    registry.claim("one").unwrap().unwrap().finish().unwrap();
    registry.register(&run("two", blue())).unwrap().finish().unwrap();
    other.finish().unwrap();
    assert_eq!(registry.runs().unwrap(), []);
}

#[test]
fn exclusion_is_by_the_namespace_and_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    let entry = |id: &str, object: ObjectId, cookie| {
        let mut entry = run(id, vec![object]);
        entry.header.namespaces = vec![cookie];
        entry
    };
    let (blue, inside) = (ObjectId::netns("blue"), ObjectId::process("nginx[7@9]"));
    let first = registry.register(&entry("one", blue.clone(), Some(7))).unwrap();
    let error = registry.register(&entry("two", inside.clone(), Some(7))).unwrap_err();
    assert_eq!(error.to_string(), "run `one` (process 42) is already on process nginx[7@9]");
    registry.register(&entry("elsewhere", inside, Some(8))).unwrap();
    // Made anew under its old name, and one of which only the name is known.
    registry.register(&entry("anew", blue.clone(), Some(9))).unwrap();
    assert!(registry.register(&entry("unknown", blue, None)).is_err());
    drop(first);
}

#[test]
fn stop_requests_are_counted_and_stopping_all_blocks_new_runs() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    let one = registry.register(&run("one", Vec::new())).unwrap();
    let two = registry.register(&run("two", Vec::new())).unwrap();
    assert_eq!(one.stops_asked(), 0);
    registry.stop("one").unwrap();
    registry.stop("one").unwrap();
    assert_eq!((one.stops_asked(), two.stops_asked()), (2, 0));
    assert_eq!(registry.stop_all().unwrap().len(), 2);
    assert_eq!((one.stops_asked(), two.stops_asked()), (3, 1));
    assert!(matches!(registry.register(&run("three", Vec::new())), Err(RegistryError::Blocked)));
    assert!(registry.is_blocked() && registry.release().unwrap() && !registry.release().unwrap());
    one.finish().unwrap();
    let again = registry.register(&run("one", Vec::new())).unwrap();
    assert_eq!(again.stops_asked(), 0);
    assert_eq!(
        registry.stop("none").unwrap_err().to_string(),
        "no run `none` is known here; known: one, two"
    );
    for id in ["", "../x", "a/b", ".hidden", "a b"] {
        assert!(matches!(registry.stop(id), Err(RegistryError::BadId { .. })), "{id}");
    }
}

#[test]
fn an_entry_that_was_never_written_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap();
    std::fs::write(folder.path().join("half.run"), "{\"run\": \"ha").unwrap();
    assert_eq!(registry.runs().unwrap(), []);
    assert!(!folder.path().join("half.run").exists());
    std::fs::write(folder.path().join("odd.run"), "[]").unwrap();
    assert!(matches!(registry.runs(), Err(RegistryError::Io { what: "read", .. })));
}

#[tokio::test]
async fn many_entries_are_kept_together_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = FileJournal::create(&path).unwrap();
    let parts: Vec<String> = (0..100).map(|n| format!("f/blue/{n}")).collect();
    let mut entries = vec![header()];
    entries.extend(parts.iter().map(|id| prepared(id)));
    let results = journal.append_all(&entries).await;
    assert!(results.len() == 101 && results.iter().all(Result::is_ok), "{results:?}");
    journal.append(&Entry::Reverted { id: parts[99].clone() }).await.unwrap();
    drop(journal);
    let (_, history) = reopen(&path);
    let owed: Vec<&str> = history.owed().iter().map(|p| p.undo.id.as_str()).collect();
    assert!(owed.iter().eq(parts[..99].iter().rev()), "{owed:?}");
}

/// Goes on with the journal of a run that is over.
fn reopen(path: &std::path::Path) -> (FileJournal, History) {
    match FileJournal::reopen(path).unwrap() {
        Reopened::Over(journal, history) => (journal, history),
        Reopened::Alive(run) => panic!("it is still written to: {run:?}"),
    }
}

#[test]
fn what_is_no_journal_of_ones_own_is_not_written_to() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("victim"), "no journal, and no line break").unwrap();
    // Looking at it changes nothing, although all of it could be a torn line.
    assert!(
        matches!(FileJournal::reopen(at("victim")).unwrap(), Reopened::Over(_, history) if history.header.is_none())
    );
    let journal = FileJournal::create(at("journal")).unwrap();
    assert!(journal.append_blocking(&[header()]).iter().all(Result::is_ok));
    drop(journal);
    assert_eq!(std::fs::metadata(at("journal")).unwrap().mode() & 0o777, 0o600);
    symlink(at("journal"), at("link")).unwrap();
    std::fs::copy(at("journal"), at("open")).unwrap();
    std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o664)).unwrap();
    std::fs::copy(at("journal"), at("hard")).unwrap();
    std::fs::hard_link(at("hard"), at("harder")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut cases = vec![
        ("link", "it is a symbolic link"),
        ("pipe", "it is not an ordinary file"),
        ("open", "others may write to it (mode 0664)"),
        ("hard", "it has 2 names (hard links), one of which may be another file of yours"),
    ];
    if nix::unistd::geteuid().is_root() {
        std::fs::copy(at("journal"), at("foreign")).unwrap();
        std::os::unix::fs::chown(at("foreign"), Some(65534), None).unwrap();
        cases.push(("foreign", "it belongs to user 65534, and this is user 0"));
    }
    for (name, said) in cases {
        let error = FileJournal::reopen(at(name)).unwrap_err();
        assert!(error.message.ends_with(&format!("the journal `{}`: {said}", at(name).display())), "{error}");
        assert!(error.help.is_some(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(at("victim")).unwrap(), "no journal, and no line break");
}

#[test]
fn a_lock_that_somebody_else_holds_is_waited_for_with_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path()).unwrap().with_patience(std::time::Duration::from_secs(1));
    registry.runs().unwrap();
    let held = std::fs::File::open(folder.path().join("lock")).unwrap();
    held.lock().unwrap();
    let error = registry.register(&run("one", Vec::new())).unwrap_err();
    let expected = format!(
        "the lock `{}` was held for 1 s by process {} (`",
        folder.path().join("lock").display(),
        std::process::id()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.help().unwrap().contains(&format!("end it with `kill {}`", std::process::id())));
    assert!(!folder.path().join("one.run").exists());
    held.unlock().unwrap();
    registry.register(&run("one", Vec::new())).unwrap().finish().unwrap();
}

#[test]
fn what_stands_in_place_of_an_entry_or_a_request_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(folder.path().join("state")).unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let at = |name: &str| registry.directory().join(name);
    let planted = |name: &str| std::os::unix::fs::symlink(&victim, at(name)).unwrap();
    let clear = |name: &str| std::fs::remove_file(at(name)).unwrap();
    let refused = |error: RegistryError, name: &str| {
        let said = error.to_string();
        assert!(said.ends_with(&format!("`{}`: it is a symbolic link", at(name).display())), "{said}");
        assert!(error.help().unwrap().contains("--state-dir"), "{said}");
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious", "{said}");
    };
    planted("lock");
    refused(registry.runs().unwrap_err(), "lock");
    clear("lock");
    planted("one.run");
    refused(registry.runs().unwrap_err(), "one.run");
    refused(registry.claim("one").unwrap_err(), "one.run");
    assert!(matches!(registry.register(&run("one", Vec::new())), Err(RegistryError::Exists { .. })));
    clear("one.run");
    let one = registry.register(&run("one", Vec::new())).unwrap();
    planted("one.stop");
    refused(registry.stop("one").unwrap_err(), "one.stop");
    assert_eq!(one.stops_asked(), 0, "the size of another file counts as no request");
    planted("blocked");
    refused(registry.stop_all().unwrap_err(), "blocked");
    planted("forgotten.jsonl");
    refused(one.forget("me", &[]).unwrap_err(), "forgotten.jsonl");
    one.finish().unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}
