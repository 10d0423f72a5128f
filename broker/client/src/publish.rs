//! `primer pub`.

use std::future::pending;

use primer_mqtt::ReasonCode;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until},
};

use crate::{
    client::{Client, Happening},
    complain,
    failure::{Failure, refused},
    limits::UNSENT_BYTES_MAX,
    options::Options,
    session::Event,
    source,
};

/// The lines of standard input.
type Lines = Receiver<Result<Vec<u8>, String>>;

/// Publishes, and gives the exit code.
///
/// # Errors
/// It was not published, or that is not known.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let Some(source) = &options.source else { return Ok(1) };
    match source::load(source)? {
        Some(payload) => publish_one(options, &payload).await,
        None => publish_lines(options).await,
    }
}

/// One message, as often as it is wanted; each when the last is done.
async fn publish_one(options: &Options, payload: &[u8]) -> Result<u8, Failure> {
    let topic = options.topics.first().map_or("", String::as_str);
    let mut client = Client::open(options).await?;
    let mut count = 0;
    let mut next_at = None;
    loop {
        tokio::select! {
            happening = client.next() => match happening? {
                Happening::Lost(why) => return Err(Failure::Lost { place: options.server.place(), why }),
                Happening::Event(Event::Connected) => {
                    client.session().publish(topic, payload.to_vec(), options.retain)?;
                }
                Happening::Event(event @ Event::Published { .. }) => {
                    warn(options, &event);
                    count += 1;
                    if count == options.repeat {
                        break;
                    }
                    next_at = Some(Instant::now() + options.repeat_delay);
                }
                Happening::Event(event) => stop_for(options, event)?,
            },
            () = until(next_at) => {
                next_at = None;
                client.session().publish(topic, payload.to_vec(), options.retain)?;
            }
        }
    }
    client.goodbye(ReasonCode::SUCCESS, None).await?;
    Ok(0)
}

/// Each line as a message. A lost connection is opened again, and what was not acknowledged is sent again.
async fn publish_lines(options: &Options) -> Result<u8, Failure> {
    let topic = options.topics.first().map_or("", String::as_str);
    let mut client = Client::open(options).await?;
    let mut lines = source::lines();
    let mut has_ended = false;
    while !(has_ended && client.session().is_connected() && client.session().underway() == 0) {
        let wants_line = !has_ended
            && client.session().is_connected()
            && !client.session().is_window_full()
            && client.unsent() < UNSENT_BYTES_MAX;
        tokio::select! {
            happening = client.next() => match happening? {
                Happening::Lost(why) => complain_of_loss(options, &why),
                Happening::Event(Event::Connected) => {}
                Happening::Event(event @ Event::Published { .. }) => warn(options, &event),
                Happening::Event(event) => stop_for(options, event)?,
            },
            line = next_line(&mut lines, wants_line) => match line {
                Some(Ok(line)) => {
                    client.session().publish(topic, line, options.retain)?;
                }
                Some(Err(why)) => return Err(Failure::Stdin(why)),
                None => has_ended = true,
            },
        }
    }
    client.goodbye(ReasonCode::SUCCESS, None).await?;
    Ok(0)
}

async fn next_line(lines: &mut Lines, is_wanted: bool) -> Option<Result<Vec<u8>, String>> {
    if is_wanted { lines.recv().await } else { pending().await }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// A publish that the broker has refused is said, and is no failure of the run.
pub(crate) fn warn(options: &Options, event: &Event) {
    let Event::Published { mid, reason, why } = event else { return };
    if reason.is_error() {
        let why = why.as_ref().map(|why| format!("\n{why}")).unwrap_or_default();
        complain(options, &format!("Warning: Publish {mid} failed: {}.{why}", reason.name()));
    }
}

/// What the three programs say when a connection is opened again.
pub(crate) fn complain_of_loss(options: &Options, why: &str) {
    complain(options, &format!("The connection to {} was lost: {why}. Connecting again.", options.server.place()));
}

/// Ends the run for what the broker refuses; all else is passed over.
///
/// # Errors
/// The broker refused the connection, or has ended it.
pub(crate) fn stop_for(options: &Options, event: Event) -> Result<(), Failure> {
    match event {
        Event::Refused { code, why } => Err(refused(options, code, why.as_deref())),
        Event::Ended { reason, why } => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            Err(Failure::Ended { place: options.server.place(), says: format!("{}{why}", reason.name()) })
        }
        _ => Ok(()),
    }
}
