//! Adding, listing and removing queueing disciplines and classes.

use rtnetlink::{
    packet_core::{
        DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, Nla,
    },
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcMessage, TcOption, TcStats2},
    },
};
use serde::{Deserialize, Serialize};

use crate::netlink::{Connection, Handle, Htb, HtbClass, Netem, NetlinkError, Prio, Tbf};

const TCA_OPTIONS: u16 = 2;

/// A queueing discipline as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Qdisc {
    /// The kind's name: `netem`, `tbf`, `fq_codel`, `noqueue`.
    pub kind: String,
    /// Its own name; [`Handle::NONE`] for a default the kernel attached.
    pub handle: Handle,
    /// Where it hangs.
    pub parent: Handle,
    /// The raw value of `TCA_OPTIONS`, enough to make most kinds again as they were.
    pub options: Vec<u8>,
    /// The options understood, for the kinds this crate makes itself.
    pub decoded: Option<QdiscOptions>,
    /// What passed through it so far.
    pub statistics: QdiscStatistics,
}

/// The parameters of a qdisc this crate can make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QdiscOptions {
    /// The network emulator.
    Netem(Box<Netem>),
    /// The token bucket.
    Tbf(Tbf),
    /// Bands to steer into.
    Prio(Prio),
    /// Classes to steer into.
    Htb(Htb),
    /// Hooks for filters on arriving and departing packets; leaves the queues alone.
    Clsact,
}

impl From<Netem> for QdiscOptions {
    fn from(netem: Netem) -> Self {
        Self::Netem(Box::new(netem))
    }
}

impl From<Tbf> for QdiscOptions {
    fn from(tbf: Tbf) -> Self {
        Self::Tbf(tbf)
    }
}

impl QdiscOptions {
    /// Returns the kind's name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Netem(_) => "netem",
            Self::Tbf(_) => "tbf",
            Self::Prio(_) => "prio",
            Self::Htb(_) => "htb",
            Self::Clsact => "clsact",
        }
    }

    /// Returns the value of `TCA_OPTIONS`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Netem(netem) => netem.encode(),
            Self::Tbf(tbf) => tbf.encode(),
            Self::Prio(prio) => prio.encode(),
            Self::Htb(htb) => htb.encode(),
            Self::Clsact => Vec::new(),
        }
    }
}

/// Counters of a qdisc since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QdiscStatistics {
    /// Bytes sent on.
    pub bytes: u64,
    /// Packets sent on.
    pub packets: u32,
    /// Packets dropped, by the fault or by the limit.
    pub drops: u32,
    /// Packets that had to wait for a rate.
    pub overlimits: u32,
    /// Packets netem sent ahead of those held (reordering), or that the driver gave back.
    pub requeues: u32,
    /// Packets held right now.
    pub queued_packets: u32,
    /// Bytes held right now.
    pub queued_bytes: u32,
}

impl Connection {
    /// Lists the qdiscs of interface `index`.
    ///
    /// # Errors
    /// When the kernel refuses, or what it says cannot be understood.
    pub async fn qdiscs(&self, index: u32) -> Result<Vec<Qdisc>, NetlinkError> {
        let request = RouteNetlinkMessage::GetQueueDiscipline(message(index));
        let action = format!("list the qdiscs of interface {index}");
        let mut found = Vec::new();
        for answer in self.request(request, NLM_F_DUMP, &action).await? {
            // The kernel lists those of all interfaces.
            if let RouteNetlinkMessage::NewQueueDiscipline(message) = answer
                && u32::try_from(message.header.index) == Ok(index)
            {
                found.push(read_qdisc(&message)?);
            }
        }
        Ok(found)
    }

    /// Returns the root qdisc of interface `index`.
    ///
    /// # Errors
    /// As [`Connection::qdiscs`].
    pub async fn root_qdisc(&self, index: u32) -> Result<Option<Qdisc>, NetlinkError> {
        Ok(self.qdiscs(index).await?.into_iter().find(|qdisc| qdisc.parent == Handle::ROOT))
    }

    /// Adds a qdisc that must not be there yet; a default one without a handle counts as not there.
    ///
    /// # Errors
    /// [`NetlinkError::ForeignRoot`] when another root is in the way, else [`NetlinkError::Refused`]: `ENOENT` means
    /// that the kernel has no such kind.
    pub async fn add_qdisc(
        &self,
        index: u32,
        parent: Handle,
        handle: Handle,
        options: &QdiscOptions,
    ) -> Result<(), NetlinkError> {
        match self
            .put_qdisc(index, parent, handle, options.kind(), options.encode(), NLM_F_CREATE | NLM_F_EXCL)
            .await
        {
            Err(error) if parent == Handle::ROOT && error.raw_os_error() == Some(libc::EEXIST) => {
                match self.root_qdisc(index).await? {
                    Some(found) if found.handle != handle => {
                        Err(NetlinkError::ForeignRoot { index, kind: found.kind, handle: found.handle })
                    }
                    _ => Err(error),
                }
            }
            done => done,
        }
    }

