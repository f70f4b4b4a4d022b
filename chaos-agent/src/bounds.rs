//! What a request may ask for: times and numbers that every clock and every schedule can hold.
//!
//! A frame that is well-formed may still hold any number. One that nothing could be reckoned with is refused alone, with all
//! that is in place left as it is.

use std::time::Duration;

use chaos_core::{probe::Stream, time::nanos, trouble::Trouble};

use crate::protocol::Request;

/// The longest time that anything is held or waited for.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// The most measurements of one probe in a second.
const MOST_RATE: f64 = 1e6;

/// Refuses what no clock or schedule can hold.
pub(crate) fn check(request: &Request) -> Result<(), Trouble> {
    match request {
        Request::Prepare { id, deadline, .. } => deadline_of(id, *deadline),
        Request::Inject { undo } => deadline_of(&undo.id, undo.deadline),
        Request::Open { probing, .. } => {
            time("the timeout", &probing.probe.name.value, probing.probe.timeout)?;
            rate(&probing.probe.name.value, probing.probe.rate)
        }
        Request::Measure { stream, .. } => schedule(stream),
        // What is held is always reverted, whatever its record says.
        Request::Revert { .. }
        | Request::Hello { .. }
        | Request::Ping
        | Request::Offer { .. }
        | Request::Release { .. }
        | Request::Effect { .. }
        | Request::Evidence { .. }
        | Request::Standing { .. }
        | Request::Capabilities { .. }
        | Request::Leftovers { .. }
        | Request::ChangedByOthers { .. }
        | Request::Taken { .. }
        | Request::Halt { .. }
        | Request::Close { .. }
        | Request::Bye => Ok(()),
    }
}

fn deadline_of(id: &str, deadline: Duration) -> Result<(), Trouble> {
    time("the deadline", id, deadline)
}

fn time(what: &str, of: &str, time: Duration) -> Result<(), Trouble> {
    if time <= LONGEST {
        return Ok(());
    }
    Err(Trouble::unable(format!("{what} of `{of}` is {} s away, longer than ten years", time.as_secs()))
        .with_help("whatever is put in place must end on its own, at a time that a clock reaches"))
}

fn rate(of: &str, rate: f64) -> Result<(), Trouble> {
    if rate.is_finite() && rate > 0.0 && rate <= MOST_RATE {
        return Ok(());
    }
    Err(Trouble::unable(format!("`{of}` is to be measured {rate} times a second"))
        .with_help(format!("a rate is above 0 and at most {MOST_RATE}")))
}

fn schedule(stream: &Stream) -> Result<(), Trouble> {
    rate(&stream.from, stream.rate)?;
    time("the timeout", &stream.from, stream.timeout)?;
    if stream.first.unsigned_abs() > nanos(LONGEST).unsigned_abs() {
        let message = format!("the measuring from `{}` begins {} ns away", stream.from, stream.first);
        return Err(Trouble::unable(message).with_help("a schedule begins within ten years"));
    }
    Ok(())
}
