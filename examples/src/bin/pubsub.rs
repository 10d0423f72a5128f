//! Publish and subscribe: a display shows what comes while it looks, a recorder misses nothing.

use std::time::Duration;

use primer::{Definition, Message, Node};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bound = Definition { bind: vec!["house/+/temperature".to_owned()], ..Definition::default() };
    let node = Node::builder().queue("recorder", bound).start().await?;

    // A live subscription: what comes while its buffer is full is missed, and counted.
    let mut display = node.subscribe("house/#", 100)?;
    let showing = tokio::spawn(async move {
        while let Some(message) = display.next().await {
            println!("display: {} = {}", message.topic(), message.text().unwrap_or_default());
        }
        display.missed()
    });

    for (room, celsius) in [("kitchen", 21.5), ("cellar", 12.0), ("kitchen", 22.0)] {
        let reading = Message::new(celsius.to_string()).topic(format!("house/{room}/temperature"));
        node.publish(reading.header("unit", "C")).await?; // when it returns, the recorder's queue has it
    }
    node.publish(Message::new("open").topic("house/door")).await?;

    // The queue has kept what its topics got, and gives it to whoever consumes, now or later.
    let recorder = node.queue("recorder")?.group("default")?;
    let mut sum = 0.0;
    let readings = recorder.pull(10, Duration::from_secs(1)).await?;
    let count = readings.len();
    for reading in readings {
        sum += reading.text().unwrap_or_default().parse::<f64>()?;
        reading.ack()?;
    }
    println!("recorder: {count} readings, {:.1} C on average", sum / count as f64);
    node.shutdown(Duration::from_secs(1)).await;
    println!("display: missed {}", showing.await?);
    Ok(())
}
