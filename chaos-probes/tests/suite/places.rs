//! Places that this process cannot be at: never this machine instead.

use chaos_core::{
    model::{ProbeKind, probe::Scale},
    place::{ObjectId, Place, Site},
    probe::Probers,
};
use chaos_probes::StandardProbers;

use crate::world::{http, probe, text};

#[tokio::test]
async fn a_place_out_of_reach_is_refused_by_every_kind_of_probe() {
    let probes = [
        http("GET", "http://127.0.0.1:1/", &[]),
        probe(ProbeKind::Tcp { address: text("127.0.0.1:1") }),
        probe(ProbeKind::Dns { record: "A".into(), name: text("api"), server: Some(text("127.0.0.1:1")) }),
        probe(ProbeKind::Exec { words: vec!["true".into()], scale: Scale::PLAIN }),
    ];
    let elsewhere = ObjectId::host("elsewhere");
    let sites = [
        (Site::Agent { of: elsewhere }, "host elsewhere is reached only by an agent that runs there"),
        (Site::Api, "reached only through an API has no network to enter"),
    ];
    for (site, why) in sites {
        let place = Place { site, ..Place::runner() };
        for probe in &probes {
            let Err(trouble) = StandardProbers::new().allow_exec().open(probe, &place).await else {
                panic!("{probe:?} opens at {:?}", place.site);
            };
            assert!(trouble.message.contains(why), "{probe:?}: {trouble:?}");
            assert!(trouble.help.is_some(), "{trouble:?}");
        }
    }
}
