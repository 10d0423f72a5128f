//! `primer rr`: subscribes to the response topic, publishes the request, prints the response.

use primer_mqtt::ReasonCode;
use tokio::time::Instant;

use crate::{
    client::{Client, Happening},
    complain,
    failure::{Failure, TIMED_OUT},
    limits::FAREWELL_PATIENCE,
    options::Options,
    printer::{Gone, Printer},
    publish::{stop_for, warn},
    session::{Event, Message},
    source,
    subscribe::until,
};

/// Does so, and gives the exit code.
///
/// # Errors
/// No request was sent, or the connection was lost before the response.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let (Some(source), Some(response_topic)) = (&options.source, &options.response_topic) else { return Ok(1) };
    let payload = source::load(source)?.unwrap_or_default();
    let topic = options.topics.first().map_or("", String::as_str);
    let mut client = Client::open(options).await?;
    let mut printer = Printer::new(options);
    let end = options.timeout.map(|timeout| Instant::now() + timeout);
    let (code, reason) = loop {
        tokio::select! {
            happening = client.next() => match happening? {
                Happening::Lost(why) => return Err(Failure::Lost { place: options.server.place(), why }),
                Happening::Event(Event::Connected) => {
                    client.session().subscribe(std::slice::from_ref(response_topic))?;
                }
                Happening::Event(Event::Subscribed { codes, .. }) => {
                    if let Some(code) = codes.first().filter(|code| **code >= 0x80) {
                        return Err(Failure::Denied(ReasonCode(*code).name().to_owned()));
                    }
                    client.session().publish(topic, payload.clone(), false)?;
                }
                Happening::Event(Event::Message(message)) => {
                    let is_it = is_response(options, &message);
                    if is_it && let Err(Gone::Failed(error)) = printer.print(&message) {
                        return Err(Failure::Output(error));
                    }
                    client.session().acknowledge(&message);
                    if is_it {
                        break (0, ReasonCode::SUCCESS);
                    }
                }
                Happening::Event(event @ Event::Published { .. }) => warn(options, &event),
                Happening::Event(event) => stop_for(options, event)?,
            },
            () = until(end) => {
                complain(options, "Timed out");
                break (TIMED_OUT, ReasonCode::DISCONNECT_WITH_WILL);
            }
        }
    };
    client.goodbye(reason, Some(FAREWELL_PATIENCE)).await?;
    Ok(code)
}

/// Whether a message answers this request: it has its correlation data, or none, since not all responders send it back.
fn is_response(options: &Options, message: &Message) -> bool {
    if message.retain && options.no_retained {
        return false;
    }
    let ours = options.publish_properties.as_properties();
    match message.properties.as_properties().correlation_data() {
        Some(theirs) if options.version.is_v5() => ours.correlation_data() == Some(theirs),
        _ => true,
    }
}
