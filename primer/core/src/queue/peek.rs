//! Looking into a queue without changing it, a page at a time.

use super::{Content, Left, Position, Queue, line::Place};
use crate::limits::PEEK_MAX;

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be delivered.
    Ready,
    /// A consumer of some group has it.
    Leased,
    /// It is not to be delivered before this time, in the node's milliseconds.
    Waiting(u64),
}

/// A message as it is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Peeked<T> {
    /// Where it stands.
    pub position: Position,
    /// Its priority.
    pub priority: u8,
    /// What it is, or where the store has it.
    pub left: Left<T>,
    /// How it stands.
    pub standing: Standing,
}

impl<T: Content> Queue<T> {
    /// The messages at or behind `from`, oldest first, or at or before it, newest first; at most `messages_max`, and at
    /// most [`PEEK_MAX`].
    #[must_use]
    pub fn peek(&self, from: Position, is_backward: bool, messages_max: usize) -> Vec<Peeked<T>> {
        let messages_max = messages_max.min(PEEK_MAX);
        // The next entry of each line: the one with the lowest, or highest, position is next.
        let mut at: Vec<Option<usize>> = self
            .lines
            .iter()
            .map(|line| {
                if is_backward { line.index(from.0.saturating_add(1)).checked_sub(1) } else { Some(line.index(from.0)) }
            })
            .collect();
        let mut seen = Vec::new();
        while seen.len() < messages_max {
            let next = self
                .lines
                .iter()
                .zip(&at)
                .enumerate()
                .filter_map(|(line, (entries, index))| Some((entries.at((*index)?)?.position, line)));
            let Some((_, line)) = (if is_backward { next.max() } else { next.min() }) else { break };
            let (Some(entries), Some(Some(index))) = (self.lines.get(line), at.get(line).copied()) else { break };
            if let Some(entry) = entries.at(index)
                && let Some(left) = entry.left()
            {
                let position = Position(entry.position);
                let standing = self.standing(entry.position);
                seen.push(Peeked { position, priority: entries.priority, left, standing });
            }
            if let Some(place) = at.get_mut(line) {
                *place = if is_backward { index.checked_sub(1) } else { Some(index + 1) };
            }
        }
        seen
    }

    /// The oldest message, if it is in memory.
    #[must_use]
    pub fn first_item(&self) -> Option<&T> {
        let firsts = self.lines.iter().filter_map(|line| line.at(0));
        match &firsts.min_by_key(|entry| entry.position)?.place {
            Place::Hot(item) => Some(item),
            _ => None,
        }
    }

    fn standing(&self, position: u64) -> Standing {
        if self.is_leased(position) {
            return Standing::Leased;
        }
        self.due.get(&position).map_or(Standing::Ready, |due_ms| Standing::Waiting(*due_ms))
    }
}
