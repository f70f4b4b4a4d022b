//! What runner and agent say to each other: length-delimited frames of JSON.
//!
//! A frame is four bytes of length, most significant first, and that many bytes of JSON, [`LARGEST_FRAME`] at most. The
//! runner speaks first, with [`Request::Hello`]; the agent answers every [`Call`] with a [`Message::Answer`] of the same
//! number, in any order, and says of its own accord when it ended a fault, and what it measured.
//!
//! Every call says when it was sent, on the runner's clock: an old one that arrives late is not a sign of life. The answer to a
//! ping says when it was given, on the agent's clock, by which samples of the agent are put on the runner's axis.

use std::time::Duration;

use bytes::Bytes;
use chaos_core::{
    capability::Capability,
    injector::{Ask, Measured, Offer, Surroundings, Undo},
    model::Probe,
    place::{ObjectId, Place, Site},
    probe::{Sample, Stream},
    time::Nanos,
    trouble::Trouble,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::codec::LengthDelimitedCodec;

use crate::host::Settings;

/// The version of this protocol; an agent of another version is not used.
pub const VERSION: u32 = 5;

/// The longest frame, in bytes; a longer one ends the conversation.
pub const LARGEST_FRAME: usize = 1 << 20;

/// How long either side waits for a sign of life of the other before it acts on its own, until they have agreed on another
/// time.
pub const SILENCE: Duration = Duration::from_secs(2);

/// The least and the longest silence that an agent agrees to: below, a busy machine looks dead; above, faults stay for long
/// without anybody who wants them.
pub const SILENCE_BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// How many signs of life the runner gives in the time of silence.
pub const HEARTBEATS: u32 = 10;

/// How many samples of one probe may be on their way before the runner has taken in others.
pub const WINDOW: usize = 4096;

/// How many samples go into one message at most.
pub const BATCH: usize = 256;

/// A numbered request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The runner's number for it, which the answer bears.
    pub number: u64,
    /// When the runner sent it, on a clock of its own.
    pub sent: Nanos,
    /// What is asked for.
    pub request: Request,
}

/// What the runner asks of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Opens the conversation.
    Hello {
        /// The runner's [`VERSION`].
        version: u32,
        /// Where the agent is: at the runner's machine, or at the place that it was started for. It acts nowhere else.
        at: Site,
        /// After which silence the runner wants the agent to act on its own.
        silence: Duration,
        /// What the agent's injectors are to be set to.
        settings: Settings,
    },
    /// Is a sign of life.
    Ping,
    /// Asks how something could be done here.
    Offer {
        /// The name of the injector.
        injector: String,
        /// What.
        ask: Ask,
        /// What is known of where.
        around: Box<Surroundings>,
    },
    /// Asks for the prior state.
    Prepare {
        /// The name of the injector.
        injector: String,
        /// The id of the undo record.
        id: String,
        /// What was offered.
        offer: Offer,
        /// Where.
        place: Place,
        /// How long after injection the agent reverts the fault unasked.
        deadline: Duration,
    },
    /// Asks to put a prepared fault in place.
    Inject {
        /// Its record.
        undo: Undo,
    },
    /// Asks to let traffic pass at once where that takes no time, before the reverts that follow.
    Release {
        /// The ids of the records.
        ids: Vec<String>,
    },
    /// Asks to put the prior state back.
    Revert {
        /// The record.
        undo: Undo,
    },
    /// Asks what a fault did so far.
    Effect {
        /// Its record.
        undo: Undo,
    },
    /// Asks what an injector can do where the agent is.
    Capabilities {
        /// Its name.
        injector: String,
    },
    /// Asks what stands of a fault, whoever holds it.
    Standing {
        /// Its record.
        undo: Undo,
    },
    /// Asks what of an injector's making stands on an object.
    Leftovers {
        /// The name of the injector.
        injector: String,
        /// Which.
        object: ObjectId,
    },
    /// Asks what others changed meanwhile where a reverted fault was.
    ChangedByOthers {
        /// Its record.
        undo: Undo,
    },
    /// Asks what an injector sees at a place.
    Evidence {
        /// The name of the injector.
        injector: String,
        /// Which.
        place: Place,
    },
    /// Opens a probe.
    Open {
        /// The runner's number for it.
        feed: u64,
        /// Which probe, at which place.
        probing: Box<Probing>,
    },
    /// Starts to measure a probe that is open.
    Measure {
        /// Its number.
        feed: u64,
        /// The schedule, on the agent's clock.
        stream: Stream,
    },
    /// Says how many samples of a probe the runner has received, so that as many more may be sent.
    Taken {
        /// Its number.
        feed: u64,
        /// How many.
        count: u32,
    },
    /// Ends the measuring of a probe; what is under way still arrives.
    Halt {
        /// Its number.
        feed: u64,
    },
    /// Forgets a probe.
    Close {
        /// Its number.
        feed: u64,
    },
    /// Ends the conversation; what is still in place is reverted first.
    Bye,
}

/// A probe at a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probing {
    /// Which probe.
    pub probe: Probe,
    /// Where.
    pub place: Place,
}

