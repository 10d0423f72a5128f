//! The broker as a program embeds it: start, addresses, streams of the program's own, stop.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use primer::{
    Along, Face, FoundQueues, Journal, Node, QueueError, Sent,
    journal::{Folder, FolderError, OpenError, Probe, Report},
};
use primer_core::{commit::Refused, message::Message};
use primer_mqtt::ReasonCode;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    access::{Authenticator, Decider},
    batch::{Batch, Publication},
    housekeeper,
    hub::Hub,
    ingress,
    listener::{self, Door, Listening, Origin},
    moving,
    options::{DataOptions, Options},
    pipeline, registry,
    restore::Found,
    transport::TlsError,
};

/// Why a broker did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A listener cannot listen.
    #[error("listener {listener}: cannot listen on {place}{}", hint(source))]
    Bind {
        /// Its name.
        listener: String,
        /// Where.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// What a listener's TLS needs cannot be used.
    #[error("listener {listener}")]
    Tls {
        /// Its name.
        listener: String,
        /// Which file, and why.
        source: TlsError,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store in the data directory does not open.
    #[error("cannot open the data directory {}", directory.display())]
    Store {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A queue that was defined cannot be.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for client identifiers and authentication")]
    Random,
}

/// What to do about it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ", where another program listens (`ss -tlnp` names it): stop that, or take another port"
        }
        io::ErrorKind::AddrNotAvailable => ", which is no address of this machine (`ip address` lists them)",
        io::ErrorKind::PermissionDenied => ": ports below 1024, and folders of others, are not for everybody",
        _ => "",
    }
}

/// Where clients come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The listener's name.
    pub name: String,
    /// Its address and port, or its path.
    pub place: String,
    /// What MQTT is carried over: nothing, `TLS`, `WebSocket` or `secure WebSocket`.
    pub over: &'static str,
}

