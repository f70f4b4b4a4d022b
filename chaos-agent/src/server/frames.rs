//! The agent's end of the two streams.

use std::sync::Arc;

use bytes::Bytes;
use chaos_core::trouble::Trouble;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::{
    lifesign::Lifesign,
    protocol::{self, Answer, Call, Message, Request},
};

/// What the reading task makes of the input.
pub(super) enum Heard {
    Call(Box<Call>),
    End(String),
}

/// Reads calls until the input ends or cannot be understood, and answers pings.
pub(super) async fn read(
    input: impl AsyncRead + Unpin,
    hears: mpsc::UnboundedSender<Heard>,
    says: mpsc::UnboundedSender<Message>,
    life: Arc<Lifesign>,
) {
    let mut frames = FramedRead::new(input, protocol::frames());
    let end = loop {
        let frame = match frames.next().await {
            None => break Heard::End("the runner's end of the agent's input was closed".into()),
            Some(Err(error)) => {
                says.send(Message::Garbled { reason: error.to_string() }).ok();
                break Heard::End(format!("the agent's input cannot be read: {error}"));
            }
            Some(Ok(frame)) => frame,
        };
        match protocol::decode::<Call>(&frame) {
            Ok(call) => {
                life.heard(call.sent);
                // Answered here, so that a long operation does not look like a hung agent.
                let sent = if call.request == Request::Ping {
                    let answer = Answer::Pong { at: life.clock().now() };
                    says.send(Message::Answer { number: call.number, answer }).is_ok()
                } else {
                    hears.send(Heard::Call(Box::new(call))).is_ok()
                };
                if !sent {
                    return;
                }
            }
            Err(error) => {
                says.send(Message::Garbled { reason: error.to_string() }).ok();
                break Heard::End(format!("the runner sent something that is not a request: {error}"));
            }
        }
    };
    hears.send(end).ok();
}

/// Writes messages until nobody reads them or nobody has any.
pub(super) async fn write(output: impl AsyncWrite + Unpin, mut to_say: mpsc::UnboundedReceiver<Message>) {
    let mut frames = FramedWrite::new(output, protocol::frames());
    while let Some(message) = to_say.recv().await {
        let frame =
            protocol::encode(&message).or_else(|error| protocol::encode(&unsayable(&message, &error)));
        let Ok(frame) = frame else { continue };
        if SinkExt::<Bytes>::send(&mut frames, frame).await.is_err() {
            return;
        }
    }
}

/// What is said instead of a message that does not fit a frame.
fn unsayable(message: &Message, error: &protocol::ProtocolError) -> Message {
    match message {
        Message::Answer { number, .. } => {
            Message::Answer { number: *number, answer: Answer::Failed(Trouble::unable(error.to_string())) }
        }
        _ => Message::Garbled { reason: error.to_string() },
    }
}
