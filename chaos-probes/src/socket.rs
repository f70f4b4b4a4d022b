//! Sockets inside a place's network namespace.
//!
//! A socket keeps the namespace it was made in, whoever uses it. So one thread per namespace stays inside and makes
//! sockets on request; everything after that happens on the caller's runtime, whose threads never change namespace.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::JoinHandle,
};

use chaos_core::{
    place::{Entry, Site},
    trouble::Trouble,
};
use chaos_netns::Namespace as Entered;
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    sync::oneshot,
};

use crate::failure::{Failure, cannot, out_of_reach};

/// Stack of a thread that only makes sockets.
const STACK: usize = 128 * 1024;

/// Makes sockets at one place.
#[derive(Clone)]
pub(crate) struct Sockets(Option<Arc<Inside>>);

impl Sockets {
    /// Opens a TCP connection.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let socket = self.make(address, Type::STREAM).await?;
        let socket = TcpSocket::from_std_stream(socket.into());
        socket.connect(address).await.map_err(|error| Failure::from_io(&error))
    }

    /// Opens a UDP socket that sends to, and hears from, this address only.
    pub(crate) async fn udp(&self, address: SocketAddr) -> Result<UdpSocket, Failure> {
        let socket = self.make(address, Type::DGRAM).await?;
        let socket = UdpSocket::from_std(socket.into()).map_err(|error| Failure::from_io(&error))?;
        socket.connect(address).await.map_err(|error| Failure::from_io(&error))?;
        Ok(socket)
    }

    /// Returns the own address that packets to this one would come from; none where no route leads there. Sends nothing.
    pub(crate) async fn source(&self, address: IpAddr) -> Option<IpAddr> {
        // Any port will do: no packet is sent to it.
        let socket = self.udp(SocketAddr::new(address, 53)).await.ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    async fn make(&self, address: SocketAddr, kind: Type) -> Result<Socket, Failure> {
        let domain = Domain::for_address(address);
        let made = match &self.0 {
            None => Socket::new(domain, kind.nonblocking(), None),
            Some(inside) => inside.make(domain, kind.nonblocking()).await,
        };
        made.map_err(|error| match Failure::from_io(&error) {
            // Nothing was asked of the world yet, whatever the code.
            Failure::Failed(text) | Failure::NotRun(text) => Failure::NotRun(text),
        })
    }
}

/// What makes a namespace itself and no other: its device and inode.
type Identity = (u64, u64);

/// The socket threads that run, at most one per namespace.
#[derive(Default)]
pub(crate) struct SocketThreads(Mutex<HashMap<Identity, Weak<Inside>>>);

impl SocketThreads {
    /// Returns the sockets of a site.
    pub(crate) async fn sockets(&self, site: &Site) -> Result<Sockets, Trouble> {
        let namespace = match site.entry().map_err(out_of_reach)? {
            Entry::Own => return Ok(Sockets(None)),
            Entry::Namespace(namespace) => namespace,
        };
        let unreachable = |error: io::Error| {
            cannot(
                format!("cannot enter the network namespace `{}`: {error}", namespace.path.display()),
                "entering a namespace needs root or CAP_SYS_ADMIN, and the namespace must still exist",
            )
        };
        let entered = match &namespace.descriptor {
            Some(descriptor) => Entered::of(Arc::clone(descriptor)),
            None => Entered::open(&namespace.path).map_err(io::Error::from),
        };
        let entered = entered.map_err(unreachable)?;
        if entered.is_current() {
            return Ok(Sockets(None));
        }
        let wanted = entered.identity();
        if let Some(inside) = self.running(wanted) {
            return Ok(Sockets(Some(inside)));
        }
        let inside = Arc::new(Inside::start(entered).await.map_err(unreachable)?);
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|_, thread| thread.strong_count() > 0);
        threads.insert(wanted, Arc::downgrade(&inside));
        Ok(Sockets(Some(inside)))
    }

    fn running(&self, wanted: Identity) -> Option<Arc<Inside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&wanted)?.upgrade()
    }
}

/// A socket that is wanted.
struct Wanted {
    domain: Domain,
    kind: Type,
    made: oneshot::Sender<io::Result<Socket>>,
}

/// A thread inside a namespace; it ends, and lets the namespace go, when this is dropped.
struct Inside {
    wanted: Option<mpsc::Sender<Wanted>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    async fn start(namespace: Entered) -> io::Result<Inside> {
        let (wanted, requests) = mpsc::channel::<Wanted>();
        let (entered, ready) = oneshot::channel();
        let work = move || {
            let inside = namespace.enter().map_err(io::Error::from);
            drop(namespace);
            let failed = inside.is_err();
            if entered.send(inside).is_err() || failed {
                return;
            }
            for Wanted { domain, kind, made } in requests {
                // A measurement that was dropped meanwhile takes no socket: it closes here.
                let _ = made.send(Socket::new(domain, kind, None));
            }
        };
        let thread =
            std::thread::Builder::new().name("netns-sockets".into()).stack_size(STACK).spawn(work)?;
        ready.await.map_err(|_| io::Error::other("the socket thread ended"))??;
        Ok(Inside { wanted: Some(wanted), thread: Some(thread) })
    }

    async fn make(&self, domain: Domain, kind: Type) -> io::Result<Socket> {
        let gone = || io::Error::other("the socket thread ended");
        let (made, socket) = oneshot::channel();
        let wanted = self.wanted.as_ref().ok_or_else(gone)?;
        wanted.send(Wanted { domain, kind, made }).map_err(|_| gone())?;
        socket.await.map_err(|_| gone())?
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Without the sender the thread's loop ends; it never does anything that takes long.
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
