//! From an accepted byte stream to an opened session: CONNECT, authentication, CONNACK.
//!
//! Plain sequential code under one time limit; the hot path begins after it, in `connection`.

use std::sync::Arc;

use primer_mqtt::{
    ReasonCode, Version, Violation,
    auth::scram::METHOD,
    codec::{self, Decoded, Role, Rules, packet::Packet},
    session::{Greeting, Terms, refuse_connect, write_auth},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    access::{Attempt, Authenticator, Identity, Standing},
    authentication::{Exchange, Reply},
    connection::finish::drain,
    hub::Hub,
    limits::{ASSIGNED_ID_BYTES, CONNECT_BYTES_MAX, LINGER},
    listener::Origin,
    password_turns::Turn,
    registry,
    session::Cell,
    transport,
    will::Will,
};

/// A connection that has its session.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) cell: Arc<Cell>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) terms: Terms,
    /// Bytes that came after CONNECT.
    pub(crate) rest: Vec<u8>,
}

/// Why there is no session. The client has been told as far as its protocol allows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the connection was lost: {0}")]
    Lost(#[from] std::io::Error),
    #[error("the client closed the connection before CONNECT was complete")]
    Closed,
    #[error("{0}")]
    Violation(Violation),
    #[error("{0}")]
    NotMqtt(&'static str),
    #[error("refused: {0}: {1}")]
    Refused(ReasonCode, &'static str),
}

/// What CONNECT said, free of the bytes it came in.
struct Request {
    terms: Terms,
    client_id: Arc<str>,
    username: Option<Arc<str>>,
    will: Option<Box<Will>>,
    /// Data of the enhanced authentication.
    data: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

/// Does all of it. The caller bounds the time.
pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    hub: &Hub,
    stream: &mut S,
    origin: &Origin,
) -> Result<Admitted, Refusal> {
    let mut buffer = Vec::with_capacity(512);
    let used = read_packet(stream, &mut buffer, None).await?;
    let mut request = match understand(hub, &buffer) {
        Ok(request) => request,
        Err(Answer { bytes, refusal }) => {
            hub.counters.refused_connects.add(1);
            say_last(stream, &bytes).await?;
            return Err(refusal);
        }
    };
    hub.counters.packets_received.add(1);
    buffer.drain(..used);
    if let Some(name) = &origin.certified {
        request.username = Some(Arc::clone(name));
    }
    let asked_at = hub.access_changes();
    let has_method = request.terms.authentication_method.is_some();
    let mut last_data = None;
    let mut standing = Standing::Proven;
    let turn = wait_for_turn(hub, &request, origin).await;
    if !has_method {
        let admitted = admit(hub, &mut request, origin).await;
        end_turn(turn, admitted.map(|_| ()), ReasonCode::BAD_USER_NAME_OR_PASSWORD);
        match admitted {
            Ok(admitted) => standing = admitted,
            Err(reason) => {
                return refuse(hub, stream, &request.terms, reason, "check the user name and the password").await;
            }
        }
    } else {
        match authenticate(hub, stream, &mut buffer, &request).await {
            Ok((username, data)) => {
                end_turn(turn, Ok(()), ReasonCode::NOT_AUTHORIZED);
                request.username = Some(username);
                last_data = Some(data);
            }
            Err(Refusal::Refused(reason, why)) => {
                end_turn(turn, Err(reason), ReasonCode::NOT_AUTHORIZED);
                return refuse(hub, stream, &request.terms, reason, why).await;
            }
            Err(other) => return Err(other), // an exchange that was broken off tells nothing of the password
        }
    }
    let identity = Arc::new(Identity {
        client_id: Arc::clone(&request.client_id),
        username: request.username.clone(),
        peer: origin.peer,
        standing,
        is_local: origin.is_local,
        is_certified: origin.certified.is_some() && !has_method,
        allow_anonymous: origin.door.allow_anonymous(),
    });
    if let Some(will) = &request.will
        && !will.is_allowed(hub, &identity)
    {
        return refuse(hub, stream, &request.terms, ReasonCode::NOT_AUTHORIZED, "the will's topic").await;
    }
    let opened = open(hub, &identity, &request, last_data.as_deref()).await;
    if let Ok(cell) = &opened
        && hub.access_changes() != asked_at
    {
        cell.lock().access_changed(hub); // who went over the sessions meanwhile may not have seen this one
    }
    match opened {
        Ok(cell) => Ok(Admitted { cell, identity, terms: request.terms, rest: buffer }),
        Err(reason) => refuse(hub, stream, &request.terms, reason, why_not_opened(reason)).await,
    }
}

const fn why_not_opened(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::QUOTA_EXCEEDED => "the disk did not take the session",
        ReasonCode::SERVER_SHUTTING_DOWN => "the broker is stopping",
        _ => "the session is held by another connection",
    }
}

async fn open(
    hub: &Hub,
    identity: &Arc<Identity>,
    request: &Request,
    data: Option<&[u8]>,
) -> Result<Arc<Cell>, ReasonCode> {
    let greeting = Greeting {
        assigned_client_id: request.terms.assign_client_id.then_some(&*request.client_id),
        authentication_data: data,
    };
    registry::open(hub, identity, &request.terms, request.will.clone(), greeting).await
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    hub: &Hub,
    stream: &mut S,
    terms: &Terms,
    reason: ReasonCode,
    why: &'static str,
) -> Result<Admitted, Refusal> {
    hub.counters.refused_connects.add(1);
    let mut bytes = Vec::new();
    let why = if terms.problem_information { why } else { "" };
    refuse_connect(terms.version, reason, why, terms.packet_bytes_max, &mut bytes);
    say_last(stream, &bytes).await?;
    Err(Refusal::Refused(reason, why))
}

/// Writes the last word and waits until the client has closed, so that a reset does not take it away. The caller bounds
/// the time.
async fn say_last<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    tokio::time::timeout(LINGER, drain(stream)).await.unwrap_or(Ok(()))
}

