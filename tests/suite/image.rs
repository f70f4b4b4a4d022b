//! The agent's image.

use std::process::Command;

use chaos_tests::Chaos;
use serde_json::Value;

/// The header of a static executable for a processor of this number, with one segment to load.
fn executable(machine: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    // An executable of this version, where it begins, and where its segments and sections are described.
    bytes.extend([2, 0]);
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    for at in [0x40_0000u64, 64, 0] {
        bytes.extend(at.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for number in [64u16, 56, 1, 64, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    bytes.resize(120, 0);
    bytes
}

/// Reads a document of an archive.
fn document(chaos: &Chaos, archive: &str, path: &str) -> Value {
    let read = Command::new("tar").args(["-xOf", archive, path]).current_dir(chaos.path()).output();
    let read = read.expect("there is tar");
    assert!(read.status.success(), "{archive} has no {path}");
    serde_json::from_slice(&read.stdout).expect("it is JSON")
}

#[test]
fn an_archive_is_written_for_one_processor_or_for_two() {
    let chaos = Chaos::new();
    chaos.file("amd64", executable(62));
    chaos.file("arm64", executable(183));
    let one = ["image", "--binary", "amd64", "--output", "one.tar"];
    let written = chaos.call(&one).exits(0).says("localhost/chaos-agent:").says("for amd64");
    assert!(written.stdout.ends_with("get it\n"), "{written}");
    let manifests = document(&chaos, "one.tar", "index.json")["manifests"].clone();
    assert_eq!(manifests[0]["platform"]["architecture"], "amd64", "{manifests}");

    let both = ["--binary", "amd64=amd64", "--binary", "arm64=arm64"];
    let two = [&["image", "--name", "example.com/agent:7", "--output", "two.tar"], &both[..]].concat();
    chaos.call(&two).exits(0).says("example.com/agent:7 for amd64 and arm64");
    let index = document(&chaos, "two.tar", "index.json")["manifests"][0].clone();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json", "{index}");
    let digest =
        index["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
    let inner = document(&chaos, "two.tar", &format!("blobs/sha256/{digest}"));
    assert_eq!(inner["manifests"][1]["platform"]["architecture"], "arm64", "{inner}");
}

#[test]
fn what_would_not_start_in_a_pod_is_no_image() {
    let chaos = Chaos::new();
    chaos.file("amd64", executable(62));
    chaos.file("text", "#!/bin/sh\n");
    let own = std::env::current_exe().expect("this program has a path").display().to_string();
    let cases: [(&[&str], &str); 6] = [
        (&["--binary", "text"], "`text` cannot be the agent of an image: it is not an executable of Linux"),
        (&["--binary", &own], "it needs a dynamic linker"),
        (&["--binary", "missing"], "cannot read `missing`"),
        (&["--binary", "arm64=amd64"], "`amd64` is for amd64, not for arm64"),
        (&["--binary", "amd64", "--binary", "amd64"], "two executables are for amd64"),
        (&["--binary", "amd64", "--name", "No Name"], "`No Name` is not the name of an image"),
    ];
    for (arguments, said) in cases {
        let ended =
            chaos.call(&[&["image", "--output", "agent.tar"], arguments].concat()).exits(2).says(said);
        assert!(!chaos.path().join("agent.tar").exists(), "{ended}");
    }
    chaos
        .call(&["image", "--binary", "amd64", "--output", "missing/agent.tar"])
        .exits(5)
        .says("cannot write");
}
