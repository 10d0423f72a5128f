//! What Rhai's progress and print hooks need to know of the call that runs on this thread.
//!
//! Those hooks are the engine's and get no context, so it stands in a thread-local: one call runs on a thread at a
//! time, and a call within a call (a native function that runs a rule) puts back what was there.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use rhai::Dynamic;

use crate::{failure::FailureReason, limits::PRINTS_MAX};

/// The clock is read once in this many operations: reading it costs about as much as one.
const OPERATIONS_A_LOOK: u64 = 256;
/// Bytes of a printed line that are kept.
const PRINT_BYTES_MAX: usize = 1_024;

thread_local! {
    static GATE: Gate = const {
        Gate {
            next: Cell::new(u64::MAX),
            operations: Cell::new(u64::MAX),
            wall: Cell::new(Duration::MAX),
            begun: Cell::new(None),
            prints: RefCell::new(Vec::new()),
        }
    };
}

struct Gate {
    /// The operation at which to look again.
    next: Cell<u64>,
    operations: Cell<u64>,
    wall: Cell<Duration>,
    begun: Cell<Option<Instant>>,
    prints: RefCell<Vec<String>>,
}

/// Holds the bounds of the call; dropping it puts those before back.
pub(crate) struct Guard {
    next: u64,
    operations: u64,
    wall: Duration,
    begun: Option<Instant>,
    prints: Vec<String>,
}

/// Begins a call with these bounds.
pub(crate) fn enter(operations: u64, wall: Duration, begun: Instant) -> Guard {
    GATE.with(|gate| Guard {
        next: gate.next.replace(OPERATIONS_A_LOOK.min(operations.saturating_add(1))),
        operations: gate.operations.replace(operations),
        wall: gate.wall.replace(wall),
        begun: gate.begun.replace(Some(begun)),
        prints: gate.prints.take(),
    })
}

impl Guard {
    /// What was printed since.
    pub(crate) fn prints(&self) -> Vec<String> {
        GATE.with(|gate| gate.prints.take())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GATE.with(|gate| {
            gate.next.set(self.next);
            gate.operations.set(self.operations);
            gate.wall.set(self.wall);
            gate.begun.set(self.begun);
            gate.prints.replace(std::mem::take(&mut self.prints));
        });
    }
}

/// Rhai's progress hook: why the call must end, if it must.
pub(crate) fn on_progress(operations: u64) -> Option<Dynamic> {
    GATE.with(|gate| if operations < gate.next.get() { None } else { look(gate, operations) })
}

/// Has the clock read at the next operation: a native function has done much at once.
pub(crate) fn look_soon() {
    GATE.with(|gate| gate.next.set(0));
}

#[cold]
fn look(gate: &Gate, operations: u64) -> Option<Dynamic> {
    if operations > gate.operations.get() {
        return Some(Dynamic::from(FailureReason::Operations));
    }
    if gate.begun.get().is_some_and(|begun| begun.elapsed() > gate.wall.get()) {
        return Some(Dynamic::from(FailureReason::Time));
    }
    gate.next.set(operations.saturating_add(OPERATIONS_A_LOOK).min(gate.operations.get().saturating_add(1)));
    None
}

/// Rhai's print hook.
pub(crate) fn on_print(text: &str) {
    GATE.with(|gate| {
        if let Ok(mut prints) = gate.prints.try_borrow_mut()
            && prints.len() < PRINTS_MAX
        {
            prints.push(text[..text.floor_char_boundary(PRINT_BYTES_MAX)].to_owned());
        }
    });
}
