//! What scripts do with messages: outputs and verdicts.

use std::time::Duration;

use primer_core::queue::name;
use rhai::{Dynamic, EvalAltResult, ImmutableString, Map, plugin::*};

use super::message::{bytes_of, checked_topic, cut, payload_of, priority_of, qos_of, ttl_of};
use crate::{
    call::with_call,
    duration::{self, shown},
    message::{Content, Msg, Stage},
    output::{Target, Verdict},
};

type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// A verdict as scripts have it.
#[derive(Debug, Clone)]
pub(crate) struct Outcome(pub(crate) Verdict);

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Verdict::Ok => f.write_str("ok"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Retry(delay) => write!(f, "retry({})", delay.as_millis()),
            Verdict::DeadLetter(reason) => write!(f, "dead_letter({reason:?})"),
            Verdict::Refuse(code, reason) => write!(f, "refuse({reason:?}, {code:#04x})"),
        }
    }
}

/// The reason codes that a PUBACK may refuse with, and what is said of them.
const REFUSALS: [u8; 6] = [0x80, 0x83, 0x87, 0x90, 0x97, 0x99];
/// What a refusal says unless the script chooses: implementation specific error.
const REFUSAL_DEFAULT: u8 = 0x83;
/// How long `retry()` waits.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 512;

/// The message that goes out: as it was given, or a new one like that of the call.
fn message_of(ctx: &NativeCallContext<'_>, topic: Option<&ImmutableString>, value: &Dynamic) -> Fallible<Msg> {
    if let Some(message) = value.read_lock::<Msg>() {
        let mut message = message.clone();
        if let Some(topic) = topic
            && message.content().topic != *topic
        {
            message.content_mut().topic = topic.clone();
        }
        return Ok(message);
    }
    let payload = payload_of(value)?;
    let topic = topic.cloned().unwrap_or_default();
    with_call(ctx, |call| {
        Msg::new(Content { topic, payload, qos: 1, origin: call.origin.clone(), ..Content::default() })
    })
}

/// Where a publish to this topic goes.
fn target_of(topic: &ImmutableString) -> Fallible<Target> {
    checked_topic(topic)?;
    if let Some(queue) = topic.strip_prefix("$queue/") {
        checked_queue(queue)?;
        return Ok(Target::Queue(queue.into()));
    }
    Ok(Target::Topic)
}

fn checked_queue(queue: &str) -> Fallible<()> {
    name::check(queue).map_err(|error| format!("the queue {:?}: {error}", cut(queue)).into())
}

fn put_publish(ctx: &NativeCallContext<'_>, message: Msg) -> Fallible<()> {
    let target = target_of(&message.content().topic)?;
    with_call(ctx, |call| call.output(target, message, ctx.call_position()).map(|_| ()))?
}

fn put_enqueue(ctx: &NativeCallContext<'_>, queue: &str, message: Msg, delay: Option<Duration>) -> Fallible<()> {
    checked_queue(queue)?;
    with_call(ctx, |call| {
        call.output(Target::Queue(queue.into()), message, ctx.call_position())?.delay = delay;
        Ok(())
    })?
}

/// A message for a queue. What is no message goes in under the topic of the call's message.
fn queue_message(ctx: &NativeCallContext<'_>, queue: &str, value: &Dynamic) -> Fallible<Msg> {
    let mut message = message_of(ctx, None, value)?;
    if message.content().topic.is_empty() {
        message.content_mut().topic = format!("$queue/{queue}").into();
    }
    Ok(message)
}

fn unknown_option(name: &str, allowed: &str) -> Box<EvalAltResult> {
    format!("there is no option {:?}: {allowed} are allowed", cut(name)).into()
}

fn only_at(ctx: &NativeCallContext<'_>, stage: Stage, outcome: Verdict) -> Fallible<Outcome> {
    if with_call(ctx, |call| call.stage)? == stage {
        return Ok(Outcome(outcome));
    }
    let (is, other) = match stage {
        Stage::Group => ("group", "ingress"),
        Stage::Ingress => ("ingress", "group"),
    };
    Err(format!("{} is for rules of stage \"{is}\", and this rule is of stage \"{other}\"", ctx.fn_name()).into())
}