    /// Changes the parameters of a qdisc that is there, without losing the packets it holds.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`], with `ENOENT` when it is not there.
    pub async fn change_qdisc(
        &self,
        index: u32,
        parent: Handle,
        handle: Handle,
        options: &QdiscOptions,
    ) -> Result<(), NetlinkError> {
        self.put_qdisc(index, parent, handle, options.kind(), options.encode(), 0).await
    }

    /// Makes a qdisc again from what [`Connection::qdiscs`] once read, replacing what is at its place.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn restore_qdisc(&self, index: u32, qdisc: &Qdisc) -> Result<(), NetlinkError> {
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.put_qdisc(index, qdisc.parent, qdisc.handle, &qdisc.kind, qdisc.options.clone(), flags).await
    }

    async fn put_qdisc(
        &self,
        index: u32,
        parent: Handle,
        handle: Handle,
        kind: &str,
        options: Vec<u8>,
        flags: u16,
    ) -> Result<(), NetlinkError> {
        let mut message = message(index);
        message.header.parent = parent.into();
        message.header.handle = handle.into();
        message.attributes = kind_and_options(kind, options);
        let action = format!("add the qdisc `{kind}` {handle} to interface {index}");
        self.request(RouteNetlinkMessage::NewQueueDiscipline(message), NLM_F_ACK | flags, &action).await?;
        Ok(())
    }

    /// Removes the qdisc named `handle`, and with it what hangs below; succeeds when it, or the interface, is gone.
    ///
    /// A qdisc with another name at the same place stays.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn delete_qdisc(&self, index: u32, parent: Handle, handle: Handle) -> Result<(), NetlinkError> {
        let mut message = message(index);
        message.header.parent = parent.into();
        message.header.handle = handle.into();
        let action = format!("remove the qdisc {handle} from interface {index}");
        match self.request(RouteNetlinkMessage::DelQueueDiscipline(message), NLM_F_ACK, &action).await {
            Err(error) if error.is_absent() => Ok(()),
            // "Invalid handle": somebody else's qdisc is at the place.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let there = self.qdiscs(index).await?.iter().any(|qdisc| qdisc.handle == handle);
                if there { Err(error) } else { Ok(()) }
            }
            done => done.map(drop),
        }
    }

    /// Adds class `class` to its htb qdisc.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`].
    pub async fn add_class(&self, index: u32, class: Handle, options: &HtbClass) -> Result<(), NetlinkError> {
        let mut message = message(index);
        message.header.parent = Handle::qdisc(class.major).into();
        message.header.handle = class.into();
        message.attributes = kind_and_options("htb", options.encode());
        let action = format!("add the class {class} to interface {index}");
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewTrafficClass(message), flags, &action).await?;
        Ok(())
    }
}

/// Starts a traffic control message about interface `index`.
pub(crate) fn message(index: u32) -> TcMessage {
    // Interface numbers are positive 31-bit numbers in the kernel; it answers ENODEV to any other.
    TcMessage::with_index(index as i32)
}

fn kind_and_options(kind: &str, options: Vec<u8>) -> Vec<TcAttribute> {
    let mut attributes = vec![TcAttribute::Kind(kind.into())];
    if !options.is_empty() {
        // `TcAttribute::Options` would wrap the value in one more attribute.
        attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)));
    }
    attributes
}

fn read_qdisc(message: &TcMessage) -> Result<Qdisc, NetlinkError> {
    let mut kind = String::new();
    let mut options = Vec::new();
    let mut statistics = QdiscStatistics::default();
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(name) => kind.clone_from(name),
            TcAttribute::Options(values) => options = option_bytes(values),
            TcAttribute::Stats2(values) => statistics = read_statistics(values),
            _ => {}
        }
    }
    let decoded = match kind.as_str() {
        "netem" => Some(Netem::decode(&options)?.into()),
        "tbf" => Some(Tbf::decode(&options)?.into()),
        "clsact" => Some(QdiscOptions::Clsact),
        _ => None,
    };
    Ok(Qdisc {
        kind,
        handle: message.header.handle.into(),
        parent: message.header.parent.into(),
        options,
        decoded,
        statistics,
    })
}

/// Returns the value of `TCA_OPTIONS` again: kinds the crate knows come as a list of attributes, all others as one
/// attribute that is `TCA_OPTIONS` itself.
fn option_bytes(values: &[TcOption]) -> Vec<u8> {
    if let [TcOption::Other(whole)] = values
        && whole.kind() == TCA_OPTIONS
    {
        let mut bytes = vec![0; whole.value_len()];
        whole.emit_value(&mut bytes);
        return bytes;
    }
    let mut bytes = vec![0; values.buffer_len()];
    values.emit(&mut bytes);
    bytes
}

fn read_statistics(values: &[TcStats2]) -> QdiscStatistics {
    let mut statistics = QdiscStatistics::default();
    for value in values {
        match value {
            TcStats2::Basic(basic) => (statistics.bytes, statistics.packets) = (basic.bytes, basic.packets),
            TcStats2::Queue(queue) => {
                statistics.drops = queue.drops;
                statistics.overlimits = queue.overlimits;
                statistics.requeues = queue.requeues;
                statistics.queued_packets = queue.qlen;
                statistics.queued_bytes = queue.backlog;
            }
            _ => {}
        }
    }
    statistics
}