/// A running broker. Dropping it does not stop it: call [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Broker {
    hub: Arc<Hub>,
    addresses: Vec<SocketAddr>,
    entrances: Vec<Entrance>,
    doors: Vec<Arc<Door>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker on the caller's tokio runtime.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn start(
        options: Options,
        authenticator: impl Authenticator,
        decider: impl Decider,
    ) -> Result<Self, StartError> {
        Self::start_with(options, authenticator, decider, |_| {})
    }

    /// The same; `prepare` gets the node when what it keeps is there, and before anybody can connect: what stands
    /// before the routing, and who takes commands, come from there.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub fn start_with(
        options: Options,
        authenticator: impl Authenticator,
        decider: impl Decider,
        prepare: impl FnOnce(&Node),
    ) -> Result<Self, StartError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| StartError::Random)?;
        let hub = Arc::new(Hub::new(options, Arc::new(authenticator), Box::new(decider), secret));
        hub.set_me(Arc::downgrade(&hub));
        for (pattern, definition) in &hub.options.queues {
            hub.node.queues.define(pattern, definition.clone())?;
        }
        open_journal(&hub)?;
        hub.node.queues.run()?;
        hub.node.queues.set_face(Arc::new(Programs(Arc::downgrade(&hub))));
        prepare(&hub.node.queues);
        let listeners = open_listeners(&hub)?;
        let mut tasks = vec![tokio::spawn(housekeeper::supervise(Arc::clone(&hub)))];
        let (mut addresses, mut entrances) = (Vec::new(), Vec::new());
        let doors: Vec<Arc<Door>> = listeners.iter().map(|(_, door)| Arc::clone(door)).collect();
        tasks.push(tokio::spawn(listener::watch_certificates(doors.clone())));
        for (listening, door) in listeners {
            addresses.extend(listening.address());
            entrances.push(Entrance { name: door.name().to_owned(), place: listening.place(), over: door.over() });
            tasks.push(tokio::spawn(listener::run(Arc::clone(&hub), listening, door)));
        }
        Ok(Self { hub, addresses, entrances, doors, tasks })
    }

    /// What opening the store found; `None` for a broker in memory.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.hub.report()
    }

    /// The node: its queues, and topics, for the program that the broker is part of. What is published there reaches
    /// MQTT subscribers, and what they publish reaches its subscribers.
    #[must_use]
    pub fn node(&self) -> Node {
        self.hub.node.queues.clone()
    }

    /// Where clients come in.
    #[must_use]
    pub fn entrances(&self) -> &[Entrance] {
        &self.entrances
    }

    /// Reads the certificates, keys and lists of all listeners anew, as it happens by itself a few seconds after they
    /// have changed. Clients that are connected stay. Answers by listener whether anything has changed; where a file is
    /// at fault, what was served before is served on. It reads files, so it blocks as long as the disk does.
    pub fn reload_certificates(&self) -> Vec<(String, Result<bool, TlsError>)> {
        let with_tls = self.doors.iter().filter_map(|door| Some((door, door.tls()?)));
        with_tls.map(|(door, tls)| (door.name().to_owned(), tls.reload())).collect()
    }

    /// The addresses that the broker listens on, with the ports that the system chose where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves a byte stream that the host program brings: a client in the same process (`tokio::io::duplex`), or a
    /// transport that the broker has no listener for. It is served like an accepted socket, on a task of its own, from
    /// its CONNECT to its end: above [`Options::connections_max`] it is dropped unread, and
    /// [`Options::connect_timeout`], the counters and [`shutdown`](Self::shutdown) take it in. Only
    /// [`Options::connection_rate_max`] does not: how fast streams come is up to the host.
    ///
    /// `peer` is where the client comes from, for the log, the authenticator and the decider; a host with no better
    /// word takes the unspecified address and port 0.
    ///
    /// The broker flushes the stream when all that waits has been written.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve_stream<S>(&self, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let door = Arc::clone(&self.hub.program_door);
        listener::admit(&self.hub, stream, Origin::new(peer, door));
    }

    /// Who may connect or what clients may do has changed. Has the authenticator asked about all who are connected, and
    /// disconnects who may not stay; and the decider about every subscription. What may not be read any more is not
    /// delivered any more, also where it waits already; consumers leave queues that are not theirs; wills that may not
    /// be published are given up. Of a session that nobody has connected to since the start, nobody is known to be
    /// asked about: that follows when its client connects.
    ///
    /// This looks at each session, which takes its time where there are a million: do not call it where nothing may
    /// block.
    pub fn access_changed(&self) {
        self.hub.note_access_change();
        for cell in self.hub.registry.all() {
            cell.lock().access_changed(&self.hub);
        }
    }

    /// Stops gracefully: no new connections, no new publishes. A client for whom nothing waits is told (0x8B) at once,
    /// the others when they have taken and acknowledged what waits for them, or when the time is up. Wills are
    /// published, as the connections end without a farewell of their clients. Takes at most `deadline` and a moment;
    /// answers how many connections had to be cut.
    pub async fn shutdown(self, deadline: Duration) -> u64 {
        const LAST_WORD: Duration = Duration::from_millis(300);
        self.hub.begin_stop();
        self.hub.timers_changed.notify_one();
        self.publish_wills(); // while those who want to know are still here
        self.close_all(Instant::now() + deadline).await;
        self.publish_wills(); // of clients that were closed just now; for queues and retained messages
        let cut = self.hub.connections.get();
        self.hub.begin_cut();
        self.close_all(Instant::now() + LAST_WORD).await;
        self.hub.node.queues.begin_stop();
        for task in self.tasks {
            task.abort();
        }
        let hub = self.hub;
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(journal) = hub.node.journal() {
                journal.store().close();
            }
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "the store was not closed");
        }
        cut
    }

    /// Asks every connection to end and waits until they have. Who connected just before the stop is asked a little
    /// later.
    async fn close_all(&self, end: Instant) {
        let mut ask_at = Instant::now();
        while self.hub.connections.get() > 0 && Instant::now() < end {
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + Duration::from_millis(200);
                for cell in self.hub.registry.all() {
                    let mut state = cell.lock();
                    if state.connected.is_some() {
                        state.close.get_or_insert(ReasonCode::SERVER_SHUTTING_DOWN);
                        if state.must_close(&self.hub).is_some() {
                            state.wake();
                        }
                    }
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Wills that still wait for their delay are due now if their sessions end with the process.
    fn publish_wills(&self) {
        let mut batch = Batch::begin(&self.hub);
        for cell in self.hub.registry.all() {
            if cell.lock().durable.is_some() {
                continue;
            }
            registry::publish_will(&self.hub, &mut batch, &cell, |_| true);
        }
        batch.finish(&self.hub);
    }
}

/// Reads the files of all listeners and binds them, or none.
fn open_listeners(hub: &Hub) -> Result<Vec<(Listening, Arc<Door>)>, StartError> {
    let mut listeners = Vec::new();
    let mut port = None;
    for options in &hub.options.listeners {
        let listener = || options.name.clone();
        let door = Door::new(options.clone()).map_err(|source| StartError::Tls { listener: listener(), source })?;
        let bound = listener::bind(&options.bind, port);
        let failed = |source| StartError::Bind { listener: listener(), place: options.bind.to_string(), source };
        let Some(listening) = bound.map_err(failed)? else { continue };
        port = listening.address().map(|address| address.port());
        listeners.push((listening, Arc::new(door)));
    }
    Ok(listeners)
}

/// Opens the store, if there is to be one, and puts back what it has.
fn open_journal(hub: &Arc<Hub>) -> Result<(), StartError> {
    let Some(DataOptions { directory, store, probe }) = &hub.options.data else { return Ok(()) };
    let folder = Folder::take(directory, probe.map(|probe| -> Probe { Box::new(probe) }))?;
    let clock = hub.node.clock;
    let (mut found, mut queues) = (Found::default(), FoundQueues::default());
    let opened = Journal::open(Arc::new(folder), store.clone(), clock, &mut |state, stored| {
        if !queues.take(&clock, state, &stored) {
            found.take(&clock, state, &stored);
        }
    });
    let failed = |source| StartError::Store { directory: directory.clone(), source };
    let (journal, state, report) = opened.map_err(failed)?;
    hub.node.keep_in(journal);
    hub.set_report(report);
    if let Some(journal) = hub.node.journal() {
        journal.store().on_alarm(moving::alarm(hub));
        hub.node.queues.restore(queues, &state); // sessions may consume from them
        found.restore(hub, journal, &state);
    }
    Ok(())
}

/// What the host program publishes goes to MQTT subscribers as well.
#[derive(Debug)]
struct Programs(Weak<Hub>);

impl Face for Programs {
    fn publish(&self, messages: &[(Message, Sent)], along: Option<&mut Along>) -> Result<(), Refused> {
        let Some(hub) = self.0.upgrade() else { return Err(Refused::Stopping) };
        let mut batch = Batch::begin(&hub);
        for (message, sent) in messages {
            let publication = Publication::of_message(message, ingress::qos_of(sent.qos), sent.retain, batch.now_ms);
            pipeline::publish_of_program(&hub, &mut batch, &publication);
        }
        if let Some(along) = along {
            batch.ride(&hub, along);
        }
        batch.finish(&hub);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
