//! `primer queue`: looks after the queues of a running broker, and puts messages in and gets them out. The broker does
//! the work; what is here are arguments, tables and JSON.

mod browse;
mod define;
mod get;
mod put;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::control::{self, Channel, Target};

/// Where the broker takes commands about queues.
const CONTROL: Channel = Channel { name: "queue", about: "queues" };

/// What the names of queues of dead letters begin with.
const DEAD: &str = "$dead/";

/// The commands of `primer queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// All queues: messages, bytes, consumers, dead letters.
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// One queue: what it was told, its groups, what became of its messages.
    Info(One),
    /// Make a queue. One that exists with the same definition is fine.
    Create(Create),
    /// Change what a queue was told; what is not named stays. What it holds stays.
    Update(Create),
    /// End a queue with all that is in it. Its dead letters stay.
    Rm(One),
    /// Put messages into a queue: a text, a file, or lines; standard input if nothing is said.
    Put(put::Put),
    /// Take messages out of a queue. The exit code is 1 when there was none.
    Get(get::Get),
    /// Look into a queue. Nothing changes by it.
    Browse(browse::Look),
    /// Take out everything that no consumer has.
    Purge(One),
    /// Move messages that no consumer has to another queue; dead letters without one go back to where they came from.
    Move(Move),
    /// Deliver nothing any more until `resume`; publishers go on. It lasts over restarts.
    Pause(One),
    /// Deliver again.
    Resume(One),
    /// The groups of a queue.
    Groups(One),
    /// Look after groups.
    #[command(subcommand)]
    Group(Group),
    /// All queues together.
    Stats(Stats),
}

/// The commands of `primer queue group`.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// End a group: what only it wanted is gone, and its consumers get nothing more.
    Rm(GroupRm),
}

/// The name of a queue.
#[derive(Debug, Args)]
struct Named {
    /// Name of the queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// The dead letters of the queue, `$dead/QUEUE`, in place of the queue itself.
    #[arg(short, long)]
    dead: bool,
}

impl Named {
    fn name(&self) -> String {
        if self.dead && !self.name.starts_with(DEAD) { format!("{DEAD}{}", self.name) } else { self.name.clone() }
    }
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Ls {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Stats {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct One {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Create {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    define: define::Define,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Move {
    #[command(flatten)]
    named: Named,
    /// Name of the queue that they go to.
    #[arg(value_name = "TO")]
    to: Option<String>,
    /// Messages to move, at most; all if not given.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct GroupRm {
    #[command(flatten)]
    named: Named,
    /// Name of the group.
    group: String,
    #[command(flatten)]
    target: Target,
}

/// Runs one command. That nobody reads its output any more, such as `head`, is no fault.
pub(crate) fn run(queue: Queue) -> anyhow::Result<ExitCode> {
    control::unless_unread(carry_out(queue))
}

fn carry_out(queue: Queue) -> anyhow::Result<ExitCode> {
    match queue {
        Queue::Ls(Ls { target }) => show::list(&target)?,
        Queue::Stats(Stats { target }) => tell(&target, "stats", &json!({}), show::stats)?,
        Queue::Info(One { named, target }) => tell(&target, "getQueue", &name_of(&named), show::queue)?,
        Queue::Groups(One { named, target }) => show::groups(&target, &named.name())?,
        Queue::Create(create) => define(create, "createQueue", "is there")?,
        Queue::Update(update) => define(update, "updateQueue", "is changed")?,
        Queue::Rm(One { named, target }) => tell(&target, "deleteQueue", &name_of(&named), |data| {
            format!("the queue {} is gone, with {}\n", data["name"], show::messages(&data["messages"]))
        })?,
        Queue::Purge(One { named, target }) => tell(&target, "purgeQueue", &name_of(&named), |data| {
            format!("{} taken out of the queue {}\n", show::messages(&data["messages"]), data["name"])
        })?,
        Queue::Pause(One { named, target }) => tell(&target, "pauseQueue", &name_of(&named), |data| {
            format!("the queue {} delivers nothing until `primer queue resume`\n", data["name"])
        })?,
        Queue::Resume(One { named, target }) => tell(&target, "resumeQueue", &name_of(&named), |data| {
            format!("the queue {} delivers again\n", data["name"])
        })?,
        Queue::Move(Move { named, to, max, target }) => {
            let fields = json!({"from": named.name(), "to": to, "max": max});
            tell(&target, "moveMessages", &fields, show::moved)?;
        }
        Queue::Group(Group::Rm(GroupRm { named, group, target })) => {
            let fields = json!({"name": named.name(), "group": group});
            tell(&target, "removeGroup", &fields, |data| {
                format!("the group {} of the queue {} is gone\n", data["group"], data["name"])
            })?;
        }
        Queue::Put(put) => put::run(&put)?,
        Queue::Get(get) => return get::run(&get),
        Queue::Browse(look) => return browse::run(&look),
    }
    Ok(ExitCode::SUCCESS)
}

fn name_of(named: &Named) -> Value {
    json!({"name": named.name()})
}

fn define(Create { named, define, target }: Create, command: &str, done: &str) -> anyhow::Result<()> {
    let fields = json!({"name": named.name(), "definition": define.json()?});
    tell(&target, command, &fields, |data| format!("the queue {} {done}\n", data["name"]))
}

/// Has one command carried out, and prints the answer.
fn tell(target: &Target, command: &str, fields: &Value, people: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
    control::tell(target, &CONTROL, command, fields, people)
}
