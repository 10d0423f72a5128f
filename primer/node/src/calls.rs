//! Requests and answers: who calls gives a topic for the answer, `$reply/ID`, and waits for what is published there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    Node,
    message::Message,
    queue::{Envelope, PushError, Queue},
};

/// The topics of answers. Only the node itself listens there.
pub const REPLY: &str = "$reply/";

/// Calls that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    waiting: Mutex<HashMap<Box<str>, oneshot::Sender<Envelope>, foldhash::fast::RandomState>>,
    next: AtomicU64,
}

/// Why a call has no answer.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// use std::time::Duration;
/// use primer::CallError;
/// let soon = Duration::from_millis(10);
/// let nobody = node.queue("jobs")?.call("are you there?", soon).await;
/// assert_eq!(nobody.unwrap_err(), CallError::TimedOut(soon));
/// # node.shutdown(std::time::Duration::ZERO).await; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The message was not taken in.
    #[error(transparent)]
    Push(#[from] PushError),
    /// No answer came in time. The message may have been handled all the same, and expires with the call unless it has
    /// a time to live of its own.
    #[error("no answer came within {0:?}")]
    TimedOut(Duration),
}

/// A call that is waited for; it is forgotten when nobody waits any more.
struct Waiting<'c> {
    calls: &'c Calls,
    topic: Box<str>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.calls.waiting.lock().remove(&self.topic);
    }
}

impl Calls {
    /// Hands an answer over; whether somebody waits for it.
    pub(crate) fn answer(&self, topic: &str, answer: Envelope) -> bool {
        let waiting = self.waiting.lock().remove(topic);
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }
}

impl Queue {
    /// Pushes a message and waits for the answer of whoever handles it ([`crate::Delivery::reply`], or a publish to the
    /// message's response topic over MQTT). The message expires when the time is up, unless it says otherwise itself.
    ///
    /// # Errors
    /// It was not taken in, or no answer came in time.
    pub async fn call(&self, message: impl Into<Message>, timeout: Duration) -> Result<Envelope, CallError> {
        let calls = &self.node().inner.calls;
        let number = calls.next.fetch_add(1, Ordering::Relaxed);
        let topic: Box<str> = format!("{REPLY}{:x}-{number}", self.node().inner.clock.unix_ms()).into();
        let (tell, told) = oneshot::channel();
        calls.waiting.lock().insert(topic.clone(), tell);
        let waiting = Waiting { calls, topic };
        let message = message.into().answered_at(&waiting.topic, &number.to_be_bytes()).within(timeout);
        let answer = async {
            self.push(message).await?;
            Ok(told.await.ok())
        };
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Err(error)) => Err(CallError::Push(error)),
            Ok(Ok(None)) | Err(_) => Err(CallError::TimedOut(timeout)),
        }
    }
}

/// Answers a message, if it wants an answer.
pub(crate) fn reply(node: &Node, asked: &Envelope, payload: &[u8]) {
    let Some(topic) = asked.response_topic() else { return };
    let mut message = Message::new(payload).topic(topic);
    if let Some(data) = asked.correlation_data() {
        message = message.correlation_data(data);
    }
    let _nobody_waits = node.publish_now(&message, None);
}

/// The answer to a call, as it is published.
pub(crate) fn deliver(calls: &Calls, message: &primer_core::message::Message, unix_ms: u64) -> bool {
    let item = crate::queue::item::Item::plain(message.clone(), unix_ms);
    calls.answer(message.topic(), Envelope::new(Arc::new(item), primer_core::queue::Position(0)))
}
