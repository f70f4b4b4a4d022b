//! Where this agent acts: at the one place it was started for.

use chaos_core::{
    place::{OutOfReach, Site},
    trouble::Trouble,
};

use crate::protocol::{Answer, Request};

/// The place that an agent was started for, as its runner's greeting names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat(Site);

impl Seat {
    /// Takes the place of a greeting.
    ///
    /// # Errors
    /// No agent can be there.
    pub(super) fn at(site: Site) -> Result<Self, Trouble> {
        match site {
            Site::Runner | Site::Agent { .. } => Ok(Seat(site)),
            Site::Namespace(_) => Err(Trouble::unable(
                "an agent is started for a machine or a place of its own, and led into a namespace by path",
            )),
            Site::Api => Err(out_of_reach(&OutOfReach::Api)),
        }
    }

    /// Replaces the runner's name of this very place in a request by the injector's name of it, and returns the runner's.
    ///
    /// # Errors
    /// The request is about another place: it is never carried out here instead.
    pub(super) fn lead_in(&self, request: &mut Request) -> Result<Option<Site>, Trouble> {
        let site = match request {
            Request::Prepare { place, .. } | Request::Evidence { place, .. } => &mut place.site,
            Request::Offer { around, .. } => match &mut around.place {
                Some(place) => &mut place.site,
                // It is only made for the run, on the runner's machine.
                None => return Ok(None),
            },
            Request::Open { probing, .. } => &mut probing.place.site,
            Request::Inject { undo }
            | Request::Revert { undo }
            | Request::Effect { undo }
            | Request::Standing { undo }
            | Request::ChangedByOthers { undo } => &mut undo.site,
            Request::Hello { .. }
            | Request::Ping
            | Request::Release { .. }
            | Request::Capabilities { .. }
            // Only the runner's own machine has objects that are found by name.
            | Request::Leftovers { .. }
            | Request::Measure { .. }
            | Request::Taken { .. }
            | Request::Halt { .. }
            | Request::Close { .. }
            | Request::Bye => return Ok(None),
        };
        let named = site.clone();
        match (&self.0, &named) {
            (Site::Agent { of }, Site::Agent { of: asked }) if of == asked => *site = Site::Runner,
            (Site::Agent { of }, _) => {
                let message = format!("the agent acts at {of}, and was asked to act at another place");
                return Err(Trouble::internal(message));
            }
            (Site::Runner | Site::Namespace(_) | Site::Api, _) => {
                named.entry().map_err(|error| out_of_reach(&error))?;
            }
        }
        Ok(Some(named))
    }

    /// Puts the runner's name of the place into an answer.
    pub(super) fn lead_out(answer: &mut Answer, named: Option<Site>) {
        if let (Answer::Prepared(undo), Some(site)) = (answer, named) {
            undo.site = site;
        }
    }
}

fn out_of_reach(error: &OutOfReach) -> Trouble {
    Trouble::unable(error.to_string()).with_help(error.help())
}
