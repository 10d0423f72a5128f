//! What queues write into the store, for programs that look into a store or make one without a node. `queue/record.rs`
//! has it byte for byte.

pub use crate::queue::{
    item::Extra,
    record::{
        DEFINITION, GROUP, ID, Note, OPTIONS, PAUSED, QUEUE, REASONS, group_name, id_key, id_value, options,
        queue_name, read_group_name, read_id, read_note, read_options, write_note,
    },
};
