//! Any bytes are frames or an error, however they are cut; a message survives the way; nothing makes memory grow.

#![no_main]

use std::alloc::System;

use bytes::{Bytes, BytesMut};
use cap::Cap;
use chaos_agent::protocol::{Call, LARGEST_FRAME, Message, decode, encode, frames};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio_util::codec::{Decoder as _, Encoder as _};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// What reading one input may take at most: some copies of the largest frame, and the tree of its JSON.
const MOST_MEMORY: usize = 8 * LARGEST_FRAME;

fuzz_target!(|bytes: &[u8]| {
    // More ends the process, which the fuzzer sees as a crash.
    MEMORY
        .set_limit(MEMORY.allocated() + MOST_MEMORY + 64 * bytes.len())
        .expect("the limit is above what is used");
    as_a_stream(bytes);
    as_the_content_of_a_frame(bytes);
    MEMORY.set_limit(usize::MAX).expect("there is no limit");
});

/// Reads all frames, at once and in pieces: both must give the same.
fn as_a_stream(bytes: &[u8]) {
    let whole = read([bytes]);
    let mut cuts = Cuts::of(bytes);
    let mut rest = bytes;
    let pieces = std::iter::from_fn(|| {
        let (piece, behind) = rest.split_at(cuts.next().min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(read(pieces), whole, "what is read depends on how it arrives");
    for content in &whole.0 {
        assert!(content.len() <= LARGEST_FRAME);
        as_the_content_of_a_frame(content);
    }
}

/// Returns the frames of a stream, and whether it ended in an error.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, bool) {
    let (mut codec, mut buffer, mut found) = (frames(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => found.push(frame.freeze()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

/// A content is a call, a message, or an error; what is understood is written as it was understood.
fn as_the_content_of_a_frame(content: &[u8]) {
    if let Ok(call) = decode::<Call>(content) {
        let again: Call = survives(&encode(&call).expect("a call that was read can be written"));
        assert_eq!(again, call, "a call changed on the way");
    }
    if let Ok(message) = decode::<Message>(content) {
        let written = encode(&message).expect("a message that was read can be written");
        let again: Message = survives(&written);
        let tree = |m: &Message| serde_json::to_value(m).expect("a message has a JSON form");
        assert_eq!(tree(&again), tree(&message), "a message changed on the way");
        assert_eq!(decode::<Value>(&written).expect("it is JSON"), tree(&message));
    }
}

/// Sends a content in a frame, byte by byte, and reads it at the other end.
fn survives<T: serde::de::DeserializeOwned>(content: &Bytes) -> T {
    let mut wire = BytesMut::new();
    frames().encode(content.clone(), &mut wire).expect("a content that fits a frame is sent");
    let (read, broken) = read(wire.chunks(1 + content.len() / 16));
    assert!(!broken && read == [content.clone()], "a frame changed on the way");
    decode(&read[0]).expect("what was written can be read")
}

/// Lengths of pieces that follow from the bytes themselves, so that an input always does the same.
struct Cuts(u32);

impl Cuts {
    fn of(bytes: &[u8]) -> Self {
        // FNV-1a.
        Cuts(bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)))
    }

    fn next(&mut self) -> usize {
        // A step of a linear congruential generator (Numerical Recipes); its upper bits are the good ones.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (self.0 >> 29) as usize
    }
}