fn short(reason: &str) -> String {
    reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

#[export_module]
#[expect(unreachable_pub, reason = "the macro exports what is pub")]
pub(crate) mod output_functions {
    use super::*;

    /// Publishes a message to its topic. The topic `$queue/NAME` puts it into that queue.
    #[rhai_fn(name = "publish", return_raw)]
    pub fn publish_message(ctx: NativeCallContext, message: Msg) -> Fallible<()> {
        put_publish(&ctx, message)
    }

    /// Publishes a payload (QoS 1, not retained), or a message under another topic.
    #[rhai_fn(name = "publish", return_raw)]
    pub fn publish_payload(ctx: NativeCallContext, topic: ImmutableString, payload: Dynamic) -> Fallible<()> {
        let message = message_of(&ctx, Some(&topic), &payload)?;
        put_publish(&ctx, message)
    }

    /// The same with options: `#{qos: 0, retain: true, ttl: "5m", headers: #{...}, content_type: "..."}`.
    #[rhai_fn(name = "publish", return_raw)]
    pub fn publish_with(
        ctx: NativeCallContext,
        topic: ImmutableString,
        payload: Dynamic,
        options: Map,
    ) -> Fallible<()> {
        let mut message = message_of(&ctx, Some(&topic), &payload)?;
        for (name, value) in &options {
            match name.as_str() {
                "qos" => message.content_mut().qos = qos_of(value)?,
                "retain" => {
                    let is =
                        value.as_bool().map_err(|_| format!("retain is true or false, and not {}", shown(value)))?;
                    message.content_mut().retain = is;
                }
                "ttl" => message.content_mut().ttl = ttl_of(value)?,
                "headers" => {
                    let map = value.read_lock::<Map>().ok_or("headers are a map")?.clone();
                    crate::natives::properties::property_functions::set_headers(&mut message, map)?;
                }
                "content_type" => {
                    let set = crate::natives::properties::property_functions::set_content_type;
                    set(&mut message, value.clone())?;
                }
                _ => return Err(unknown_option(name, "qos, retain, ttl, headers, content_type")),
            }
        }
        put_publish(&ctx, message)
    }

    /// Puts a message or a payload into a queue. A payload has the topic `$queue/NAME` there.
    #[rhai_fn(name = "enqueue", return_raw)]
    pub fn enqueue_value(ctx: NativeCallContext, queue: ImmutableString, message: Dynamic) -> Fallible<()> {
        let message = queue_message(&ctx, &queue, &message)?;
        put_enqueue(&ctx, &queue, message, None)
    }

    /// The same with options: `#{delay: "5s", ttl: "1h", priority: 7, key: "pump-3", id: "order-17"}`, each in place of
    /// the message's.
    #[rhai_fn(name = "enqueue", return_raw)]
    pub fn enqueue_with(
        ctx: NativeCallContext,
        queue: ImmutableString,
        message: Dynamic,
        options: Map,
    ) -> Fallible<()> {
        let mut message = queue_message(&ctx, &queue, &message)?;
        let mut delay = None;
        for (name, value) in &options {
            match name.as_str() {
                "delay" => delay = Some(duration::of(value)?),
                "ttl" => message.content_mut().ttl = ttl_of(value)?,
                "priority" => message.content_mut().priority = priority_of(value)?,
                "key" => message.content_mut().key = bytes_of("a key", value)?,
                "id" => message.content_mut().id = bytes_of("an identifier", value)?,
                _ => return Err(unknown_option(name, "delay, ttl, priority, key, id")),
            }
        }
        put_enqueue(&ctx, &queue, message, delay)
    }

    /// Appends to a log. Logs do not exist yet: this is an error.
    #[rhai_fn(return_raw)]
    pub fn append(log: ImmutableString, message: Dynamic) -> Fallible<()> {
        let _ = message;
        Err(format!("logs do not exist yet, and so not {:?}: use enqueue", cut(&log)).into())
    }
}

#[export_module]
#[expect(unreachable_pub, clippy::unwrap_used, reason = "the macro exports what is pub, and takes what it checked")]
pub(crate) mod verdict_functions {
    use super::*;

    /// The message comes again after a second; stage `group`.
    #[rhai_fn(name = "retry", return_raw)]
    pub fn retry_soon(ctx: NativeCallContext) -> Fallible<Outcome> {
        only_at(&ctx, Stage::Group, Verdict::Retry(RETRY_DEFAULT))
    }

    /// The message comes again after this time; stage `group`.
    #[rhai_fn(name = "retry", return_raw)]
    pub fn retry_after(ctx: NativeCallContext, delay: Dynamic) -> Fallible<Outcome> {
        only_at(&ctx, Stage::Group, Verdict::Retry(duration::of(&delay)?))
    }

    /// The message goes to the dead letters of its queue, with the reason in its header `primer-reason`; stage `group`.
    #[rhai_fn(return_raw)]
    pub fn dead_letter(ctx: NativeCallContext, reason: ImmutableString) -> Fallible<Outcome> {
        only_at(&ctx, Stage::Group, Verdict::DeadLetter(short(&reason)))
    }

    /// The publisher is told that the message is not taken, with reason code 0x83; stage `ingress`. MQTT 3.1.1 has no
    /// such answer: its clients are disconnected.
    #[rhai_fn(name = "refuse", return_raw)]
    pub fn refuse(ctx: NativeCallContext, reason: ImmutableString) -> Fallible<Outcome> {
        only_at(&ctx, Stage::Ingress, Verdict::Refuse(REFUSAL_DEFAULT, short(&reason)))
    }

    /// The same with a reason code: 0x80 (unspecified), 0x83 (implementation specific), 0x87 (not authorized), 0x90
    /// (topic name), 0x97 (quota), 0x99 (payload format).
    #[rhai_fn(name = "refuse", return_raw)]
    pub fn refuse_with(ctx: NativeCallContext, reason: ImmutableString, code: i64) -> Fallible<Outcome> {
        match u8::try_from(code).ok().filter(|code| REFUSALS.contains(code)) {
            Some(code) => only_at(&ctx, Stage::Ingress, Verdict::Refuse(code, short(&reason))),
            None => {
                Err(format!("{code:#04x} is not a reason to refuse with: 0x80, 0x83, 0x87, 0x90, 0x97, 0x99 are")
                    .into())
            }
        }
    }

    /// Whether two verdicts are the same.
    #[rhai_fn(name = "==", pure)]
    pub fn is_same(one: &mut Outcome, other: Outcome) -> bool {
        one.0 == other.0
    }

    /// The verdict in words, for `print`.
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown_verdict(outcome: &mut Outcome) -> String {
        outcome.to_string()
    }
}
