//! `--overflow dead-letter`: what a session has no room for goes to `$dead/sessions`.

use primer_harness::wire::prop;
use primer_harness::{Broker, Client, SILENCE, Version};

fn check(args: &[&str], is_killed: bool) {
    let mut broker = Broker::with_args(&[&["--max-queued-messages", "3", "--overflow", "dead-letter"], args].concat());
    for version in Version::BOTH {
        let id = format!("panel-{version:?}");
        let topic = format!("alarms/{version:?}");
        let mut panel = Client::connect_with(broker.addr(), version, &id, |c| c.clean(false).session_expiry(600));
        panel.subscribe(&topic, 1);
        panel.disconnect();
        let mut publisher = Client::connect_with(broker.addr(), version, "publisher", |c| c);
        for n in 0..5 {
            assert_eq!(publisher.publish(&topic, n.to_string(), 1 + n % 2), 0, "it is kept, here or there");
        }
        publisher.disconnect();
        if is_killed {
            broker.kill9();
            broker.start_again();
        }
        let mut panel = Client::connect_with(broker.addr(), version, &id, |c| c.clean(false).session_expiry(600));
        let texts: Vec<_> = panel.recv_publishes(3).iter().map(primer_harness::Publish::text).collect();
        assert_eq!(texts, ["0", "1", "2"]);
        panel.expect_no_publish(SILENCE / 4);
        panel.disconnect();
        let mut operator = Client::v5(broker.addr(), "operator");
        operator.subscribe("$dead/sessions", 1);
        for text in ["3", "4"] {
            let letter = operator.recv();
            assert_eq!((letter.text(), &letter.topic), (text.to_owned(), &topic));
            let users = prop::user_properties(&letter.props);
            assert!(users.contains(&("primer-dead-group", &id)) && users.contains(&("primer-dead-reason", "overflow")));
        }
        operator.ping();
        operator.disconnect();
    }
}

#[test]
fn what_a_session_has_no_room_for_goes_to_the_dead_letters() {
    check(&[], false);
}

#[test]
fn it_is_there_after_kill_9() {
    check(&["--data", "data"], true);
}
