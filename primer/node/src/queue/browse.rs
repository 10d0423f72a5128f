//! Browsing: looking into a queue without changing it, page by page. The queue's lock is held for one page's worth of
//! positions, and messages that are not in memory are read afterwards, so that consumers do not notice.

use std::{sync::Arc, time::Duration};

use primer_core::{
    limits::PEEK_MAX,
    queue::{Left, Peeked, Position, Standing},
    topic,
};
use tokio::sync::oneshot;

use super::{Envelope, Queue, item::Shared, reading::read};
use crate::journal::Want;

/// Where to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum From {
    /// With the oldest, going on to newer ones.
    #[default]
    Oldest,
    /// With the newest, going back to older ones.
    Newest,
    /// At a position, going on to newer ones.
    Position(Position),
    /// Before a position, going back to older ones.
    Before(Position),
}

/// What to look for. All conditions have to hold.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use primer::{Browse, From, Message};
/// let queue = node.queue("readings")?;
/// for celsius in ["20", "21", "22"] {
///     queue.push(Message::new(celsius).topic("house/kitchen")).await?;
/// }
/// let newest = Browse { from: From::Newest, messages_max: 2, topic: Some("house/+".to_owned()), ..Browse::default() };
/// let page = queue.browse(&newest).await;
/// let seen: Vec<_> = page.messages.iter().filter_map(|seen| seen.envelope.text()).collect();
/// assert_eq!(seen, ["22", "21"]);
/// assert!(page.next.is_some()); // there is more
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Browse {
    /// Where to begin.
    pub from: From,
    /// Messages to show, at most 1,000.
    pub messages_max: usize,
    /// Only those whose topic this filter matches.
    pub topic: Option<String>,
    /// Only those published at or after this time, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Only those published before this time.
    pub until_unix_ms: Option<u64>,
    /// Only those with this header, and this value of it if one is given.
    pub header: Option<(String, Option<String>)>,
}

/// A message as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The message.
    pub envelope: Envelope,
    /// How it stands.
    pub standing: Standing,
}

/// What was seen, in the order of looking.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Seen>,
    /// Where to go on; `None` at the end. A page of few messages, or of none, may have more behind it: one look covers
    /// a bounded number of messages, whatever the conditions.
    pub next: Option<From>,
    /// Messages whose records are damaged or cannot be read now.
    pub unreadable: usize,
}

/// Messages that one page looks at, at most.
const LOOKS_MAX: usize = 10_000;

/// How long one page waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

impl Queue {
    /// Shows a page of what is in the queue. Nothing changes by it.
    pub async fn browse(&self, browse: &Browse) -> Page {
        let messages_max = browse.messages_max.clamp(1, PEEK_MAX);
        let mut page = Page::default();
        let (mut at, is_backward) = match browse.from {
            From::Oldest => (Some(Position(0)), false),
            From::Newest => (Some(Position(u64::MAX)), true),
            From::Position(position) => (Some(position), false),
            From::Before(position) => (position.0.checked_sub(1).map(Position), true),
        };
        let mut looks = 0;
        while let Some(from) = at
            && looks < LOOKS_MAX
            && page.messages.len() < messages_max
        {
            let wanted = PEEK_MAX.min(LOOKS_MAX - looks).min(256);
            let peeked = self.cell.state.lock().machine.peek(from, is_backward, wanted);
            looks += peeked.len();
            let next = |position: Position| match is_backward {
                true => position.0.checked_sub(1).map(Position),
                false => position.0.checked_add(1).map(Position),
            };
            at = if peeked.len() < wanted { None } else { peeked.last().and_then(|last| next(last.position)) };
            let total = peeked.len();
            let envelopes = self.read_all(peeked).await;
            for (index, (position, standing, envelope)) in envelopes.into_iter().enumerate() {
                let Some(envelope) = envelope else {
                    page.unreadable += 1;
                    continue;
                };
                if !browse.wants(&envelope) {
                    continue;
                }
                page.messages.push(Seen { envelope, standing });
                if page.messages.len() == messages_max {
                    if index + 1 < total {
                        at = next(position);
                    }
                    break;
                }
            }
        }
        let go_on = |at: Position| match is_backward {
            true => From::Before(Position(at.0.saturating_add(1))),
            false => From::Position(at),
        };
        page.next = at.map(go_on);
        page
    }

    /// The messages that were peeked at; those that are not in memory are read.
    async fn read_all(&self, peeked: Vec<Peeked<Shared>>) -> Vec<(Position, Standing, Option<Envelope>)> {
        let queue = self.cell.state.lock().kept.as_ref().map(|kept| kept.id);
        let mut stubs = Vec::new();
        let mut all: Vec<(Position, Standing, Option<Envelope>)> = Vec::with_capacity(peeked.len());
        for one in peeked {
            let envelope = match one.left {
                Left::Item(item) => Some(Envelope::new(item.0, one.position)),
                Left::Stub(stub) => {
                    stubs.push((all.len(), stub));
                    None
                }
            };
            all.push((one.position, one.standing, envelope));
        }
        let (Some(queue), Some(journal)) = (queue, self.node.inner.journal()) else { return all };
        if stubs.is_empty() {
            return all;
        }
        let want =
            |stub: &primer_core::queue::Stub| Want { sequence: stub.reference, queue, position: stub.position.0 };
        let wants: Vec<Want> = stubs.iter().map(|(_, stub)| want(stub)).collect();
        let (tell, told) = oneshot::channel();
        journal.store().load(wants, move |loaded| {
            let _nobody_waits_any_more = tell.send(loaded);
        });
        let Ok(Ok(loaded)) = tokio::time::timeout(PATIENCE, told).await else { return all };
        for ((index, stub), one) in stubs.iter().zip(&loaded) {
            let item = read(one, stub);
            if let (Some(item), Some(place)) = (item, all.get_mut(*index)) {
                place.2 = Some(Envelope::new(Arc::new(item), stub.position));
            }
        }
        all
    }
}

impl Browse {
    fn wants(&self, envelope: &Envelope) -> bool {
        let time = envelope.time_unix_ms();
        let header = |(name, value): &(String, Option<String>)| match value {
            Some(value) => envelope.headers().any(|(known, its)| known == name && its == value),
            None => envelope.header(name).is_some(),
        };
        self.topic.as_ref().is_none_or(|filter| topic::matches(filter, envelope.topic()))
            && self.since_unix_ms.is_none_or(|since| time >= since)
            && self.until_unix_ms.is_none_or(|until| time < until)
            && self.header.as_ref().is_none_or(header)
    }
}
