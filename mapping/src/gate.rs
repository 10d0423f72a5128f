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
            count: Cell::new(0),
            next: Cell::new(u64::MAX),
            over: Cell::new(None),
            operations: Cell::new(u64::MAX),
            wall: Cell::new(Duration::MAX),
            begun: Cell::new(None),
            prints: RefCell::new(Vec::new()),
        }
    };
}

struct Gate {
    /// Operations so far. Rhai's own count does not have those of functions that its functions call (`map`, `filter`).
    count: Cell<u64>,
    /// The operation at which to look again.
    next: Cell<u64>,
    /// Why the call must end: some of Rhai's functions go on when what they call has failed.
    over: Cell<Option<FailureReason>>,
    operations: Cell<u64>,
    wall: Cell<Duration>,
    begun: Cell<Option<Instant>>,
    prints: RefCell<Vec<String>>,
}

/// Holds the bounds of the call; dropping it puts those before back.
pub(crate) struct Guard {
    count: u64,
    next: u64,
    over: Option<FailureReason>,
    operations: u64,
    wall: Duration,
    begun: Option<Instant>,
    prints: Vec<String>,
}

/// Begins a call with these bounds.
pub(crate) fn enter(operations: u64, wall: Duration, begun: Instant) -> Guard {
    GATE.with(|gate| Guard {
        count: gate.count.replace(0),
        over: gate.over.replace(None),
        next: gate.next.replace(OPERATIONS_A_LOOK.min(operations.saturating_add(1))),
        operations: gate.operations.replace(operations),
        wall: gate.wall.replace(wall),
        begun: gate.begun.replace(Some(begun)),
        prints: gate.prints.take(),
    })
}

impl Guard {
    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        GATE.with(|gate| gate.count.get())
    }

    /// Why the call had to end, if it had to, whatever came of it.
    pub(crate) fn over(&self) -> Option<FailureReason> {
        GATE.with(|gate| gate.over.get())
    }

    /// What was printed since.
    pub(crate) fn prints(&self) -> Vec<String> {
        GATE.with(|gate| gate.prints.take())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GATE.with(|gate| {
            gate.count.set(self.count);
            gate.over.set(self.over);
            gate.next.set(self.next);
            gate.operations.set(self.operations);
            gate.wall.set(self.wall);
            gate.begun.set(self.begun);
            gate.prints.replace(std::mem::take(&mut self.prints));
        });
    }
}

/// Rhai's progress hook, called for each operation: why the call must end, if it must.
pub(crate) fn on_progress(_of_this_function: u64) -> Option<Dynamic> {
    GATE.with(|gate| {
        let count = gate.count.get() + 1;
        gate.count.set(count);
        if count < gate.next.get() { None } else { look(gate, count).map(Dynamic::from) }
    })
}

/// Has the clock read at the next operation: a native function has done much at once.
pub(crate) fn look_soon() {
    GATE.with(|gate| gate.next.set(0));
}

/// Whether the call must end: for native functions that do much at once.
pub(crate) fn look_now() -> Option<FailureReason> {
    GATE.with(|gate| look(gate, gate.count.get()))
}

#[cold]
fn look(gate: &Gate, count: u64) -> Option<FailureReason> {
    let is_late = || gate.begun.get().is_some_and(|begun| begun.elapsed() > gate.wall.get());
    let over = gate.over.get().or_else(|| {
        if count > gate.operations.get() {
            Some(FailureReason::Operations)
        } else {
            is_late().then_some(FailureReason::Time)
        }
    });
    gate.over.set(over);
    if over.is_none() {
        gate.next.set(count.saturating_add(OPERATIONS_A_LOOK).min(gate.operations.get().saturating_add(1)));
    }
    over
}

/// Rhai's print hook.
pub(crate) fn on_print(text: &str) {
    look_soon(); // making the text of a large value takes long
    GATE.with(|gate| {
        if let Ok(mut prints) = gate.prints.try_borrow_mut()
            && prints.len() < PRINTS_MAX
        {
            prints.push(text[..text.floor_char_boundary(PRINT_BYTES_MAX)].to_owned());
        }
    });
}
