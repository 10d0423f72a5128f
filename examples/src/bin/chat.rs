//! A chat server: `cargo run -p primer-examples --bin chat -- 7000`, then `nc localhost 7000` as often as you like. The
//! first line is your name; `/room NAME` goes to another room. A room is a topic; its last lines are a queue that drops
//! the oldest, and whoever enters looks into it.

use std::{net::Ipv4Addr, time::Duration};

use primer::{Browse, Definition, From, Full, Message, Node, Subscription};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(7000), |port| port.parse())?;
    let history = Definition { messages_max: 10, overflow: Full::DropOldest, ..Definition::default() };
    let node = Node::builder().queue("history/+", history).start().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("chat on {}", listener.local_addr()?);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(serve(node.clone(), stream));
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    node.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// Somebody in a room.
struct Guest {
    node: Node,
    name: String,
    room: String,
    lines: Subscription,
}

impl Guest {
    fn enter(node: Node, name: String, room: &str) -> anyhow::Result<Self> {
        let lines = node.subscribe(&format!("chat/{room}"), 100)?;
        Ok(Self { node, name, room: room.to_owned(), lines })
    }

    /// What was said last.
    async fn history(&self) -> anyhow::Result<Vec<String>> {
        let queue = self.node.queue(&format!("history/{}", self.room))?;
        let page = queue.browse(&Browse { from: From::Oldest, messages_max: 10, ..Browse::default() }).await;
        Ok(page.messages.iter().filter_map(|seen| seen.envelope.text().map(str::to_owned)).collect())
    }

    async fn say(&self, text: &str) -> anyhow::Result<()> {
        let line = format!("{}: {text}", self.name);
        self.node.queue(&format!("history/{}", self.room))?.push(line.clone()).await?;
        self.node.publish(Message::new(line).topic(format!("chat/{}", self.room))).await?;
        Ok(())
    }
}

async fn serve(node: Node, stream: TcpStream) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut typed = BufReader::new(read).lines();
    write.write_all(b"your name?\n").await?;
    let Some(name) = typed.next_line().await? else { return Ok(()) };
    let mut guest = Guest::enter(node.clone(), name, "lobby")?;
    for line in guest.history().await? {
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
    write.write_all(b"welcome\n").await?;
    loop {
        tokio::select! {
            line = typed.next_line() => match line? {
                None => return Ok(()),
                Some(line) => match line.strip_prefix("/room ") {
                    Some(room) => match Guest::enter(node.clone(), guest.name.clone(), room) {
                        Ok(moved) => {
                            guest = moved;
                            for line in guest.history().await? {
                                write.write_all(format!("{line}\n").as_bytes()).await?;
                            }
                        }
                        Err(error) => write.write_all(format!("{error}\n").as_bytes()).await?,
                    },
                    None => guest.say(&line).await?,
                },
            },
            said = guest.lines.next() => match said {
                None => return Ok(()),
                Some(line) => write.write_all(format!("{}\n", line.text().unwrap_or_default()).as_bytes()).await?,
            },
        }
    }
}
