//! Messages of a dump: those in queues, and retained ones, in the dump's order, which is that of their commits.

use std::{fs::File, io, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use primer_broker::portable::{self, Perused, PerusedPlace};
use primer_mapping::{Content, Msg, Origin, record};

use super::given::{Given, To};

pub(super) fn feed(
    file: &Path,
    queue: Option<&str>,
    take: &mut dyn FnMut(Given<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let opened = if file == Path::new("-") {
        portable::unpack(io::stdin().lock())
    } else {
        File::open(file).and_then(portable::unpack)
    };
    let input = opened.with_context(|| format!("the dump {name}"))?;
    let (mut failed, mut last_unix_ms, mut is_found) = (None, 0, false);
    let read = portable::peruse(input, &mut |message| {
        for given in given(&message, queue, &mut last_unix_ms) {
            is_found = true;
            if let Err(error) = given.and_then(&mut *take) {
                failed = Some(error);
                return false;
            }
        }
        true
    });
    if let Some(error) = failed {
        return Err(error);
    }
    read.with_context(|| name.clone())?;
    match queue {
        Some(queue) if !is_found => {
            bail!("{name} has no message in a queue {queue:?} (`primer queue ls` has the names)")
        }
        _ => Ok(()),
    }
}

/// The message once for all rules, and for those on queues once for each further place. A retained message has no time
/// in a dump: it has that of the one before it.
fn given(message: &Perused<'_>, queue: Option<&str>, last_unix_ms: &mut u64) -> Vec<anyhow::Result<Given<'static>>> {
    let is_wanted = |place: &&PerusedPlace| queue.is_none_or(|queue| queue == place.queue);
    let mut all: Vec<anyhow::Result<Given<'static>>> = Vec::new();
    for place in message.places.iter().filter(is_wanted) {
        *last_unix_ms = place.published_unix_ms;
        let to = if all.is_empty() { To::All } else { To::Queue };
        all.push(in_queue(message, place).map(|message| Given { message, to }));
    }
    if let (true, None, Some(qos)) = (all.is_empty(), queue, message.retained) {
        let origin = Origin { time_unix_ms: *last_unix_ms, attempt: 1, ..Origin::default() };
        let ttl = ttl(message.expires_unix_ms, *last_unix_ms);
        let message = Msg::new(Content { qos, retain: true, ttl, ..content(message, origin) });
        all.push(Ok(Given { message, to: To::All }));
    }
    all
}

fn in_queue(message: &Perused<'_>, place: &PerusedPlace) -> anyhow::Result<Msg> {
    let dead = match &place.dead {
        None => None,
        Some((queue, reason, deliveries)) => {
            let known = record::REASONS.iter().find(|known| *known == reason);
            let Some(known) = known else { bail!("a dead letter has the reason {reason:?}, which nothing has") };
            Some((Arc::from(&**queue), *known, *deliveries))
        }
    };
    let origin = Origin {
        client: place.publisher.as_deref().map(Into::into),
        user: place.user.as_deref().map(Into::into),
        time_unix_ms: place.published_unix_ms,
        queue: Some((&*place.queue).into()),
        position: place.position,
        attempt: 1,
        hops: place.hops,
        dead,
    };
    let expires = message.expires_unix_ms.into_iter().chain(place.expires_unix_ms).min();
    Ok(Msg::new(Content {
        qos: place.qos,
        retain: place.retain,
        ttl: ttl(expires, place.published_unix_ms),
        priority: Some(place.priority),
        key: place.key.as_deref().map(Into::into),
        id: place.id.as_deref().map(Into::into),
        ..content(message, origin)
    }))
}

fn content(message: &Perused<'_>, origin: Origin) -> Content {
    Content {
        topic: message.topic.into(),
        payload: message.payload.into(),
        properties: message.properties.into(),
        origin: Arc::new(origin),
        ..Content::default()
    }
}

fn ttl(expires_unix_ms: Option<u64>, now_unix_ms: u64) -> Option<Duration> {
    expires_unix_ms.map(|expires| Duration::from_millis(expires.saturating_sub(now_unix_ms)))
}
