//! Enhanced authentication (MQTT 5.0, 4.12) with SCRAM-SHA-256: the exchange at CONNECT and the one after it.

use std::sync::Arc;

use primer_mqtt::{
    ReasonCode,
    auth::scram::{Decoy, METHOD, ScramServer, ServerStep},
};

use crate::{hub::Hub, limits::AUTHENTICATION_STEPS_MAX};

/// PBKDF2 rounds of a password, also those that an unknown user seems to have; RFC 7677 asks for 4096 at least.
pub const SCRAM_ITERATIONS: u32 = 4096;

/// An exchange that has begun.
#[derive(Debug)]
pub(crate) struct Exchange {
    scram: ScramServer,
    steps: usize,
}

/// What to answer the client.
#[derive(Debug)]
pub(crate) enum Reply {
    /// AUTH 0x18 with this data.
    Continue(Vec<u8>),
    /// The client is who it says: its user name, and the data of the last packet.
    Done(Arc<str>, Vec<u8>),
}

impl Exchange {
    /// Begins an exchange with a method.
    ///
    /// # Errors
    /// 0x8C when the method is not offered.
    pub(crate) fn begin(hub: &Hub, method: &str) -> Result<Self, ReasonCode> {
        if method != METHOD || !hub.authenticator.offers_scram() {
            return Err(ReasonCode::BAD_AUTHENTICATION_METHOD);
        }
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce).map_err(|_| ReasonCode::UNSPECIFIED_ERROR)?;
        Ok(Self {
            scram: ScramServer::new(nonce, Decoy { secret: hub.secret, iterations: SCRAM_ITERATIONS }),
            steps: 0,
        })
    }

    /// Takes the client's data.
    ///
    /// # Errors
    /// The reason with which CONNACK or DISCONNECT ends the attempt; which part of it was wrong is not told.
    pub(crate) fn step(&mut self, hub: &Hub, data: &[u8]) -> Result<Reply, ReasonCode> {
        self.steps += 1;
        if self.steps > AUTHENTICATION_STEPS_MAX {
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        match self.scram.step(data, |username| hub.authenticator.credentials(username)) {
            Ok(ServerStep::Continue(data)) => Ok(Reply::Continue(data)),
            Ok(ServerStep::Done { username, server_final }) => Ok(Reply::Done(username.into(), server_final)),
            Err(error) => {
                tracing::info!(%error, "enhanced authentication failed");
                Err(ReasonCode::NOT_AUTHORIZED)
            }
        }
    }
}
