//! The delay path in user space: what it carries and how late it is, against the bare cable in the same run. Its only aims
//! are that no packet is lost, and that none is delayed too little.
//!
//! `cargo run --release -p chaos-benches -- forwarder [--assert]`

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Claims, Failure,
    network::{self, Pair},
    statistic::{median, middle, quantile, rounds, time},
};
use chaos_core::{
    injector::{Injector, Surroundings},
    model::FaultSpec,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often all delays take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each throughput is measured, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How many round trips each delay is measured by.
    #[arg(long, default_value_t = 200)]
    trips: u32,
}

const DELAYS: [u64; 4] = [0, 1, 20, 100];
const PORT: u16 = 5201;
/// How many connections send at once in the second throughput.
const STREAMS: usize = 8;

/// What was measured of one delay, a value a round.
#[derive(Default)]
struct Figures {
    one: Vec<f64>,
    many: Vec<f64>,
    trips: Vec<Duration>,
    lost: u32,
}

pub(crate) fn run(options: &Options, assert: bool) -> ExitCode {
    let mut claims = Claims::new("the delay path in user space", assert);
    let measured = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure(options, &mut claims)));
    claims.finish(measured)
}

async fn measure(options: &Options, claims: &mut Claims) -> Result<(), Failure> {
    let pair = Arc::new(Pair::make().await?);
    let injector = network::injector(Some("forwarder"))?;
    let mut bare = Figures::default();
    let mut delayed: Vec<Figures> = DELAYS.iter().map(|_| Figures::default()).collect();
    for _ in 0..options.rounds {
        look(options, &pair, &mut bare).await?;
        for (delay, figures) in DELAYS.iter().zip(&mut delayed) {
            let spec = FaultSpec::delay(Duration::from_millis(*delay));
            let offers = injector
                .offer(&network::ask(spec), &Surroundings::default())
                .await
                .map_err(|denied| denied.to_string())?;
            let place = network::place(&pair.near);
            let undo = injector.prepare("fault/near/1", &offers[0], &place, Duration::from_secs(300)).await?;
            injector.inject(&undo).await?;
            let looked = look(options, &pair, figures).await;
            injector.revert(&undo).await?;
            looked?;
        }
    }
    injector.close().await?;

    let gigabits = |values: &[f64]| rounds(values, " Gbit/s");
    claims.heading("bare cable");
    claims.figure("one connection", gigabits(&bare.one));
    claims.figure(&format!("{STREAMS} connections"), gigabits(&bare.many));
    let base = median(&bare.trips);
    claims.figure("round trip, median", format!("{}, p99 {}", time(base), time(quantile(&bare.trips, 0.99))));
    for (delay, figures) in DELAYS.iter().zip(&delayed) {
        claims.heading(&format!("{delay} ms asked, on what one end sends"));
        let share = |ours: &[f64], bare: &[f64]| {
            format!("{}, {:.0} % of bare", gigabits(ours), 100.0 * middle(ours) / middle(bare))
        };
        claims.figure("one connection", share(&figures.one, &bare.one));
        claims.figure(&format!("{STREAMS} connections"), share(&figures.many, &bare.many));
        let asked = Duration::from_millis(*delay);
        let beyond = |q| time(quantile(&figures.trips, q).saturating_sub(asked));
        claims.figure("round trip minus asked, median", format!("{}, p99 {}", beyond(0.5), beyond(0.99)));
        let early = figures.trips.iter().filter(|trip| **trip < asked).count();
        claims.aim("round trips shorter than asked", early, "none", early == 0);
        claims.aim("datagrams lost", figures.lost, "none", figures.lost == 0);
    }
    Ok(())
}

/// Measures the cable as it is now, on a thread of its own.
async fn look(options: &Options, pair: &Arc<Pair>, figures: &mut Figures) -> Result<(), Failure> {
    let (pair, seconds, count) = (pair.clone(), options.seconds, options.trips);
    let (one, many, (trips, lost)) = tokio::task::spawn_blocking(move || {
        let trips = round_trips(&pair, count)?;
        Ok::<_, Failure>((throughput(&pair, 1, seconds)?, throughput(&pair, STREAMS, seconds)?, trips))
    })
    .await??;
    figures.one.push(one);
    figures.many.push(many);
    figures.trips.extend(trips);
    figures.lost += lost;
    Ok(())
}

/// Sends datagrams that are sent back, one after another; returns how long each took and how many never came back.
fn round_trips(pair: &Pair, count: u32) -> Result<(Vec<Duration>, u32), Failure> {
    let echo = pair.far.run(|| UdpSocket::bind((network::FAR_ADDRESS, PORT)))??;
    let socket = pair.near.run(|| UdpSocket::bind((network::NEAR_ADDRESS, 0)))??;
    socket.connect((network::FAR_ADDRESS, PORT))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    echo.set_read_timeout(Some(Duration::from_millis(100)))?;
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 64];
            while running.load(Ordering::Relaxed) {
                if let Ok((length, from)) = echo.recv_from(&mut buffer) {
                    echo.send_to(&buffer[..length], from).ok();
                }
            }
        });
        let (mut trips, mut lost, mut buffer) = (Vec::new(), 0, [0; 64]);
        // The first ones ask for the neighbour's address, which waits as well.
        for number in 0..count + 5 {
            let start = Instant::now();
            socket.send(&number.to_ne_bytes())?;
            match socket.recv(&mut buffer) {
                Ok(_) if number >= 5 => trips.push(start.elapsed()),
                Ok(_) => {}
                Err(_) => lost += 1,
            }
        }
        running.store(false, Ordering::Relaxed);
        Ok((trips, lost))
    })
}

/// Sends as much as goes through over this many connections; returns Gbit/s.
fn throughput(pair: &Pair, connections: usize, seconds: f64) -> Result<f64, Failure> {
    const PIECE: usize = 256 * 1024;
    /// How long TCP gets to find its window before counting begins.
    const SETTLING: Duration = Duration::from_millis(500);
    let listener = pair.far.run(|| TcpListener::bind((network::FAR_ADDRESS, PORT)))??;
    let received = AtomicU64::new(0);
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..connections {
            let mut stream = pair.near.run(|| TcpStream::connect((network::FAR_ADDRESS, PORT)))??;
            let (mut far, _) = listener.accept()?;
            stream.set_write_timeout(Some(Duration::from_secs(1)))?;
            let (received, running) = (&received, &running);
            scope.spawn(move || {
                let piece = vec![0; PIECE];
                while running.load(Ordering::Relaxed) && stream.write(&piece).is_ok() {}
            });
            scope.spawn(move || {
                let mut piece = vec![0; PIECE];
                // Ends when the sender does.
                while let Ok(length @ 1..) = far.read(&mut piece) {
                    received.fetch_add(length as u64, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(SETTLING);
        let (start, before) = (Instant::now(), received.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let bytes = received.load(Ordering::Relaxed) - before;
        let took = start.elapsed().as_secs_f64();
        running.store(false, Ordering::Relaxed);
        Ok(bytes as f64 * 8.0 / 1e9 / took)
    })
}