/// What the agent says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The answer to a call.
    Answer {
        /// The call's number.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// A fault is no longer in place, although nobody asked for that.
    Ended {
        /// The id of its undo record.
        id: String,
        /// Why the agent ended it, or what happened to it.
        reason: String,
        /// Why it could not be reverted; none when it was.
        failure: Option<String>,
        /// What it did until then.
        effect: Option<Measured>,
    },
    /// What a probe measured, in the order in which measurements ended; times are on the agent's clock.
    Samples {
        /// The probe's number.
        feed: u64,
        /// What was measured.
        samples: Vec<Sample>,
    },
    /// A probe is not measured any more.
    FeedOver {
        /// Its number.
        feed: u64,
        /// How many samples were left out because the runner did not take them in.
        left_out: u64,
    },
    /// What the agent received was not understood; it reverts everything and ends.
    Garbled {
        /// What was wrong.
        reason: String,
    },
}

/// An answer to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To a hello.
    Hello {
        /// The agent's [`VERSION`].
        version: u32,
        /// After which silence both act on their own: what the runner wants, within [`SILENCE_BOUNDS`].
        silence: Duration,
    },
    /// To a ping.
    Pong {
        /// When, on the agent's clock.
        at: Nanos,
    },
    /// It is done, and there is nothing more to say about it.
    Done,
    /// How it can be done.
    Offers(Vec<Offer>),
    /// The record to keep before anything is changed.
    Prepared(Box<Undo>),
    /// It is in place.
    Injected,
    /// The prior state is back; what the fault did until then, where that is known.
    Reverted(Option<Measured>),
    /// What a fault did so far.
    Effect(Measured),
    /// What an injector can do.
    Capabilities(Vec<Capability>),
    /// What is there, a line each.
    Evidence(Vec<String>),
    /// The agent ends, nothing of it is left.
    Bye,
    /// It cannot be done, or failed.
    Failed(Trouble),
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The bytes are not what is expected here.
    #[error("a frame of {length} bytes is not understood: {source}")]
    Malformed {
        /// How long it was.
        length: usize,
        /// What was wrong with it.
        source: serde_json::Error,
    },
    /// A message is too long to be sent.
    #[error("a message of {0} bytes is longer than a frame may be ({LARGEST_FRAME})")]
    TooLong(usize),
    /// A message cannot be written as JSON.
    #[error("a message cannot be written: {0}")]
    Unwritable(serde_json::Error),
}

/// Returns the codec that cuts a stream into frames; longer ones than [`LARGEST_FRAME`] are an error of the stream.
pub fn frames() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(LARGEST_FRAME).new_codec()
}

/// Reads the content of one frame.
///
/// # Errors
/// [`ProtocolError::Malformed`] for anything that is not exactly one message.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(frame).map_err(|source| ProtocolError::Malformed { length: frame.len(), source })
}

/// Writes the content of one frame.
///
/// # Errors
/// [`ProtocolError::TooLong`] when it does not fit one.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, ProtocolError> {
    let bytes = serde_json::to_vec(message).map_err(ProtocolError::Unwritable)?;
    if bytes.len() > LARGEST_FRAME {
        return Err(ProtocolError::TooLong(bytes.len()));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use proptest::prelude::*;
    use tokio_util::codec::{Decoder, Encoder};

    use super::*;

    #[test]
    fn a_call_survives_the_way() {
        let hello = Request::Hello {
            version: VERSION,
            at: Site::Runner,
            silence: SILENCE,
            settings: Settings::new(),
        };
        let call = Call { number: 7, sent: 9, request: hello };
        let mut wire = BytesMut::new();
        frames().encode(encode(&call).unwrap(), &mut wire).unwrap();
        let frame = frames().decode(&mut wire).unwrap().unwrap();
        assert_eq!(decode::<Call>(&frame).unwrap(), call);
        let text = r#"{"number":7,"sent":9,"request":{"hello":{"version":5,"at":"runner","silence":{"secs":2,"nanos":0},"settings":{}}}}"#;
        assert_eq!(std::str::from_utf8(&frame).unwrap(), text);
    }

    #[test]
    fn a_frame_in_pieces_waits_for_the_rest() {
        let mut wire = BytesMut::from(&[0, 0, 0, 5, b'h', b'e'][..]);
        let mut codec = frames();
        assert!(codec.decode(&mut wire).unwrap().is_none());
        wire.put_slice(b"llo");
        assert_eq!(&codec.decode(&mut wire).unwrap().unwrap()[..], b"hello");
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_kept() {
        let mut wire = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
        assert!(frames().decode(&mut wire).is_err());
        assert!(matches!(encode(&"x".repeat(LARGEST_FRAME)), Err(ProtocolError::TooLong(_))));
    }

    #[test]
    fn trailing_bytes_are_no_message() {
        assert!(decode::<Call>(br#"{"number":1,"sent":2,"request":"ping"}"#).is_ok());
        assert!(decode::<Call>(br#"{"number":1,"sent":2,"request":"ping"}{}"#).is_err());
        assert!(decode::<Call>(&b"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<Call>(&bytes);
            let _ = decode::<Message>(&bytes);
        }
    }
}
