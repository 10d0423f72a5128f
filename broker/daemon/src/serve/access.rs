//! Who is let in, for the broker: the configuration's words, with the passwords hashed.

use anyhow::Context;
use primer_broker::{
    SCRAM_ITERATIONS,
    access::{AccessOptions, Guard},
};
use primer_config::Access;
use primer_mqtt::auth::scram::{Credentials, SALT_BYTES};

/// Reads the files.
pub(crate) fn guard(access: &Access) -> anyhow::Result<Guard> {
    Guard::load(options(access)?).map_err(anyhow::Error::from)
}

pub(super) fn options(access: &Access) -> anyhow::Result<AccessOptions> {
    let users = access.users.iter().map(|(name, password)| Ok((name.clone(), credentials(name, password)?)));
    Ok(AccessOptions {
        allow_anonymous: access.allow_anonymous,
        password_file: access.password_file.clone(),
        acl_file: access.acl_file.clone(),
        users: users.collect::<anyhow::Result<_>>()?,
    })
}

/// What a password can be checked against; it is not kept itself.
fn credentials(name: &str, password: &str) -> anyhow::Result<Credentials> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Credentials::derive(password.as_bytes(), &salt, SCRAM_ITERATIONS)
        .with_context(|| format!("the password of user {name}"))
}
