//! How many requests per second one core sends through an HTTP prober.
//!
//! `throughput serve 127.0.0.1:8099` answers `hello` to every request.
//! `throughput URL [CONNECTIONS] [SECONDS] [fresh] [netns=PATH]` keeps so many under way from one thread and prints requests per second, and per second of processor time,
//! which is what to compare with other load generators on a busy machine.

use std::{
    convert::Infallible,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chaos_core::{
    model::{Connections, Probe, ProbeKind, Vantage},
    place::{Namespace, Place, Site},
    probe::{Outcome, Prober, Probers},
    span::{Span, Spanned},
};
use chaos_probes::StandardProbers;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use nix::sys::resource::{UsageWho, getrusage};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => runtime.block_on(serve(address)),
        [url, rest @ ..] => {
            let number = |at: usize| rest.get(at).map(|text| text.parse::<u32>()).transpose();
            let (connections, seconds) = (number(0)?.unwrap_or(50), number(1)?.unwrap_or(5));
            runtime.block_on(measure(url, connections, seconds, rest))
        }
        [] => {
            Err("write `throughput serve ADDRESS` or `throughput URL [CONNECTIONS] [SECONDS] [fresh] [netns=PATH]`".into())
        }
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hello = service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), hello));
    }
}

async fn measure(url: &str, connections: u32, seconds: u32, rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let fresh = rest.contains(&"fresh");
    let namespace = rest.iter().find_map(|word| word.strip_prefix("netns="));
    let site = namespace.map_or(Site::Runner, |path| Namespace::new(path).into());
    let text = |value: &str| Spanned::new(value.to_owned(), Span::NONE);
    let probe = Probe {
        name: text("throughput"),
        kind: ProbeKind::Http { method: "GET".into(), url: text(url), headers: Vec::new(), body: None },
        from: Vantage::Runner,
        rate: 0.0,
        timeout: Duration::from_secs(5),
        connections: if fresh { Connections::Fresh } else { Connections::Reuse(connections) },
        ok_when: None,
        labels: Vec::new(),
        trust: Default::default(),
        span: Span::NONE,
    };
    let here = Place { site, ..Place::runner() };
    let prober = StandardProbers::new().open(&probe, &here).await?.each()?;
    let (start, processor) = (Instant::now(), processor_time()?);
    let end = start + Duration::from_secs(seconds.into());
    let workers: Vec<_> = (0..connections).map(|_| tokio::spawn(ask(prober.clone(), end))).collect();
    let (mut asked, mut failed) = (0_u64, 0_u64);
    for worker in workers {
        let (one, bad) = worker.await?;
        asked += one;
        failed += bad;
    }
    let (elapsed, used) = (start.elapsed().as_secs_f64(), (processor_time()? - processor).as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let asked_f = asked as f64;
    println!(
        "{asked} requests, {failed} failed; {:.0}/s, {:.0} per processor second, {:.2} us of processor time each",
        asked_f / elapsed,
        asked_f / used,
        used / asked_f * 1e6,
    );
    Ok(())
}

async fn ask(prober: Arc<dyn Prober>, end: Instant) -> (u64, u64) {
    let (mut asked, mut failed) = (0, 0);
    while Instant::now() < end {
        asked += 1;
        failed += u64::from(prober.once().await.outcome != Outcome::Ok);
    }
    (asked, failed)
}

/// Returns the user and system time of this process so far.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let spent = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs())
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(spent(usage.user_time()) + spent(usage.system_time()))
}
