//! Who is let in while it changes who may be.

use std::sync::{
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, SyncSender, sync_channel},
};

use parking_lot::Mutex;
use primer_mqtt::auth::scram::Credentials;

use super::*;
use crate::access::{Attempt, Identity, Standing};

/// Says when it is asked, and answers when it is told to: that the client may come in. Whether it may stay is another
/// matter.
struct Slow {
    asked: SyncSender<()>,
    go: Mutex<Receiver<()>>,
    may_stay: Arc<AtomicBool>,
}

impl Authenticator for Slow {
    fn authenticate(&self, _: &Attempt<'_>) -> Result<Standing, ReasonCode> {
        self.asked.send(()).unwrap();
        self.go.lock().recv_timeout(PATIENCE).unwrap();
        Ok(Standing::Proven)
    }

    fn may_stay(&self, _: &Identity) -> bool {
        self.may_stay.load(Ordering::SeqCst)
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }

    fn offers_scram(&self) -> bool {
        false
    }
}

/// A password is right when it is looked at, and a reload takes its user away before the session opens: whoever goes
/// over the sessions in between does not find this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_let_in_while_access_changes_is_asked_about_again() {
    let (asked, is_asked) = sync_channel(1);
    let (go, may_go) = sync_channel(1);
    let may_stay = Arc::new(AtomicBool::new(true));
    let slow = Slow { asked, go: Mutex::new(may_go), may_stay: Arc::clone(&may_stay) };
    let options = Options { listeners: Vec::new(), sys_interval: Duration::ZERO, ..Options::default() };
    let broker = Broker::start(options, slow, Open).unwrap();
    let mut client = Client::of(&broker);
    client.connect("c").await;
    tokio::task::spawn_blocking(move || is_asked.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    may_stay.store(false, Ordering::SeqCst);
    broker.access_changed();
    go.send(()).unwrap();
    let mut last = client.read().await;
    if last == "ConnAck 0x00" {
        last = client.read().await;
    }
    assert_eq!(last, "closed");
    broker.shutdown(Duration::ZERO).await;
}
