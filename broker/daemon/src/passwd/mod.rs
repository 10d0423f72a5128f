//! `primer passwd`: looks after a password file, with the options of `mosquitto_passwd`.

mod ask;
mod file;

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use primer_devices::{
    limits::{ITERATIONS, ITERATIONS_MAX},
    passwords::{self, Hash, HashError, Kind},
};

/// Said after a change.
const RELOAD: &str = "a running broker reads it again with kill -HUP";

/// Bytes of a password: MQTT has two for its length.
const PASSWORD_BYTES_MAX: usize = 65_535;

/// What passwords are hashed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Hashing {
    /// Argon2id: 19 MiB and two passes.
    Argon2id,
    /// PBKDF2 with HMAC-SHA-512, which mosquitto 1.6 and later read.
    Sha512Pbkdf2,
    /// SHA-512 once, for older ones: who gets hold of the file has the passwords.
    Sha512,
}

/// The options of `primer passwd`.
#[derive(Debug, Args)]
pub(crate) struct Passwd {
    /// Begin a new file; one that is there is replaced.
    #[arg(short, long, conflicts_with_all = ["delete", "update"])]
    create: bool,
    /// Take the password from the command line, where others on this machine can see it while the program runs.
    #[arg(short, long, requires = "password", conflicts_with_all = ["delete", "update"])]
    batch: bool,
    /// Remove the user.
    #[arg(short = 'D', long, conflicts_with = "update")]
    delete: bool,
    /// Hash all passwords of the file that are not hashed yet.
    #[arg(short = 'U', long, conflicts_with = "user")]
    update: bool,
    /// How to hash.
    #[arg(short = 'H', long = "hash", value_enum, default_value_t = Hashing::Argon2id)]
    hashing: Hashing,
    /// Iterations of sha512-pbkdf2; 210,000 if not given.
    #[arg(short = 'I', long, value_parser = clap::value_parser!(u32).range(1..=i64::from(ITERATIONS_MAX)))]
    iterations: Option<u32>,
    /// The password file; - writes the user's line to standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The user.
    #[arg(value_name = "USER", required_unless_present = "update")]
    user: Option<String>,
    /// The password, with -b. Otherwise it is asked for, twice and unseen; or it is the first line of standard input,
    /// where that is no terminal.
    #[arg(value_name = "PASSWORD", requires = "batch")]
    password: Option<OsString>,
}

/// Does what the options say.
pub(crate) fn run(passwd: &Passwd) -> anyhow::Result<()> {
    let kind = kind(passwd)?;
    let user = passwd.user.as_deref().unwrap_or_default();
    if !passwd.update && !passwords::is_name(user) {
        bail!(
            "`{}` is no user name that a password file can have: no colon, no control character, no # or blank at the \
             start, no blank at the end",
            user.escape_default()
        );
    }
    let to_stdout = passwd.file.as_os_str() == "-";
    if to_stdout && (passwd.update || passwd.delete) {
        bail!("-D and -U change a file: name one");
    }
    if passwd.update {
        return update(passwd, kind);
    }
    if passwd.delete {
        return delete(passwd, user);
    }
    // Before anybody is asked for a password.
    let before = if passwd.create || to_stdout { String::new() } else { file::read(&passwd.file)? };
    let hash = hash(kind, &password(passwd)?)?;
    if to_stdout {
        println!("{user}:{hash}");
        return Ok(());
    }
    let is_known = passwords::remove(&before, user).with_context(|| file::at(&passwd.file))?.is_some();
    let after = passwords::set(&before, user, &hash).with_context(|| file::at(&passwd.file))?;
    let dropped = if passwd.create { file::users(&passwd.file) } else { 0 };
    let is_there = passwd.file.exists();
    file::write(&passwd.file, &after, passwd.create)?;
    println!("{user}: {}", if is_known { "has a new password" } else { "added" });
    if dropped > 0 {
        println!("replaced a file with {dropped} user{}", if dropped == 1 { "" } else { "s" });
    }
    if is_there {
        println!("{RELOAD}");
    }
    Ok(())
}

fn update(passwd: &Passwd, kind: Kind) -> anyhow::Result<()> {
    let before = file::read(&passwd.file)?;
    let made = passwords::hash_plain(&before, |password| {
        let salt = salt(kind).map_err(|error| HashError::Failed(error.to_string()))?;
        Hash::new(kind, password, &salt)
    });
    let (after, hashed) = made.with_context(|| file::at(&passwd.file))?;
    if hashed > 0 {
        file::write(&passwd.file, &after, false)?;
    }
    println!("{hashed} passwords hashed");
    if hashed > 0 {
        println!("{RELOAD}");
    }
    Ok(())
}

fn delete(passwd: &Passwd, user: &str) -> anyhow::Result<()> {
    let before = file::read(&passwd.file)?;
    let after = passwords::remove(&before, user).with_context(|| file::at(&passwd.file))?;
    let Some(after) = after else { bail!("there is no user `{user}` in {}", passwd.file.display()) };
    file::write(&passwd.file, &after, false)?;
    println!("{user}: removed\n{RELOAD}");
    Ok(())
}

fn kind(passwd: &Passwd) -> anyhow::Result<Kind> {
    if passwd.iterations.is_some() && passwd.hashing != Hashing::Sha512Pbkdf2 {
        bail!("-I is for -H sha512-pbkdf2");
    }
    Ok(match passwd.hashing {
        Hashing::Argon2id => Kind::DEFAULT,
        Hashing::Sha512Pbkdf2 => Kind::Pbkdf2 { iterations: passwd.iterations.unwrap_or(ITERATIONS) },
        Hashing::Sha512 => Kind::Sha512,
    })
}

fn password(passwd: &Passwd) -> anyhow::Result<Vec<u8>> {
    let password = match &passwd.password {
        Some(given) => given.clone().into_vec(),
        None => ask::password()?,
    };
    if password.is_empty() {
        bail!("the password is empty");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        bail!("the password has {} bytes, and may have {PASSWORD_BYTES_MAX}", password.len());
    }
    Ok(password)
}

fn hash(kind: Kind, password: &[u8]) -> anyhow::Result<Hash> {
    Ok(Hash::new(kind, password, &salt(kind)?)?)
}

fn salt(kind: Kind) -> anyhow::Result<Vec<u8>> {
    let mut salt = vec![0; kind.salt_bytes()];
    getrandom::fill(&mut salt).map_err(|_| anyhow::anyhow!("the system gives no random bytes for a salt"))?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        passwd: Passwd,
    }

    #[test]
    fn what_is_hashed_with() {
        let kind_of = |options: &[&str]| {
            let line = Line::try_parse_from([&["passwd"], options, &["file", "user"]].concat()).unwrap();
            kind(&line.passwd).map_err(|error| error.to_string())
        };
        assert_eq!(kind_of(&[]), Ok(Kind::Argon2id { memory_kib: 19_456, passes: 2, lanes: 1 }));
        assert_eq!(kind_of(&["-H", "sha512-pbkdf2"]), Ok(Kind::Pbkdf2 { iterations: 210_000 }));
        assert_eq!(kind_of(&["-H", "sha512-pbkdf2", "-I", "7"]), Ok(Kind::Pbkdf2 { iterations: 7 }));
        assert_eq!(kind_of(&["-H", "sha512"]), Ok(Kind::Sha512));
        assert!(kind_of(&["-I", "7"]).unwrap_err().contains("-H sha512-pbkdf2"));
        assert!(Line::try_parse_from(["passwd", "-H", "sha512-pbkdf2", "-I", "10000001", "file", "user"]).is_err());
    }
}
