//! What is in a data directory, for people who look after it.

use std::{collections::HashMap, path::Path};

use primer::journal::{DELAYED, FileFigures, QueueId, RETAINED, Reading, State, queues};
use serde::Serialize;

use super::{PortableError, format::Destination, outward, queue_outward, tables};
use crate::schema;

/// The figures of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The format of its files.
    pub format: u8,
    /// Which life of the store it is.
    pub incarnation: u64,
    /// Whether it was closed.
    pub was_closed: bool,
    /// Its segments.
    pub files: Vec<File>,
    /// Bytes of all segments.
    pub file_bytes: u64,
    /// Bytes of records that somebody still wants.
    pub live_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Messages, each counted once however many wait for it.
    pub messages: u64,
    /// Messages that wait for sessions.
    pub queued: u64,
    /// Of these, sent and not acknowledged.
    pub in_flight: u64,
    /// Queues that have a name of their own.
    pub named_queues: u64,
    /// Messages in them.
    pub in_named_queues: u64,
    /// Tables that have entries.
    pub named_tables: u64,
    /// Entries in them.
    pub in_named_tables: u64,
    /// Bytes of their keys and values.
    pub table_bytes: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages that are published later.
    pub delayed: u64,
    /// The oldest message.
    pub oldest: Option<Oldest>,
    /// The largest queues of all kinds, as asked for.
    pub queues: Vec<Queue>,
    /// The largest tables, as asked for.
    pub tables: Vec<Table>,
    /// Files that did not open.
    pub files_damaged: u64,
    /// Records that are damaged or make no sense.
    pub records_damaged: u64,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Bytes of records that somebody still wants.
    pub live_bytes: u64,
    /// Records that somebody still wants.
    pub live_records: u64,
}

/// A message, by where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Oldest {
    /// Its number in the store.
    pub sequence: u64,
    /// Its topic.
    pub topic: String,
    /// The first queue that it waits in.
    pub queue: String,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// `session CLIENT`, `queue NAME`, `retained` or `delayed`.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes of their records; one in several queues counts in each.
    pub bytes: u64,
    /// The number of its oldest message; `None` while there is none.
    pub oldest_sequence: Option<u64>,
    /// Groups, of a queue with a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// When the oldest message of a queue with a name was published, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unix_ms: Option<u64>,
}

/// A table: what a node keeps beside its queues, such as the scripts of rules and what they remember.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Looks at a store; `queues_max` of its queues are named, the largest first: by messages, or else by bytes. As many of
/// its tables are, by entries or by bytes.
///
/// # Errors
/// It cannot be read.
pub fn survey(
    directory: &Path,
    reading: &mut Reading,
    queues_max: usize,
    by_messages: bool,
) -> Result<Survey, PortableError> {
    let mut survey = Survey { format: Reading::FORMAT, ..Survey::default() };
    survey.take_sessions(reading.state());
    let mut queues = survey.take_queues(reading.state());
    survey.take_tables(reading.state(), queues_max, by_messages);
    let visited = reading.visit(&mut |state, stored| {
        let name = || name_of(state, stored.queue);
        let to = outward::destination(state, &stored);
        let topic = schema::parts(stored.content, 0).map(|parts| parts.topic);
        let (Some(to), Some(topic)) = (to, topic) else {
            survey.records_damaged += 1;
            return;
        };
        let queue = queues.entry(stored.queue).or_insert_with(|| Queue { name: name(), ..Queue::default() });
        queue.messages += 1;
        queue.bytes += u64::from(stored.len);
        let least = |known: Option<u64>, one: u64| Some(known.map_or(one, |known| known.min(one)));
        queue.oldest_sequence = least(queue.oldest_sequence, stored.sequence);
        if let Destination::Queue(place) = to {
            queue.oldest_unix_ms = least(queue.oldest_unix_ms, place.published_unix_ms);
        }
        if survey.oldest.as_ref().is_none_or(|oldest| stored.sequence < oldest.sequence) {
            survey.oldest = Some(Oldest { sequence: stored.sequence, topic: topic.to_owned(), queue: name() });
        }
    });
    visited.map_err(|source| PortableError::Open { directory: directory.to_owned(), source })?;
    survey.take_report(reading);
    for (id, queue) in &queues {
        match reading.state().queue(*id).map(|state| &*state.name) {
            Some(RETAINED) => survey.retained += queue.messages,
            Some(DELAYED) => survey.delayed += queue.messages,
            Some([queues::QUEUE, ..]) => survey.in_named_queues += queue.messages,
            _ => survey.queued += queue.messages,
        }
    }
    let mut largest: Vec<Queue> = queues.into_values().collect();
    let size = |queue: &Queue| if by_messages { queue.messages } else { queue.bytes };
    largest.sort_unstable_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
    largest.truncate(queues_max);
    survey.queues = largest;
    Ok(survey)
}

fn name_of(state: &State, id: QueueId) -> String {
    let Some(queue) = state.queue(id) else { return String::new() };
    match &*queue.name {
        RETAINED => "retained".to_owned(),
        DELAYED => "delayed".to_owned(),
        [queues::QUEUE, ..] => format!("queue {}", queue_outward::name(queue).unwrap_or("?")),
        _ => format!("session {}", outward::client_id(queue).unwrap_or("?")),
    }
}

impl Survey {
    fn take_sessions(&mut self, state: &State) {
        for (_, queue) in state.queues().filter(|(_, queue)| outward::client_id(queue).is_some()) {
            self.sessions += 1;
            self.in_flight += queue.leases.len() as u64;
            let filters = queue.entries.keys().filter(|key| key.first() == Some(&schema::FILTER));
            self.subscriptions += filters.count() as u64;
        }
    }

    /// Queues with names, which are there without a message too.
    fn take_queues(&mut self, state: &State) -> HashMap<QueueId, Queue> {
        let mut found: HashMap<QueueId, Queue> = HashMap::new();
        for (id, _) in state.queues().filter(|(_, queue)| queue_outward::name(queue).is_some()) {
            self.named_queues += 1;
            found.insert(id, Queue { name: name_of(state, id), groups: Some(0), ..Queue::default() });
        }
        let groups = state.queues().filter_map(|(_, group)| queues::read_group_name(&group.name));
        for (id, _) in groups {
            if let Some(groups) = found.get_mut(&id).and_then(|queue| queue.groups.as_mut()) {
                *groups += 1;
            }
        }
        found
    }

    fn take_tables(&mut self, state: &State, tables_max: usize, by_entries: bool) {
        let mut all = Vec::new();
        for (table, nonsense) in tables::tables(state) {
            self.records_damaged += nonsense;
            let (name, entries, bytes) = (table.name.to_string(), table.entries.len() as u64, table.bytes() as u64);
            self.named_tables += 1;
            self.in_named_tables += entries;
            self.table_bytes += bytes;
            all.push(Table { name, entries, bytes });
        }
        let size = |table: &Table| if by_entries { table.entries } else { table.bytes };
        all.sort_unstable_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name)));
        all.truncate(tables_max);
        self.tables = all;
    }

    fn take_report(&mut self, reading: &Reading) {
        let report = reading.report();
        self.incarnation = report.incarnation;
        self.was_closed = !report.was_unclean;
        self.messages = report.messages;
        self.files_damaged = report.files_damaged();
        self.records_damaged += report.damaged;
        for FileFigures { name, bytes, live_bytes, live_records, .. } in reading.files() {
            self.file_bytes += bytes;
            self.live_bytes += live_bytes;
            self.files.push(File { name, bytes, live_bytes, live_records });
        }
    }
}
