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
    static METER: Meter = const {
        Meter {
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

struct Meter {
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
    METER.with(|meter| Guard {
        count: meter.count.replace(0),
        over: meter.over.replace(None),
        next: meter.next.replace(OPERATIONS_A_LOOK.min(operations.saturating_add(1))),
        operations: meter.operations.replace(operations),
        wall: meter.wall.replace(wall),
        begun: meter.begun.replace(Some(begun)),
        prints: meter.prints.take(),
    })
}

impl Guard {
    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        METER.with(|meter| meter.count.get())
    }

    /// Why the call had to end, if it had to, whatever came of it.
    pub(crate) fn over(&self) -> Option<FailureReason> {
        METER.with(|meter| meter.over.get())
    }

    /// What was printed since.
    pub(crate) fn prints(&self) -> Vec<String> {
        METER.with(|meter| meter.prints.take())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        METER.with(|meter| {
            meter.count.set(self.count);
            meter.over.set(self.over);
            meter.next.set(self.next);
            meter.operations.set(self.operations);
            meter.wall.set(self.wall);
            meter.begun.set(self.begun);
            meter.prints.replace(std::mem::take(&mut self.prints));
        });
    }
}

/// Rhai's progress hook, called for each operation: why the call must end, if it must.
pub(crate) fn on_progress(_of_this_function: u64) -> Option<Dynamic> {
    METER.with(|meter| {
        let count = meter.count.get() + 1;
        meter.count.set(count);
        if count < meter.next.get() { None } else { look(meter, count).map(Dynamic::from) }
    })
}

/// Has the clock read at the next operation: a native function has done much at once.
pub(crate) fn look_soon() {
    METER.with(|meter| meter.next.set(0));
}

/// Whether the call must end: for native functions that do much at once.
pub(crate) fn look_now() -> Option<FailureReason> {
    METER.with(|meter| look(meter, meter.count.get()))
}

#[cold]
fn look(meter: &Meter, count: u64) -> Option<FailureReason> {
    let is_late = || meter.begun.get().is_some_and(|begun| begun.elapsed() > meter.wall.get());
    let over = meter.over.get().or_else(|| {
        if count > meter.operations.get() {
            Some(FailureReason::Operations)
        } else {
            is_late().then_some(FailureReason::Time)
        }
    });
    meter.over.set(over);
    if over.is_none() {
        meter.next.set(count.saturating_add(OPERATIONS_A_LOOK).min(meter.operations.get().saturating_add(1)));
    }
    over
}

/// Rhai's print hook.
pub(crate) fn on_print(text: &str) {
    look_soon(); // making the text of a large value takes long
    METER.with(|meter| {
        if let Ok(mut prints) = meter.prints.try_borrow_mut()
            && prints.len() < PRINTS_MAX
        {
            prints.push(text[..text.floor_char_boundary(PRINT_BYTES_MAX)].to_owned());
        }
    });
}
