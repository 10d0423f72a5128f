//! `primer sub`.

use std::future::pending;

use primer_core::topic::matches;
use primer_mqtt::ReasonCode;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    client::{Client, Happening},
    complain,
    failure::{Failure, TIMED_OUT},
    limits::FAREWELL_PATIENCE,
    options::Options,
    printer::{Gone, Printer, print_lines},
    publish::{complain_of_loss, stop_for, warn},
    session::{Event, Message},
};

/// What becomes of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Goes,
    /// It ends when what it published is done.
    Ends,
}

/// Subscribes and prints until something ends it, and gives the exit code.
///
/// # Errors
/// There is no connection, or none that is of use.
pub(crate) async fn run(options: &Options) -> Result<u8, Failure> {
    let mut client = Client::open(options).await?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut subscriber = Subscriber::new(options);
    let end = options.timeout.map(|timeout| Instant::now() + timeout);
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    second.tick().await;
    let (code, reason) = loop {
        if subscriber.then == Then::Ends && client.session().underway() == 0 {
            break (0, ReasonCode::SUCCESS);
        }
        tokio::select! {
            happening = client.next() => match happening? {
                Happening::Lost(why) => complain_of_loss(options, &why),
                Happening::Event(event) => subscriber.handle(&mut client, event)?,
            },
            () = asked_to_end(&mut interrupt, &mut terminate) => break (0, ReasonCode::DISCONNECT_WITH_WILL),
            () = until(end) => {
                complain(options, "Timed out");
                break (TIMED_OUT, ReasonCode::DISCONNECT_WITH_WILL);
            }
            _ = second.tick(), if options.message_rate => {
                if subscriber.printer.print_rate().is_err() {
                    subscriber.then = Then::Ends;
                }
            }
        }
    };
    client.goodbye(reason, Some(FAREWELL_PATIENCE)).await?;
    Ok(code)
}

/// What a subscriber knows between events.
struct Subscriber<'a> {
    options: &'a Options,
    printer: Printer<'a>,
    then: Then,
    printed: u32,
    /// UNSUBACKs that are awaited.
    unsubscribing: usize,
}

impl<'a> Subscriber<'a> {
    fn new(options: &'a Options) -> Self {
        Self { options, printer: Printer::new(options), then: Then::Goes, printed: 0, unsubscribing: 0 }
    }

    fn handle(&mut self, client: &mut Client<'_>, event: Event) -> Result<(), Failure> {
        let options = self.options;
        match event {
            Event::Connected => {
                if !options.topics.is_empty() {
                    client.session().subscribe(&options.topics)?;
                }
                for filter in &options.unsubscribe {
                    client.session().unsubscribe(filter)?;
                }
                self.unsubscribing = options.unsubscribe.len();
            }
            Event::Subscribed { mid, codes } => self.handle_suback(mid, &codes),
            Event::Unsubscribed => {
                self.unsubscribing = self.unsubscribing.saturating_sub(1);
                if self.unsubscribing == 0 && options.topics.is_empty() {
                    self.then = Then::Ends;
                }
            }
            Event::Message(message) => self.handle_message(client, &message)?,
            Event::Published { .. } => warn(options, &event),
            // Whoever has taken the session over would lose it to the next connection, and so on.
            Event::Ended { reason: ReasonCode::SESSION_TAKEN_OVER, .. } | Event::Refused { .. } => {
                stop_for(options, event)?;
            }
            // The end of the connection follows, and the next connection.
            Event::Ended { reason, why } => {
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                complain(options, &format!("{} ends the connection: {}{why}", options.server.place(), reason.name()));
            }
        }
        Ok(())
    }

    fn handle_suback(&mut self, mid: u16, codes: &[u8]) {
        if self.options.debug && !self.options.quiet {
            let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
            print_lines(&[format!("Subscribed (mid: {mid}): {}", codes.join(", "))]);
        }
        for (filter, code) in self.options.topics.iter().zip(codes).filter(|(_, code)| **code >= 0x80) {
            let name = match self.options.version.is_v5() {
                true => format!(": {}", ReasonCode(*code).name()),
                false => String::new(),
            };
            let why = format!("Warning: the subscription to {filter:?} was refused (0x{code:02x}{name}).");
            complain(self.options, &why);
        }
        if codes.iter().all(|code| *code >= 0x80) {
            complain(self.options, "All subscription requests were denied.");
            self.then = Then::Ends;
        }
        if self.options.exit_after_sub {
            self.then = Then::Ends;
        }
    }

    /// After the last message of `-C` nothing is acknowledged: a session that is kept has it still.
    fn handle_message(&mut self, client: &mut Client<'_>, message: &Message) -> Result<(), Failure> {
        let options = self.options;
        if self.then == Then::Ends {
            return Ok(());
        }
        if options.retained_only && !message.retain {
            self.then = Then::Ends;
            return Ok(());
        }
        let is_hidden = message.retain && options.no_retained
            || options.filter_out.iter().any(|filter| matches(filter, &message.topic));
        if !is_hidden {
            if options.remove_retained && message.retain {
                client.session().publish(&message.topic, Vec::new(), true)?;
            }
            match self.printer.print(message) {
                Ok(()) => {}
                Err(Gone::Unread) => {
                    self.then = Then::Ends;
                    return Ok(());
                }
                Err(Gone::Failed(error)) => return Err(Failure::Output(error)),
            }
            self.printed = self.printed.saturating_add(1);
            if options.count == Some(self.printed) {
                self.then = Then::Ends;
            }
        }
        client.session().acknowledge(message);
        Ok(())
    }
}

pub(crate) async fn asked_to_end(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

pub(crate) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}
