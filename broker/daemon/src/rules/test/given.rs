//! A message of a dry run, and whom it is for.

use std::sync::Arc;

use primer_core::queue::name;
use primer_mapping::Msg;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Given<'g> {
    pub(super) message: Msg,
    pub(super) to: To<'g>,
}

/// Which rules get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To<'g> {
    /// As a publish: what rules of stage `ingress` make of it goes to the others.
    Publish,
    /// Each rule that it matches, as it is.
    All,
    /// Rules on its queue alone: it was given to the others already, for another place that it has.
    Queue,
    /// This one.
    Rule(&'g str),
}

/// A publish to `$queue/NAME` is a message of that queue.
pub(super) fn in_its_queue(mut message: Msg) -> Msg {
    let content = message.content();
    if content.origin.queue.is_some() {
        return message;
    }
    let queue: Option<Arc<str>> =
        content.topic.strip_prefix("$queue/").filter(|name| name::check(name).is_ok()).map(Into::into);
    if queue.is_some() {
        Arc::make_mut(&mut message.content_mut().origin).queue = queue;
    }
    message
}
