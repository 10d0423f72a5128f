//! Carries bytes between a session and its connection, and keeps that alive. No decisions about messages.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use primer_mqtt::{ReasonCode, Violation};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    failure::Failure,
    limits::{FAREWELL_PATIENCE, READ_BYTES, RECONNECT_DELAY},
    link::{self, Link, reason, tls},
    options::Options,
    printer,
    session::{Event, Session},
};

/// A client with its connection.
pub(crate) struct Client<'a> {
    options: &'a Options,
    tls: Option<tls::Config>,
    session: Session<'a>,
    link: Option<Link>,
    buffer: Vec<u8>,
    /// How much of the session's output is written.
    written: usize,
    is_flushed: bool,
    heard: Instant,
    sent: Instant,
    /// The broker was asked for a sign of life.
    is_asked: bool,
    /// When the next connection is tried.
    retry_at: Instant,
}

/// What [`Client::next`] gives.
#[derive(Debug)]
pub(crate) enum Happening {
    Event(Event),
    /// The connection is lost. The next call waits a second and opens another.
    Lost(String),
}

/// One step of the connection.
enum Moved {
    /// So many bytes are in the buffer.
    Read(usize),
    Wrote,
}

impl<'a> Client<'a> {
    /// Opens the first connection.
    ///
    /// # Errors
    /// There is none, or a file of TLS is not what it should be.
    pub(crate) async fn open(options: &'a Options) -> Result<Self, Failure> {
        let tls = tls::config(&options.server)?;
        let link = link::open(&options.server, tls.as_ref()).await?;
        let mut session = Session::new(options);
        session.begin()?;
        let now = Instant::now();
        Ok(Self {
            options,
            tls,
            session,
            link: Some(link),
            buffer: vec![0; READ_BYTES],
            written: 0,
            is_flushed: true,
            heard: now,
            sent: now,
            is_asked: false,
            retry_at: now,
        })
    }

    /// What is to be sent, and what has come.
    pub(crate) fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    /// Bytes that are not written.
    pub(crate) fn unsent(&mut self) -> usize {
        self.session.output().len() - self.written
    }

    /// The next thing that happens. May be given up and called again: nothing is lost by it.
    ///
    /// # Errors
    /// The broker broke the protocol.
    pub(crate) async fn next(&mut self) -> Result<Happening, Failure> {
        loop {
            let event = self.session.next_event();
            printer::print_lines(&self.session.take_trace());
            match event {
                Ok(Some(event)) => return Ok(Happening::Event(event)),
                Ok(None) => {}
                Err(violation) => return Err(self.broken(violation)),
            }
            if self.link.is_none() {
                self.reopen().await?;
                continue;
            }
            let deadline = self.deadline();
            tokio::select! {
                moved = self.step() => match moved {
                    Ok(Moved::Read(len)) => {
                        self.heard = Instant::now();
                        self.is_asked = false;
                        self.session.received(self.buffer.get(..len).unwrap_or_default());
                    }
                    Ok(Moved::Wrote) => self.sent = Instant::now(),
                    Err(error) => {
                        let why = self.why_lost(&error);
                        return Ok(self.lose(why));
                    }
                },
                () = wait(deadline) => {
                    if self.is_asked || !self.session.is_connected() {
                        return Ok(self.lose("the broker does not answer any more".to_owned()));
                    }
                    self.session.ping();
                    self.is_asked = true;
                    (self.heard, self.sent) = (Instant::now(), Instant::now());
                }
            }
        }
    }

    /// Says goodbye, and waits until the broker has it. Without a patience all that is to be sent is sent, however long
    /// that takes.
    ///
    /// # Errors
    /// Without a patience: the connection was lost before all was sent.
    pub(crate) async fn goodbye(mut self, reason: ReasonCode, patience: Option<Duration>) -> Result<(), Failure> {
        if self.link.is_none() {
            return Ok(());
        }
        self.session.disconnect(reason)?;
        printer::print_lines(&self.session.take_trace());
        let place = self.options.server.place();
        let sending = async {
            while self.unsent() > 0 || !self.is_flushed {
                self.step().await?; // what comes now is not looked at
            }
            io::Result::Ok(())
        };
        match patience {
            Some(patience) => {
                // It was asked to end, and the broker had its time.
                let _ = timeout(patience, sending).await;
            }
            None => {
                sending.await.map_err(|error| Failure::Lost { place, why: link::reason(&error) })?;
            }
        }
        // A connection that is closed while there is something to read is reset, and the broker may lose what it has
        // not read; so its end is waited for.
        let ending = async {
            if let Some(link) = &mut self.link
                && link.shutdown().await.is_err()
            {
                return;
            }
            while self.step().await.is_ok() {}
        };
        let _ = timeout(FAREWELL_PATIENCE, ending).await;
        Ok(())
    }

    /// Writes and reads what can be, once.
    async fn step(&mut self) -> io::Result<Moved> {
        poll_fn(|context| self.poll_step(context)).await
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Moved>> {
        let Some(link) = &mut self.link else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        let output = self.session.output();
        if let Some(unsent) = output.get(self.written..).filter(|unsent| !unsent.is_empty()) {
            match Pin::new(&mut *link).poll_write(context, unsent) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    self.is_flushed = false;
                    if self.written >= output.len() / 2 {
                        output.drain(..self.written);
                        self.written = 0;
                    }
                    return Poll::Ready(Ok(Moved::Wrote));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if !self.is_flushed {
            match Pin::new(&mut *link).poll_flush(context) {
                Poll::Ready(Ok(())) => {
                    self.is_flushed = true;
                    return Poll::Ready(Ok(Moved::Wrote));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        let mut buf = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut *link).poll_read(context, &mut buf) {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                let why = "the broker closed the connection";
                Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, why)))
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Moved::Read(buf.filled().len()))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn lose(&mut self, why: String) -> Happening {
        self.link = None;
        self.retry_at = Instant::now() + RECONNECT_DELAY;
        Happening::Lost(why)
    }

    async fn reopen(&mut self) -> Result<(), Failure> {
        sleep_until(self.retry_at).await;
        let Ok(link) = link::open(&self.options.server, self.tls.as_ref()).await else {
            self.retry_at = Instant::now() + RECONNECT_DELAY;
            return Ok(());
        };
        self.session.begin()?;
        (self.link, self.written, self.is_flushed, self.is_asked) = (Some(link), 0, true, false);
        (self.heard, self.sent) = (Instant::now(), Instant::now());
        Ok(())
    }

    /// When the broker is asked for a sign of life, or has not given it.
    fn deadline(&self) -> Option<Instant> {
        let seconds = self.options.keep_alive;
        (seconds > 0).then(|| self.heard.min(self.sent) + Duration::from_secs(seconds.into()))
    }

    /// OpenSSL closes a port of TLS without an alert, when what comes is no TLS.
    fn why_lost(&self, error: &io::Error) -> String {
        let is_closed = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
        let hint = match is_closed && self.tls.is_none() && !self.session.is_connected() {
            true => " before it answered (is this a TLS port? --cafile, or --tls-use-os-certs)",
            false => "",
        };
        format!("{}{hint}", reason(error))
    }

    fn broken(&self, violation: Violation) -> Failure {
        let place = self.options.server.place();
        if self.tls.is_none() && self.session.is_answered_by_tls() {
            return Failure::TlsPort { place };
        }
        Failure::Protocol { place, violation }
    }
}

async fn wait(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
