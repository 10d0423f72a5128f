//! Why a call failed: what the counters, the log and the dead letter say.

use rhai::{EvalAltResult, Position};

/// The kinds of failure; each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FailureReason {
    /// The script went wrong: a type, a missing function, a `throw`, a payload that is not what it was taken for.
    Error,
    /// More operations than the limit.
    Operations,
    /// More time than the limit.
    Time,
    /// More functions in each other than the limit.
    Depth,
    /// A value, or the variables together, are larger than the limit.
    Size,
    /// More outputs than the limit.
    FanOut,
    /// The message has gone through too many rules.
    Hops,
    /// A function of the program panicked.
    Panic,
    /// The function's result is no verdict.
    Result,
    /// The rule's state is full.
    State,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Error,
        Self::Operations,
        Self::Time,
        Self::Depth,
        Self::Size,
        Self::FanOut,
        Self::Hops,
        Self::Panic,
        Self::Result,
        Self::State,
    ];

    /// The name that counters have.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Operations => "operations",
            Self::Time => "time",
            Self::Depth => "depth",
            Self::Size => "size",
            Self::FanOut => "fan_out",
            Self::Hops => "hops",
            Self::Panic => "panic",
            Self::Result => "result",
            Self::State => "state",
        }
    }

    /// Whether the call was cut off at a limit on what it may use up; a rule that keeps doing so rests.
    #[must_use]
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::Operations | Self::Time | Self::Depth | Self::Size | Self::FanOut)
    }
}

impl FailureReason {
    /// What is said of a call that had to end.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Time => "the call takes more time than allowed",
            _ => "the call takes more operations than allowed",
        }
    }

    /// Ends a call; no script can catch it.
    pub(crate) fn terminate(self) -> Box<EvalAltResult> {
        EvalAltResult::ErrorTerminated(rhai::Dynamic::from(self), Position::NONE).into()
    }
}

impl std::fmt::Display for FailureReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes of a sentence that says what went wrong: it may have a script's text in it, and goes to the log.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A call that failed. Nothing of it counts: no output, no change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub reason: FailureReason,
    /// The line in the rule's file, from 1; 0 when it is not known.
    pub line: usize,
    /// The column in that line, from 1; 0 when it is not known.
    pub column: usize,
    /// What went wrong, in a sentence.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(reason: FailureReason, at: Position, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Self { reason, line: at.line().unwrap_or(0), column: at.position().unwrap_or(0), message }
    }

    /// Of an error of Rhai's. A script function in another wraps it; what counts is where it arose.
    pub(crate) fn of(error: &EvalAltResult) -> Self {
        let mut at = error.position();
        let mut inner = error;
        while let EvalAltResult::ErrorInFunctionCall(_, _, next, _) | EvalAltResult::ErrorInModule(_, next, _) = inner {
            inner = next;
            if !inner.position().is_none() {
                at = inner.position();
            }
        }
        let (reason, message) = described(inner);
        Self::new(reason, at, message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: {}", self.reason, self.message),
            (line, column) => write!(f, "{line}:{column}: {}: {}", self.reason, self.message),
        }
    }
}

/// An error that a native function raises with a reason of its own. Scripts can catch it; the call fails nonetheless
/// where the function has also told the call.
#[derive(Debug, Clone)]
pub(crate) struct Fault(pub(crate) FailureReason, pub(crate) String);

impl Fault {
    pub(crate) fn raise(self) -> Box<EvalAltResult> {
        EvalAltResult::ErrorRuntime(rhai::Dynamic::from(self), Position::NONE).into()
    }
}

fn described(error: &EvalAltResult) -> (FailureReason, String) {
    use EvalAltResult as E;
    let without_place = || {
        let mut copy = plain(error);
        if let Some(place) = copy.rfind(" (line ") {
            copy.truncate(place);
        }
        copy
    };
    match error {
        E::ErrorTooManyOperations(..) => (FailureReason::Operations, FailureReason::Operations.told().into()),
        E::ErrorTerminated(token, ..) => match token.read_lock::<FailureReason>() {
            Some(reason) => (*reason, reason.told().into()),
            None => match token.read_lock::<Fault>() {
                Some(fault) => (fault.0, fault.1.clone()),
                None => (FailureReason::Error, without_place()),
            },
        },
        E::ErrorStackOverflow(..) => (FailureReason::Depth, "more functions are in each other than allowed".into()),
        E::ErrorDataTooLarge(what, ..) => (FailureReason::Size, format!("a value is larger than allowed: {what}")),
        E::ErrorTooManyVariables(..) => (FailureReason::Size, "there are more variables than allowed".into()),
        E::ErrorRuntime(value, ..) => match value.read_lock::<Fault>() {
            Some(fault) => (fault.0, fault.1.clone()),
            None => (FailureReason::Error, value.to_string()),
        },
        E::ErrorSystem(_, inner) => (FailureReason::Error, inner.to_string()),
        _ => (FailureReason::Error, without_place()),
    }
}

fn plain(error: &EvalAltResult) -> String {
    error.to_string()
}
