//! Who may connect and what they may do, by a password file, an ACL file and a list of users.
//!
//! The files are read by [`Guard::load`] and [`Guard::reload`], and by nobody else: what they say holds until the next
//! reload, whatever happens to them. A file that is wrong changes nothing.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use primer_devices::{Acl, AclError, Client, PasswordFileError, Passwords, Reading, Scratch, limits::FILE_BYTES_MAX};
use primer_mqtt::{ReasonCode, auth::scram::Credentials, codec::packet::QoS};

use super::{Attempt, Authenticator, Decider, Identity, Open, Standing, is_sys};
use crate::queues::address;

/// What a guard goes by.
#[derive(Debug, Clone, Default)]
pub struct AccessOptions {
    /// Whether clients without a user name are let in, where their listener does not say.
    pub allow_anonymous: bool,
    /// Users with their passwords' hashes, as mosquitto's tools and `primer passwd` write them.
    pub password_file: Option<PathBuf>,
    /// What users may read and write, as mosquitto has it. Without one, all that [`Open`] lets them.
    pub acl_file: Option<PathBuf>,
    /// Users beside those of the file, who may prove their passwords with SCRAM-SHA-256 as well. A name that stands
    /// here counts, whatever the file has.
    pub users: Vec<(String, Credentials)>,
}

/// Why files cannot be used. What held before holds on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The password file is wrong.
    #[error("the password file {}", path.display())]
    Passwords {
        /// Which.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: PasswordFileError,
    },
    /// The ACL file is wrong.
    #[error("the ACL file {}", path.display())]
    Acl {
        /// Which.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: AclError,
    },
}

/// What the files have, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Users of the password file; `None` without one.
    pub users: Option<usize>,
    /// Rules of the ACL file; `None` without one.
    pub rules: Option<usize>,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.users {
            Some(users) => write!(f, "{users} users, ")?,
            None => write!(f, "no password file, ")?,
        }
        match self.rules {
            Some(rules) => write!(f, "{rules} rules"),
            None => write!(f, "no ACL file"),
        }
    }
}

/// Authenticator and decider in one; its clones are the same guard.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    present: RwLock<Arc<Present>>,
    /// Memory of checks, as much as there were at a time.
    scratches: Mutex<Vec<Scratch>>,
    /// Whether there is an ACL file: publishers ask for each burst, and without one no lock is taken.
    has_acl: AtomicBool,
}

/// What holds now. Whoever asks takes it as a whole.
#[derive(Debug)]
struct Present {
    options: AccessOptions,
    users: BTreeMap<Box<str>, Credentials>,
    passwords: Option<Passwords>,
    acl: Option<Acl>,
}

impl Guard {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or is wrong: with its name, and the line.
    pub fn load(options: AccessOptions) -> Result<Self, AccessError> {
        let present = Present::read(options)?;
        let has_acl = AtomicBool::new(present.acl.is_some());
        let present = RwLock::new(Arc::new(present));
        Ok(Self(Arc::new(Shared { present, scratches: Mutex::default(), has_acl })))
    }

    /// Reads the files again. All that they say takes effect at once, or nothing. The broker then has to be told
    /// ([`Broker::access_changed`](crate::Broker::access_changed)): it asks once about a subscription.
    ///
    /// # Errors
    /// As [`load`](Self::load); what held before holds on.
    pub fn reload(&self) -> Result<Loaded, AccessError> {
        let options = self.now().options.clone();
        self.reload_with(options)
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`load`](Self::load); what held before holds on.
    pub fn reload_with(&self, options: AccessOptions) -> Result<Loaded, AccessError> {
        let present = Arc::new(Present::read(options)?);
        let loaded = present.loaded();
        let mut held = self.0.present.write();
        self.0.has_acl.store(present.acl.is_some(), Ordering::Release);
        *held = present;
        Ok(loaded)
    }

    /// What the files have.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        self.now().loaded()
    }

    fn is_right(&self, present: &Present, username: &str, password: &[u8]) -> bool {
        let mut scratch = self.0.scratches.lock().pop().unwrap_or_default();
        let is_right = present.is_right(username, password, &mut scratch);
        self.0.scratches.lock().push(scratch);
        is_right
    }

    fn now(&self) -> Arc<Present> {
        Arc::clone(&self.0.present.read())
    }

    /// What the ACL says, if there is one.
    fn by_acl<T>(&self, ask: impl FnOnce(&Acl) -> T) -> Option<T> {
        if !self.0.has_acl.load(Ordering::Acquire) {
            return None;
        }
        self.0.present.read().acl.as_ref().map(ask)
    }
}

impl Present {
    fn read(options: AccessOptions) -> Result<Self, AccessError> {
        let passwords = options.password_file.as_deref().map(read_passwords).transpose()?;
        let acl = options.acl_file.as_deref().map(read_acl).transpose()?;
        let listed = options.users.iter().map(|(name, credentials)| (name.as_str().into(), credentials.clone()));
        let users = listed.collect();
        Ok(Self { options, users, passwords, acl })
    }

