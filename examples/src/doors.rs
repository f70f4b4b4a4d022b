//! The three traits through which chaos reaches this harness.

use std::{
    net::UdpSocket,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use chaos_core::{
    environment::Environment,
    inventory::Inventory,
    model::{Probe, Selector},
    non_empty::NonEmpty,
    place::{self, Names, Object, ObjectId, Place},
    probe::{Observation, Opened, Prober, Probers},
    trouble::Trouble,
};
use chaos_netns::Namespace;

use crate::pair::{ECHO, Pair};

impl Pair {
    fn namespace(&self, name: &str) -> Option<&Namespace> {
        match name {
            "blue" => Some(&self.blue),
            "green" => Some(&self.green),
            _ => None,
        }
    }

    /// Returns one of its namespaces as chaos names it.
    pub fn object(name: &str) -> Object {
        let addresses = match name {
            "blue" => vec![[10, 77, 0, 1].into()],
            _ => vec![ECHO.ip()],
        };
        ObjectId::netns(name).at(addresses)
    }
}

/// What `netns "blue"` means here.
#[async_trait]
impl Inventory for Pair {
    async fn find(&self, selector: &Selector) -> Result<NonEmpty<Object>, Trouble> {
        match selector {
            Selector::Netns(name) if self.namespace(name).is_some() => Ok(NonEmpty::one(Pair::object(name))),
            _ => Err(Trouble::absent(format!("`{selector}` is not one of this harness's namespaces"))
                .with_help("there are `blue` and `green`")),
        }
    }
}

/// The world of a run. It is there before and after, so there is nothing to make and to unmake.
#[async_trait]
impl Environment for Pair {
    async fn up(&self, _progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), Trouble> {
        Ok(())
    }

    async fn place(&self, object: &ObjectId) -> Result<Place, Trouble> {
        let namespace =
            self.namespace(&object.name).ok_or_else(|| Trouble::absent(format!("there is no {object}")))?;
        Ok(Place {
            object: object.clone(),
            // The route to the fault's peers decides on the interface; names are not used here.
            site: place::Namespace {
                descriptor: Some(namespace.descriptor()),
                ..place::Namespace::new(namespace.path())
            }
            .into(),
            names: Arc::new(Names::default()),
        })
    }

    async fn down(&self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// Opens the harness's probes; there is only one kind.
#[async_trait]
impl Probers for Pair {
    async fn open(&self, probe: &Probe, place: &Place) -> Result<Opened, Trouble> {
        let namespace = self.namespace(&place.object.name).cloned().ok_or_else(|| {
            Trouble::unable(format!(
                "`{}` is sent from a namespace of this harness, not from {}",
                probe.name, place.object
            ))
            .with_help("say `.sent_from(Selector::netns(\"blue\"))`")
        })?;
        Ok(Opened::Each(Arc::new(EchoProber { namespace, idle: Mutex::default() })))
    }
}

/// Measures the round trip of a datagram.
struct EchoProber {
    namespace: Namespace,
    /// Sockets on which no answer is waited for.
    idle: Mutex<Vec<tokio::net::UdpSocket>>,
}

#[async_trait]
impl Prober for EchoProber {
    /// Sends one datagram and waits for it. The load engine bounds the time: it drops this future, and the socket with it, so
    /// that a late answer is never taken for that of another measurement.
    async fn once(&self) -> Observation {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let socket = match idle.map_or_else(|| self.socket(), Ok) {
            Ok(socket) => socket,
            Err(error) => return Observation::failed(format!("no socket: {error}")),
        };
        if let Err(error) = socket.send(b"ping").await {
            return Observation::failed(error.kind().to_string());
        }
        let mut answer = [0; 64];
        match socket.recv(&mut answer).await {
            Ok(length) if &answer[..length] == b"ping" => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
                Observation::ok()
            }
            Ok(_) => Observation::failed("another answer"),
            Err(error) => Observation::failed(error.kind().to_string()),
        }
    }
}

impl EchoProber {
    fn socket(&self) -> std::io::Result<tokio::net::UdpSocket> {
        let socket = self.namespace.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(ECHO)?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(socket)
        })??;
        tokio::net::UdpSocket::from_std(socket)
    }
}
