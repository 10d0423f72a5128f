//! Jobs: three workers share a queue; a job that fails is tried again and ends in the dead letters; and one that
//! somebody waits for is answered.

use std::time::Duration;

use primer::{Browse, Definition, Message, Node, Queue};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let node = Node::builder().queue("jobs", Definition { deliveries_max: 3, ..Definition::default() }).start().await?;
    let jobs = node.queue("jobs")?;
    let workers: Vec<_> = (1..=3).map(|number| tokio::spawn(work(number, jobs.clone()))).collect();

    // Jobs that nobody waits for: when push returns, the queue has them.
    for page in 1..=6 {
        jobs.push(format!("print page {page}")).await?;
    }
    jobs.push(Message::new("print the cover").priority(9)).await?;
    jobs.push("divide by zero").await?;

    // A job that somebody waits for.
    let answer = jobs.call("add 19 and 23", Duration::from_secs(5)).await?;
    println!("19 and 23 are {}", answer.text().unwrap_or("no text"));

    while jobs.info().messages > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dead = node.dead_letters("jobs")?.browse(&Browse { messages_max: 10, ..Browse::default() }).await;
    for seen in &dead.messages {
        let why = seen.envelope.dead_letter().map_or("", |letter| letter.reason);
        println!("given up: {} ({why})", seen.envelope.text().unwrap_or_default());
    }
    node.shutdown(Duration::from_secs(5)).await;
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

/// Handles jobs until the node stops.
async fn work(number: u32, jobs: Queue) -> anyhow::Result<()> {
    let mut consumer = jobs.consume(1)?;
    while let Some(job) = consumer.next().await {
        let text = job.text().unwrap_or_default().to_owned();
        if text.starts_with("divide by zero") {
            println!("worker {number}: {text} fails, attempt {}", job.attempt());
            job.nack(Duration::from_millis(20))?; // again, a little later
        } else if let Some(numbers) = text.strip_prefix("add ") {
            let sum: i64 = numbers.split(" and ").filter_map(|number| number.parse::<i64>().ok()).sum();
            job.reply(sum.to_string())?;
        } else {
            println!("worker {number}: {text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            job.ack()?;
        }
    }
    Ok(())
}
