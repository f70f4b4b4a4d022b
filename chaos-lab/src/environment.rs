//! A lab as the world of a run.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chaos_core::{
    environment::{Broken, Environment},
    model,
    place::{Asking, Kind, Names, Namespace, ObjectId, Order, Place, Site},
    trouble::{self, Trouble},
};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::lab::{DownError, Lab, LabError, LabEvent, Programs};
use crate::protocol::BringUpError;
use crate::resolver::{self, DOMAIN};

/// The port of the built-in DNS server.
const DNS_PORT: u16 = 53;

/// A declared lab that a run brings up and takes down.
#[derive(Debug)]
pub struct LabEnvironment {
    declaration: model::Lab,
    programs: Programs,
    lab: Mutex<Option<Arc<Lab>>>,
    news: tokio::sync::Mutex<Option<broadcast::Receiver<LabEvent>>>,
}

impl LabEnvironment {
    /// Makes the environment; nothing exists before [`up`](Environment::up).
    pub fn new(declaration: model::Lab, programs: Programs) -> Self {
        LabEnvironment { declaration, programs, lab: Mutex::default(), news: tokio::sync::Mutex::default() }
    }

    /// Looks at the lab while it is up.
    pub fn with_lab<T>(&self, look: impl FnOnce(&Lab) -> T) -> Option<T> {
        self.current().map(|lab| look(&lab))
    }

    /// Returns what the lab is made from.
    pub(crate) fn declaration(&self) -> &model::Lab {
        &self.declaration
    }

    /// Returns the lab while it is up.
    pub(crate) fn current(&self) -> Option<Arc<Lab>> {
        self.lab.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Environment for LabEnvironment {
    async fn up(&self, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        progress("making the lab's hosts and starting their programs");
        let lab = Lab::up(&self.declaration, &self.programs).await.map_err(trouble)?;
        progress("all hosts of the lab are up");
        *self.news.lock().await = Some(lab.events());
        *self.lab.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lab));
        Ok(())
    }

    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble> {
        let lab = self.current().ok_or_else(|| plain("the lab is not up"))?;
        let host = Some(object).filter(|o| o.kind == Kind::HOST).and_then(|o| lab.host(&o.name));
        let host = host.ok_or_else(|| plain(&format!("the lab has no `{object}`")))?;
        Ok(Place {
            object: object.clone(),
            site: Site::Namespace(Namespace {
                path: host.namespace_path.clone(),
                mounts: Some(host.mounts_path.clone()),
                interface: Some(host.interface.to_owned()),
                // A descriptor would keep the host in existence wherever a place is still kept when the lab goes down.
                descriptor: None,
            }),
            names: Arc::new(names(&lab)),
        })
    }

    async fn broken(&self) -> Broken {
        let mut news = self.news.lock().await;
        let Some(news) = news.as_mut() else { return std::future::pending().await };
        loop {
            match news.recv().await {
                Ok(LabEvent::ProgramDied(death)) if !death.requested => {
                    let end = format!("{} on host `{}` ended with {}", death.what, death.host, death.status);
                    let last = death.output.lines().map(str::trim).rfind(|line| !line.is_empty());
                    let why = last.map_or(end.clone(), |line| format!("{end}, and wrote last: `{line}`"));
                    return Broken { why, program_on: Some(ObjectId::host(death.host)) };
                }
                Ok(LabEvent::Ended) => return Broken::whole("the process that holds the lab ended"),
                Ok(LabEvent::ProgramDied(_) | LabEvent::ProgramStarted(_)) | Err(RecvError::Lagged(_)) => {}
                // The lab was taken down, and that breaks nothing.
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    async fn logs(&self, object: &ObjectId) -> Vec<String> {
        let Some(lab) = self.current() else { return Vec::new() };
        let Some(host) = lab.host(&object.name) else { return Vec::new() };
        let declared = self.declaration.hosts.iter().find(|h| *h.name == host.group);
        let mut lines = Vec::new();
        for program in 0..declared.map_or(0, |h| h.programs.len()) {
            if let Ok(output) = lab.output(&host.name, program).await {
                lines.extend(output.lines().map(str::to_owned));
            }
        }
        lines
    }

    async fn down(&self) -> Result<(), Trouble> {
        let lab = self.lab.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut lab) = lab else { return Ok(()) };
        // Others look at the lab only for a moment.
        let mut tries = 0;
        let lab = loop {
            match Arc::try_unwrap(lab) {
                Ok(lab) => break lab,
                Err(shared) if tries < 2000 => lab = shared,
                Err(_) => {
                    return Err(plain(
                        "the lab does not answer a question for output and cannot be taken down yet",
                    ));
                }
            }
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        };
        lab.down().await.map_err(|e| {
            let trouble = Trouble::unable(e.to_string());
            match e {
                DownError::Held(_) => trouble.with_help("end what still uses them"),
                DownError::Wait(_) => trouble,
            }
        })
    }
}

/// Puts the lab's names as a resolver at a place needs them: with and without the domain.
fn names(lab: &Lab) -> Names {
    let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (name, addresses) in lab.names().iter() {
        hosts.insert(format!("{name}.{DOMAIN}"), addresses.to_vec());
        hosts.insert(name.to_owned(), addresses.to_vec());
    }
    Names {
        hosts,
        servers: lab.dns().iter().map(|server| SocketAddr::new(*server, DNS_PORT)).collect(),
        // So that faults on DNS are felt.
        order: if lab.dns().is_empty() { Order::HostsFirst } else { Order::ServersFinal },
        asking: Asking {
            search: vec![DOMAIN.to_owned()],
            timeout: resolver::TIMEOUT,
            attempts: resolver::ATTEMPTS,
            ..Asking::default()
        },
        files: None,
    }
}

fn plain(message: &str) -> Trouble {
    Trouble::unable(message)
}

fn trouble(error: LabError) -> Trouble {
    let kind = match &error {
        LabError::Spawn { source, .. } => trouble::Kind::from(source),
        LabError::BringUp(BringUpError::Place { kind, .. } | BringUpError::Host { kind, .. }) => *kind,
        _ => trouble::Kind::Unable,
    };
    if kind == trouble::Kind::Permission {
        return Trouble::denied(error.to_string())
            .with_help("run as root, or where user namespaces are allowed to ordinary users");
    }
    Trouble::unable(error.to_string())
}
