//! Publishers: many messages on their way at once, in order, each told by its number.

use std::{collections::VecDeque, sync::Arc};

use super::{PushError, Queue, Receipt, push::Underway};
use crate::message::Message;

/// Pushes without waiting for each message: at most `window` are on their way, and their order is that in which they
/// were sent. Messages that have no identifier of their own get one, `NAME:NUMBER`, so that a queue with a dedupe
/// window knows them when the publisher sends them again after a restart, from the number on that was confirmed last.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = primer::Node::builder().start().await?;
/// let mut publisher = node.queue("readings")?.publisher("meter-7", 1, 100);
/// for reading in 0..1000 {
///     publisher.send(format!("{reading} W")).await?;
/// }
/// publisher.flush().await?;
/// assert_eq!(publisher.confirmed(), 1000);
/// # node.shutdown(std::time::Duration::from_secs(1)).await; Ok(()) }
/// ```
#[derive(Debug)]
pub struct Publisher {
    queue: Queue,
    name: Arc<str>,
    next: u64,
    window: usize,
    underway: VecDeque<Underway>,
    confirmed: u64,
    /// A message was not taken in: those after it do not count as confirmed.
    has_gap: bool,
}

impl std::fmt::Debug for Underway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Underway")
    }
}

impl Queue {
    /// A publisher of this name, whose next message has this number; at most `window` of its messages, at least 1, are
    /// on their way at a time.
    #[must_use]
    pub fn publisher(&self, name: &str, next: u64, window: usize) -> Publisher {
        Publisher {
            queue: self.clone(),
            name: name.into(),
            next,
            window: window.max(1),
            underway: VecDeque::new(),
            confirmed: next.saturating_sub(1),
            has_gap: false,
        }
    }
}

impl Publisher {
    /// Sends a message; waits only while the window is full.
    ///
    /// # Errors
    /// This message, or an earlier one, was not taken in. [`confirmed`](Self::confirmed) says up to where all were.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), PushError> {
        while self.underway.len() >= self.window {
            self.confirm_first().await?;
        }
        let message = message.into().identified(&self.name, self.next);
        let underway = self.queue.begin_push(&message)?;
        self.next += 1;
        self.underway.push_back(underway);
        Ok(())
    }

    /// Waits until all that was sent is taken in.
    ///
    /// # Errors
    /// A message was not; the ones after it were sent all the same, and may be in the queue.
    pub async fn flush(&mut self) -> Result<(), PushError> {
        while !self.underway.is_empty() {
            self.confirm_first().await?;
        }
        Ok(())
    }

    /// The number of the last message up to which all were taken in.
    #[must_use]
    pub const fn confirmed(&self) -> u64 {
        self.confirmed
    }

    async fn confirm_first(&mut self) -> Result<Option<Receipt>, PushError> {
        // It stays here while it is waited for: whoever gives the waiting up has not confirmed it.
        if let Some(first) = self.underway.front() {
            self.queue.await_push(first).await;
        }
        let Some(first) = self.underway.pop_front() else { return Ok(None) };
        let receipt = self.queue.finish_push(first).await;
        self.has_gap |= receipt.is_err();
        self.confirmed += u64::from(!self.has_gap);
        receipt.map(Some)
    }
}
