//! Rules on measured values: threshold-alarm, dead-band, units, downsample.

use crate::player::{ODD, Player};

/// The time of the messages of a player.
const TIME: &str = "2026-11-28T20:15:00Z";

#[test]
fn threshold_alarm_says_once_that_it_is_too_high_and_once_that_it_is_well() {
    let mut player = Player::of("threshold-alarm.rhai");
    let mut say = |celsius: &str| player.publish("sensors/boiler/temperature", format!("{{\"celsius\": {celsius}}}"));
    assert!(say("79.9").is_empty());
    assert_eq!(
        say("85.5"),
        [&*format!(
            r#"alarms/boiler {{"alarm":true,"device":"boiler","limit":80.0,"time":"{TIME}","value":85.5}} (retained)"#
        )]
    );
    for within in ["90", "79", "75.1", "80.0"] {
        assert!(say(within).is_empty(), "{within}");
    }
    assert_eq!(
        say("75"),
        [&*format!(
            r#"alarms/boiler {{"alarm":false,"device":"boiler","limit":75.0,"time":"{TIME}","value":75}} (retained)"#
        )]
    );
    for below in ["75.1", "79.9", "-40"] {
        assert!(say(below).is_empty(), "{below}");
    }
    assert_eq!(say("80").len(), 1, "the limit itself is too high");
    assert_eq!(say("18446744073709551615").len(), 0);
    assert_eq!(say("-1e300").len(), 1);
}

#[test]
fn threshold_alarm_knows_devices_apart_and_ignores_the_rest() {
    let mut player = Player::of("threshold-alarm.rhai");
    assert_eq!(player.publish("sensors/a/temperature", r#"{"celsius":99}"#).len(), 1);
    assert_eq!(player.publish("sensors/b/temperature", r#"{"celsius":99}"#).len(), 1);
    assert_eq!(player.publish("sensors//temperature", r#"{"celsius":99}"#).len(), 1);
    assert_eq!(player.publish("sensors/~ä b/temperature", r#"{"celsius":99}"#).len(), 1);
    player.ignores("sensors/a/temperature", ODD);
    for device in ["a", "b", "", "~ä b"] {
        assert_eq!(player.publish(&format!("sensors/{device}/temperature"), r#"{"celsius":0}"#).len(), 1);
    }
    assert_eq!(player.state_bytes(), 0, "what is well is forgotten");
}

#[test]
fn dead_band_passes_on_what_is_far_enough_or_late() {
    let mut player = Player::of("dead-band.rhai");
    let topic = "sensors/hall/humidity";
    assert_eq!(player.publish(topic, r#"{"percent": 41.0}"#), [r#"slow/hall/humidity {"percent": 41.0}"#]);
    assert!(player.publish(topic, r#"{"percent": 41.2}"#).is_empty());
    assert!(player.publish(topic, r#"{"percent": 40.1}"#).is_empty());
    assert_eq!(player.publish(topic, r#"{"percent": 42.1}"#), [r#"slow/hall/humidity {"percent": 42.1}"#]);
    assert!(player.publish(topic, r#"{"percent": 41.2}"#).is_empty(), "the band is about what was passed on");
    assert_eq!(player.publish("sensors/yard/humidity", r#"{"percent": 42}"#).len(), 1);

    assert!(player.after(899_999).publish(topic, r#"{"percent": 42.2}"#).is_empty());
    assert_eq!(player.after(1).publish(topic, r#"{"percent": 42.3}"#).len(), 1, "it was silent for long enough");
    assert!(player.after(899_999).publish(topic, r#"{"percent": 43.2}"#).is_empty());
    player.after(3_600_000).ignores(topic, ODD);
    assert_eq!(player.publish(topic, r#"{"percent": 43.2}"#).len(), 1);
}

#[test]
fn units_are_converted_and_the_rest_stays() {
    let mut player = Player::of("units.rhai");
    assert_eq!(
        player.publish("yard/7", r#"{"temp_f": 186.8, "pressure_psi": 100, "wind_mph": 10, "door": "open"}"#),
        [r#"metric/yard/7 {"celsius":86.0,"door":"open","pressure_bar":6.89,"wind_kmh":16.1}"#]
    );
    assert_eq!(player.publish("yard/7", r#"{"temp_f": -40}"#), [r#"metric/yard/7 {"celsius":-40.0}"#]);
    assert_eq!(player.publish("yard/", r#"{"x":[1,{"temp_f":1}]}"#), [r#"metric/yard/ {"x":[1,{"temp_f":1}]}"#]);
    // What cannot be converted stays as it is, with its digits.
    for same in [r#"{"temp_f":null}"#, r#"{"temp_f":"warm","wind_mph":[1]}"#, r#"{"temp_f":1e400}"#, "{}"] {
        assert_eq!(player.publish("yard/7", same), [format!("metric/yard/7 {same}")]);
    }
    player.ignores("yard/7", &ODD[..10]);
}

#[test]
fn downsample_says_each_minute_once() {
    let mut player = Player::of("downsample.rhai");
    let topic = "fast/motor/current";
    for ampere in ["3.1", "2.9", "3.4", "2.8"] {
        assert!(player.after(10_000).publish(topic, format!("{{\"ampere\":{ampere}}}")).is_empty());
    }
    player.ignores(topic, ODD);
    // 20:15:40 until now: the next minute begins at 20:16.
    assert!(player.after(19_999).publish(topic, r#"{"ampere":3}"#).is_empty());
    assert_eq!(
        player.after(1).publish(topic, r#"{"ampere":9}"#),
        [r#"slow/motor/current {"average":3.04,"count":5,"max":3.4,"min":2.8,"time":"2026-11-28T20:15:00Z"}"#]
    );
    assert!(player.publish("fast/fan/current", r#"{"ampere":1}"#).is_empty());
    // Silence makes no messages of nothing; what comes late, by the clock of the publisher, joins what is there.
    assert_eq!(
        player.after(3_600_000).publish(topic, r#"{"ampere":1}"#),
        [r#"slow/motor/current {"average":9.0,"count":1,"max":9,"min":9,"time":"2026-11-28T20:16:00Z"}"#]
    );
    player.now_ms -= 120_000;
    assert!(player.publish(topic, r#"{"ampere":2}"#).is_empty());
    for odd in ["fast//current", "fast/~x/current"] {
        assert!(player.publish(odd, r#"{"ampere":1}"#).is_empty());
    }
}

#[test]
fn downsample_takes_little_room() {
    let mut player = Player::of("downsample.rhai");
    for n in 0..2_000 {
        let _summaries = player.after(7).publish("fast/motor/current", format!("{{\"ampere\":{n}.25}}"));
    }
    assert!(player.state_bytes() < 200, "{}", player.state_bytes());
}
