//! Bulk data from one end of a [`Pair`] to the other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::pair::{Pair, inside};

/// Sends over TCP for a time, from `a` to port 7310 in `b`; returns how many bytes arrived, all of them right, and how long
/// that took.
pub(crate) fn transfer(pair: &Pair, time: Duration) -> (u64, Duration) {
    let listener = inside(&pair.b, || TcpListener::bind("10.99.0.2:7310").unwrap());
    let mut client = inside(&pair.a, || TcpStream::connect("10.99.0.2:7310").unwrap());
    let (mut server, _) = listener.accept().unwrap();
    let pattern: Vec<u8> = (0..256 + (1_u32 << 18)).map(|at| at as u8).collect();
    let chunk = pattern[..1 << 16].to_vec();
    let reading = std::thread::spawn(move || {
        let (mut bytes, mut buffer, start) = (0_u64, vec![0; 1 << 18], Instant::now());
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            let next = (bytes % 256) as usize;
            assert!(
                buffer[..count] == pattern[next..next + count],
                "wrong bytes arrived after {bytes} right ones"
            );
            bytes += count as u64;
        }
        (bytes, start.elapsed())
    });
    let start = Instant::now();
    while start.elapsed() < time && client.write_all(&chunk).is_ok() {}
    drop(client);
    reading.join().unwrap()
}