/// Reads until one whole packet stands at the start of the buffer; answers its length. What is wrong with the packet
/// is said by who decodes it: a wrong one counts as whole.
async fn read_packet<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    version: Option<Version>,
) -> Result<usize, Refusal> {
    let rules = Rules { role: Role::Server, version, max_packet_size: CONNECT_BYTES_MAX };
    loop {
        if !buffer.is_empty() {
            match codec::decode(buffer, &rules) {
                Ok(Decoded::Packet { len, .. }) => return Ok(len),
                Ok(Decoded::Incomplete { .. }) => {}
                Err(_) => return Ok(buffer.len()),
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(Refusal::Closed);
        }
    }
}

/// A refusal with the bytes that tell it.
struct Answer {
    bytes: Vec<u8>,
    refusal: Refusal,
}

fn understand(hub: &Hub, buffer: &[u8]) -> Result<Request, Answer> {
    let rules = Rules { role: Role::Server, version: None, max_packet_size: CONNECT_BYTES_MAX };
    if let Some(hint) = transport::looks_like(buffer) {
        return Err(Answer { bytes: Vec::new(), refusal: Refusal::NotMqtt(hint) });
    }
    let connect = match codec::decode(buffer, &rules) {
        Ok(Decoded::Packet { packet: Packet::Connect(connect), .. }) => connect,
        Ok(_) => {
            let violation = Violation::protocol("MQTT-3.1.0-1", "the first packet is not CONNECT");
            return Err(Answer { bytes: Vec::new(), refusal: Refusal::Violation(violation) });
        }
        Err(violation) => {
            return Err(Answer { bytes: answer_to(&violation, buffer), refusal: Refusal::Violation(violation) });
        }
    };
    let refused = |reason, why| {
        let mut bytes = Vec::new();
        let told = connect.properties.request_problem_information().unwrap_or(true);
        let bytes_max = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        refuse_connect(connect.version, reason, if told { why } else { "" }, bytes_max, &mut bytes);
        Answer { bytes, refusal: Refusal::Refused(reason, why) }
    };
    if hub.is_stopping() {
        return Err(refused(ReasonCode::SERVER_SHUTTING_DOWN, "the broker is stopping"));
    }
    // A session that exists is let in: its queue may be what the budget is spent on.
    if hub.node.budget.is_spent() && hub.registry.get(connect.client_id).is_none() {
        return Err(refused(ReasonCode::SERVER_BUSY, "the broker's memory budget is spent"));
    }
    let terms = Terms::negotiate(&connect, &hub.options.protocol).map_err(|(reason, why)| refused(reason, why))?;
    let client_id = match connect.client_id {
        "" => assigned_id().map_err(|reason| refused(reason, "no client identifier can be made up"))?,
        given => given.into(),
    };
    Ok(Request {
        client_id,
        username: connect.username.map(Into::into),
        will: connect.will.as_ref().map(|will| Box::new(Will::from_connect(will))),
        data: connect.properties.authentication_data().map(<[u8]>::to_vec),
        password: connect.password.map(<[u8]>::to_vec),
        terms,
    })
}

/// Waits until the address may try a password; `None` where there is none to be tried. The caller bounds the time.
async fn wait_for_turn<'h>(hub: &'h Hub, request: &Request, origin: &Origin) -> Option<Turn<'h>> {
    let method = request.terms.authentication_method.as_deref();
    if method.is_some_and(|method| method != METHOD) {
        return None; // there is no such method, and so nothing to be tried
    }
    let has_method = method.is_some();
    // With a method the name stands in the exchange: all that use one share a lane.
    let username = request.username.as_deref().filter(|_| !has_method && origin.certified.is_none());
    match (has_method, username) {
        (false, None) => None,
        (_, name) => Some(hub.turns.wait(hub, origin.guesses_as(), name.unwrap_or_default()).await),
    }
}

