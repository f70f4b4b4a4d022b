//! Probes, places and servers for the tests.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chaos_core::{
    model::{
        Probe, ProbeKind, Vantage,
        probe::{Connections, HeaderValue},
    },
    place::{Names, Place},
    probe::{Prober, Probers},
    span::{Span, Spanned},
};
use chaos_probes::StandardProbers;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Returns text without a place in a file.
pub(crate) fn text(value: &str) -> Spanned<String> {
    Spanned::new(value.to_owned(), Span::NONE)
}

/// Returns a probe with defaults for everything but its kind.
pub(crate) fn probe(kind: ProbeKind) -> Probe {
    Probe {
        name: text("p"),
        kind,
        from: Vantage::Runner,
        rate: 1.0,
        timeout: Duration::from_secs(5),
        connections: Connections::Reuse(4),
        ok_when: None,
        labels: Vec::new(),
        trust: Default::default(),
        span: Span::NONE,
    }
}

/// Returns an HTTP probe.
pub(crate) fn http(method: &str, url: &str, headers: &[(&str, HeaderValue)]) -> Probe {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    probe(ProbeKind::Http { method: method.into(), url: text(url), headers, body: None })
}

/// Returns this machine, with these names.
pub(crate) fn here(hosts: &[(&str, &[&str])], servers: &[SocketAddr]) -> Place {
    let hosts: BTreeMap<String, Vec<IpAddr>> = hosts
        .iter()
        .map(|(name, addresses)| ((*name).to_owned(), addresses.iter().map(|a| a.parse().unwrap()).collect()))
        .collect();
    Place {
        names: Arc::new(Names { hosts, servers: servers.to_vec(), ..Names::default() }),
        ..Place::runner()
    }
}

/// Opens a probe that must open.
pub(crate) async fn open(probe: &Probe, place: &Place) -> Arc<dyn Prober> {
    StandardProbers::new().open(probe, place).await.unwrap().each().unwrap()
}

/// Opens a probe that must not open, and returns why.
pub(crate) async fn refused(probe: &Probe, place: &Place) -> String {
    match StandardProbers::new().open(probe, place).await {
        Ok(_) => panic!("the probe opens"),
        Err(error) => error.message,
    }
}

/// What a server does with one request.
pub(crate) enum Step {
    Write(&'static str),
    Wait(Duration),
    Close,
    Reset,
}

/// A whole answer with this status and body.
pub(crate) fn answer(status: &str, body: &str) -> Vec<Step> {
    let text =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nx-served-by: api-1\r\n\r\n{body}", body.len());
    vec![Step::Write(text.leak())]
}

/// An HTTP server that does what a script says.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) accepted: Arc<AtomicUsize>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves; the script gets the connection's number and the request's number within it, from 0.
    pub(crate) async fn start(script: impl Fn(usize, usize) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Server::on(listener, script)
    }

    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(usize, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Server {
        let server = Server {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            requests: Arc::default(),
        };
        let (accepted, requests, script) =
            (server.accepted.clone(), server.requests.clone(), Arc::new(script));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, connection, script.clone(), requests.clone()));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<impl Fn(usize, usize) -> Vec<Step>>,
    requests: Arc<Mutex<Vec<String>>>,
) {
    for number in 0.. {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        requests.lock().unwrap().push(String::from_utf8(request).unwrap());
        for step in script(connection, number) {
            match step {
                Step::Write(text) => {
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Close => return,
                Step::Reset => {
                    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    return;
                }
            }
        }
    }
}