    fn loaded(&self) -> Loaded {
        Loaded {
            users: self.passwords.as_ref().map(|passwords| passwords.users().len()),
            rules: self.acl.as_ref().map(Acl::rules),
        }
    }

    /// Whether there is this user, with whatever password.
    fn knows(&self, username: &str) -> bool {
        self.users.contains_key(username) || self.passwords.as_ref().is_some_and(|file| file.knows(username))
    }

    fn allows_anonymous(&self, by_listener: Option<bool>) -> bool {
        by_listener.unwrap_or(self.options.allow_anonymous)
    }

    /// Whether there is anything that a user name could be checked against.
    fn has_users(&self) -> bool {
        self.passwords.is_some() || !self.users.is_empty()
    }

    fn is_right(&self, username: &str, password: &[u8], scratch: &mut Scratch) -> bool {
        if let Some(credentials) = self.users.get(username) {
            if let Some(passwords) = self.passwords.as_ref().filter(|passwords| passwords.users().len() > 0) {
                // As every other name does.
                let _it_only_takes_its_time = passwords.verify_in(username, password, scratch);
            }
            return credentials.verify(password);
        }
        match &self.passwords {
            Some(passwords) if passwords.users().len() > 0 => passwords.verify_in(username, password, scratch),
            _ => {
                // An unknown name takes as long as a known one, so that names cannot be found out.
                let _it_only_takes_its_time = self.users.values().next().is_some_and(|one| one.verify(password));
                false
            }
        }
    }
}

impl Authenticator for Guard {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Standing, ReasonCode> {
        let present = self.now();
        match attempt.username {
            Some(_) if attempt.is_certified => Ok(Standing::Proven),
            Some(username) if present.has_users() => match attempt.password {
                Some(password) if self.is_right(&present, username, password) => Ok(Standing::Proven),
                _ => Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
            },
            _ if present.allows_anonymous(attempt.allow_anonymous) => Ok(Standing::Claimed),
            _ => Err(ReasonCode::NOT_AUTHORIZED),
        }
    }

    fn may_stay(&self, identity: &Identity) -> bool {
        let present = self.now();
        match (&identity.username, identity.standing) {
            _ if identity.is_certified => true,
            // A new hash may be one of the same password: whoever proved one stays.
            (Some(username), standing) if present.has_users() => {
                standing == Standing::Proven && present.knows(username)
            }
            _ => present.allows_anonymous(identity.allow_anonymous),
        }
    }

    fn is_slow(&self) -> bool {
        self.now().has_users()
    }

    fn credentials(&self, username: &str) -> Option<Credentials> {
        self.now().users.get(username).cloned()
    }

    fn offers_scram(&self) -> bool {
        !self.now().users.is_empty()
    }
}

impl Decider for Guard {
    fn may_publish(&self, identity: &Identity, topic: &str, qos: QoS, retain: bool) -> bool {
        let ask = |acl: &Acl| !is_sys(topic) && acl.may_write(client(identity), address::own_name(topic));
        self.by_acl(ask).unwrap_or_else(|| Open.may_publish(identity, topic, qos, retain))
    }

    fn may_subscribe(&self, identity: &Identity, filter: &str) -> Reading {
        self.by_acl(|acl| acl.reading(client(identity), filter)).unwrap_or(Reading::All)
    }

    fn may_read(&self, identity: &Identity, topic: &str) -> bool {
        self.by_acl(|acl| acl.may_read(client(identity), topic)).unwrap_or(true)
    }

    fn restricts_reading(&self) -> bool {
        self.0.has_acl.load(Ordering::Acquire)
    }
}

/// A name that nobody has checked is worth as much as none.
fn client(identity: &Identity) -> Client<'_> {
    let is_proven = identity.standing == Standing::Proven;
    Client { client_id: &identity.client_id, username: identity.username.as_deref().filter(|_| is_proven) }
}

fn read_passwords(path: &Path) -> Result<Passwords, AccessError> {
    let (file, is_public) = read(path)?;
    if is_public {
        let advice =
            "anybody on this machine can read the password hashes: chmod 0600, or 0640 with the broker's group";
        tracing::warn!(file = %path.display(), "{advice}");
    }
    Passwords::parse(&file).map_err(|source| AccessError::Passwords { path: path.to_owned(), source })
}

fn read_acl(path: &Path) -> Result<Acl, AccessError> {
    let (file, _) = read(path)?;
    Acl::parse(&file).map_err(|source| AccessError::Acl { path: path.to_owned(), source })
}

/// The bytes of a file, no more than are looked at, and whether anybody may read it.
fn read(path: &Path) -> Result<(Vec<u8>, bool), AccessError> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let failed = |source| AccessError::Read { path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        return Err(failed(io::Error::other("it is no regular file"))); // a pipe would be waited for
    }
    let file = File::open(path).map_err(failed)?;
    let is_public = file.metadata().map_err(failed)?.permissions().mode() & 0o004 != 0;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, is_public))
}

#[cfg(test)]
mod tests;