/// Counts an attempt with the right password or a wrong one; other refusals tell nothing of it.
fn end_turn(turn: Option<Turn<'_>>, outcome: Result<(), ReasonCode>, wrong: ReasonCode) {
    match (turn, outcome) {
        (Some(turn), Ok(())) => turn.was_right(),
        (Some(turn), Err(reason)) if reason == wrong => turn.was_wrong(),
        _ => {}
    }
}

/// Asks the authenticator, which may take its time, on a thread of its own; a few at a time, or nothing else would run.
async fn admit(hub: &Hub, request: &mut Request, origin: &Origin) -> Result<Standing, ReasonCode> {
    let authenticator = Arc::clone(&hub.authenticator);
    let (client_id, username) = (Arc::clone(&request.client_id), request.username.clone());
    let (password, origin) = (request.password.take(), origin.clone());
    let ask = move |authenticator: &dyn Authenticator| {
        authenticator.authenticate(&Attempt {
            client_id: &client_id,
            username: username.as_deref(),
            password: password.as_deref(),
            peer: origin.peer,
            listener: origin.door.name(),
            is_certified: origin.certified.is_some(),
            allow_anonymous: origin.door.allow_anonymous(),
        })
    };
    if !authenticator.is_slow() {
        return ask(&*authenticator);
    }
    let permit = Arc::clone(&hub.password_checks).acquire_owned().await.map_err(|_| ReasonCode::SERVER_BUSY)?;
    let check = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        ask(&*authenticator)
    });
    check.await.unwrap_or(Err(ReasonCode::UNSPECIFIED_ERROR))
}

/// What a client hears whose CONNECT cannot be read. Before 5.0 that is nothing [MQTT-3.1.4-1], unless it is the
/// version that is unknown [MQTT-3.1.2-2].
fn answer_to(violation: &Violation, buffer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match codec::connect_level(buffer) {
        Some(level) if violation.reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => {
            let version = if level > 5 { Version::V5 } else { Version::V311 };
            refuse_connect(version, violation.reason, "", u32::MAX, &mut bytes);
        }
        Some(5) => refuse_connect(Version::V5, violation.reason, violation.detail, u32::MAX, &mut bytes),
        _ => {}
    }
    bytes
}

/// A client identifier that nobody else has.
fn assigned_id() -> Result<Arc<str>, ReasonCode> {
    let mut random = [0_u8; ASSIGNED_ID_BYTES];
    // Without randomness of the system an identifier could be one that is taken, and take its session over.
    getrandom::fill(&mut random).map_err(|_| ReasonCode::SERVER_UNAVAILABLE)?;
    let mut id = String::from("auto-");
    for byte in random {
        id.push_str(&format!("{byte:02x}"));
    }
    Ok(id.into())
}

/// The exchange of AUTH packets between CONNECT and CONNACK.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    hub: &Hub,
    stream: &mut S,
    buffer: &mut Vec<u8>,
    request: &Request,
) -> Result<(Arc<str>, Vec<u8>), Refusal> {
    let refused = |reason| Refusal::Refused(reason, "enhanced authentication");
    let method = request.terms.authentication_method.as_deref().unwrap_or_default();
    let mut exchange = Exchange::begin(hub, method).map_err(refused)?;
    let mut data = request.data.clone().unwrap_or_default();
    loop {
        match exchange.step(hub, &data).map_err(refused)? {
            Reply::Done(username, data) => return Ok((username, data)),
            Reply::Continue(answer) => {
                let mut bytes = Vec::new();
                write_auth(ReasonCode::CONTINUE_AUTHENTICATION, method, Some(&answer), Version::V5, &mut bytes);
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
        }
        let used = read_packet(stream, buffer, Some(Version::V5)).await?;
        let rules = Rules { role: Role::Server, version: Some(Version::V5), max_packet_size: CONNECT_BYTES_MAX };
        data = match codec::decode(buffer, &rules) {
            Ok(Decoded::Packet { packet: Packet::Auth(auth), .. })
                if auth.reason == ReasonCode::CONTINUE_AUTHENTICATION =>
            {
                if auth.properties.authentication_method() != Some(method) {
                    return Err(refused(ReasonCode::BAD_AUTHENTICATION_METHOD));
                }
                auth.properties.authentication_data().unwrap_or_default().to_vec()
            }
            Ok(_) => return Err(refused(ReasonCode::PROTOCOL_ERROR)),
            Err(violation) => return Err(refused(violation.reason)),
        };
        hub.counters.packets_received.add(1);
        buffer.drain(..used);
    }
}
