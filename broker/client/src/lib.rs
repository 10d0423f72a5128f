//! MQTT clients for the command line: `primer pub`, `sub` and `rr`, which take the options of mosquitto_pub,
//! mosquitto_sub and mosquitto_rr, print what those print, and end with their exit codes.
//!
//! - `options` reads the words of a command line; the table in it is also the help.
//! - `session` is the protocol, without a socket and a clock.
//! - `link` opens connections: TCP, Unix sockets, SOCKS5, TLS, WebSocket.
//! - `client` carries bytes between the two, keeps the connection alive, and opens the next when one is lost.
//! - `publish`, `subscribe` and `request` are the three programs; `format` prints messages.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests fail by panicking"))]

mod client;
mod failure;
mod format;
mod limits;
mod link;
mod options;
mod printer;
mod publish;
mod request;
mod session;
mod source;
mod subscribe;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;

use crate::options::{Asked, Home, Options};

/// Which of the three programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `primer pub`.
    Publish,
    /// `primer sub`.
    Subscribe,
    /// `primer rr`: a request and its response.
    Request,
}

/// All three.
pub const TOOLS: [Tool; 3] = [Tool::Publish, Tool::Subscribe, Tool::Request];

impl Tool {
    /// The subcommand of `primer`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "pub",
            Self::Subscribe => "sub",
            Self::Request => "rr",
        }
    }

    /// What the table of options knows it by.
    const fn letter(self) -> char {
        match self {
            Self::Publish => 'p',
            Self::Subscribe => 's',
            Self::Request => 'r',
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Publish => "Publish messages, as mosquitto_pub does, with its options",
            Self::Subscribe => "Subscribe and print what comes, as mosquitto_sub does, with its options",
            Self::Request => "Publish a request and print the response, as mosquitto_rr does, with its options",
        }
    }

    const fn usage(self) -> &'static str {
        match self {
            Self::Publish => "primer pub [-h HOST] -t TOPIC {-m TEXT | -f PATH | -l | -n | -s} [OPTION...]",
            Self::Subscribe => "primer sub [-h HOST] -t TOPIC... [OPTION...]",
            Self::Request => "primer rr [-h HOST] -t TOPIC -e RESPONSE-TOPIC {-m TEXT | -f PATH | -n | -s} [OPTION...]",
        }
    }

    fn after_help(self) -> String {
        let examples = match self {
            Self::Publish => {
                "Examples:\n  primer pub -t room/lamp -m on -q 1 -r\n  vmstat -n 5 | primer pub -t host/vmstat -l\n  \
                 primer pub -L mqtts://me:secret@broker.example/room/lamp -m off\n  \
                 primer pub -t a -m x -D publish message-expiry-interval 60 -D publish user-property unit C\n\n\
                 Exit codes: 0 published; 1 wrong options, or no connection; 7 the connection was lost; else the code \
                 with which the broker refused the connection (1 to 5; MQTT 5.0: 128 and above)."
            }
            Self::Subscribe => {
                "Examples:\n  primer sub -v -t '#'\n  primer sub -t a/b -t 'c/+' -q 1 -c -i reader-1\n  \
                 primer sub -t room/temperature -C 1 -W 3\n  primer sub -t 'a/#' -F '@H:@M:@S %t %p'\n  \
                 primer sub -t 'a/#' --retained-only --remove-retained\n\n\
                 Exit codes: 0 it was ended, or has done what -C, -E or --retained-only say; 1 wrong options, or no \
                 connection; 27 the time of -W is over; else the code with which the broker refused the connection."
            }
            Self::Request => {
                "Examples:\n  primer rr -t lamp/get -e lamp/answer -m state -W 5\n\n\
                 Exit codes: as those of `primer sub`."
            }
        };
        format!("{examples}\n\n{}", options::about_file(self))
    }
}

/// The subcommand as clap knows it, for the help of the whole program and for completions. What it matches is not used:
/// [`run`] reads the words by itself.
#[must_use]
pub fn command(tool: Tool) -> Command {
    options::command(tool)
}

/// Runs one of the programs with the words that follow its name, to its end.
#[must_use]
pub fn run(tool: Tool, words: &[OsString]) -> ExitCode {
    let home = Home {
        xdg_config_home: env::var_os("XDG_CONFIG_HOME").map(PathBuf::from),
        home: env::var_os("HOME").map(PathBuf::from),
    };
    let options = match options::read(tool, words, &home) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => {
            let help = command(tool).max_term_width(100).render_help();
            return print(&help.to_string());
        }
        Ok(Asked::Version) => {
            return print(&format!("primer {} version {}\n", tool.name(), env!("CARGO_PKG_VERSION")));
        }
        Err(error) => {
            eprintln!("Error: {error}.\n\nUse 'primer {} --help' to see usage.", tool.name());
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: {error}.");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run_tool(&options));
    // A thread may wait for standard input, and ends with the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run_tool(options: &Options) -> u8 {
    let result = match options.tool {
        Tool::Publish => publish::run(options).await,
        Tool::Subscribe => subscribe::run(options).await,
        Tool::Request => request::run(options).await,
    };
    result.unwrap_or_else(|failure| {
        complain(options, &format!("{failure}."));
        failure.exit_code()
    })
}

/// Says something on stderr, unless that is not wanted.
fn complain(options: &Options, line: &str) {
    if !options.quiet {
        eprintln!("{line}");
    }
}

/// A reader that has gone is no fault.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}
