//! A lab as the world of a run.

use std::os::unix::fs::MetadataExt as _;

use chaos_core::environment::Environment as _;
use chaos_core::inventory::Inventory as _;
use chaos_core::model::Lab as Declaration;
use chaos_core::model::Selector;
use chaos_core::place::{ObjectId, Order, Site};
use chaos_lab::{LabEnvironment, LabInventory};
use chaos_netns::Namespace;

use crate::harness::{get, programs, six};

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_is_the_world_of_a_run() {
    let declaration = Declaration { hosts: six(), ..Declaration::default() };
    let inventory = LabInventory::new(&declaration).unwrap();
    let environment = LabEnvironment::new(declaration, programs());
    let object = |name: &str| ObjectId::host(name);
    environment.down().await.unwrap();
    assert!(environment.place(&object("client")).await.is_err(), "nothing is there before it is up");

    let steps = std::sync::Mutex::new(Vec::new());
    environment.up(&|step| steps.lock().unwrap().push(step.to_owned())).await.unwrap();
    assert!(steps.lock().unwrap().iter().any(|s| s.contains("hosts of the lab are up")), "{steps:?}");
    let client = environment.place(&object("client")).await.unwrap();
    let found = inventory.find(&Selector::Hosts("client".into())).await.unwrap();
    assert_eq!((found.first().addresses.len(), &client.object), (2, &found.first().id));
    let Site::Namespace(site) = &client.site else { panic!("{client:?}") };
    assert_eq!((site.interface.as_deref(), client.names.order), (Some("eth0"), Order::ServersFinal));
    assert_eq!(client.names.hosts["api.lab"].len(), 6);
    let namespace = Namespace::open(&site.path).unwrap();
    assert_eq!(get(&namespace, client.names.hosts["gw"][0], 80, "/").unwrap().status, 200);
    let stranger = environment.place(&object("apo")).await.unwrap_err();
    assert!(stranger.message.contains("apo"), "{stranger}");

    let (broken, ()) = tokio::join!(environment.broken(), async {
        let pid = std::fs::read_dir("/proc").unwrap().flatten().find_map(|e| {
            let pid: i32 = e.file_name().to_str()?.parse().ok()?;
            let same = std::fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino()
                == namespace_of_api(&environment);
            same.then_some(pid)
        });
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.unwrap()), nix::sys::signal::SIGKILL).unwrap();
    });
    assert!(broken.why.contains("api-1") && broken.why.contains("SIGKILL"), "{broken:?}");
    drop(namespace);
    // A place that is still kept holds nothing up.
    environment.down().await.unwrap();
    environment.down().await.unwrap();
    drop(client);
}

fn namespace_of_api(environment: &LabEnvironment) -> u64 {
    environment.with_lab(|lab| lab.host("api-1").map(|h| h.namespace.inode())).flatten().unwrap_or_default()
}
