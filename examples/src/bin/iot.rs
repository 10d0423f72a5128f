//! A gateway: `cargo run -p primer-examples --bin iot -- 1883`. Devices publish `sensors/DEVICE/temperature` over MQTT.
//! What they send stands in a queue of the program, which handles one device's readings in order, also over a restart
//! if a data directory is given as the second argument; above 80 C it raises `alarms/DEVICE`.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use primer::{Definition, KeyOf, Message, Node};
use primer_broker::{
    Broker, DataOptions, Options,
    access::{Anonymous, Open},
    options::ListenerOptions,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(1883), |port| port.parse())?;
    let data = args.next().map(PathBuf::from);
    let readings = Definition {
        bind: vec!["sensors/+/temperature".to_owned()],
        by_key: true,
        key: KeyOf::Topic, // one device's readings in order, whoever handles them
        ..Definition::default()
    };
    let options = Options {
        listeners: vec![ListenerOptions::tcp((Ipv4Addr::LOCALHOST, port).into())],
        queues: vec![("readings".to_owned(), readings)],
        data: data.map(|directory| DataOptions { directory, store: primer::journal::Options::default(), probe: None }),
        ..Options::default()
    };
    let broker = Broker::start(options, Anonymous, Open)?;
    println!("devices may come to {:?}", broker.addresses());
    let handlers: Vec<_> = (0..2).map(|_| tokio::spawn(handle(broker.node()))).collect();
    tokio::signal::ctrl_c().await?;
    broker.shutdown(Duration::from_secs(2)).await;
    for handler in handlers {
        handler.await??;
    }
    Ok(())
}

/// Handles readings until the broker stops.
async fn handle(node: Node) -> anyhow::Result<()> {
    let mut readings = node.queue("readings")?.consume(100)?;
    while let Some(reading) = readings.next().await {
        let device = reading.topic().split('/').nth(1).unwrap_or_default().to_owned();
        match reading.text().map(str::parse::<f64>) {
            Some(Ok(celsius)) => {
                if celsius > 80.0 {
                    // Devices and panels that subscribe over MQTT get it, and late ones as well: it is retained.
                    let alarm = Message::new(format!("{celsius} C")).topic(format!("alarms/{device}")).retain(true);
                    node.publish(alarm).await?;
                }
                reading.ack()?;
            }
            _ => drop(reading.reject()?), // no number: for somebody to look at, in $dead/readings
        }
    }
    Ok(())
}
