//! Rules for firmware that many have: tasmota, zigbee2mqtt. Payloads are those of real devices.

use crate::player::{ODD, Player};

#[test]
fn tasmota_telemetry_is_one_message_a_quantity() {
    let mut player = Player::of("tasmota.rhai");
    assert_eq!(
        player.publish(
            "tele/plug1/SENSOR",
            r#"{"Time":"2026-11-28T20:15:00","AM2301":{"Temperature":21.5,"Humidity":40.1},"TempUnit":"C"}"#
        ),
        ["devices/plug1/am2301/humidity 40.1", "devices/plug1/am2301/temperature 21.5"]
    );
    assert_eq!(
        player.publish(
            "tele/meter/SENSOR",
            r##"{"Time":"2026-11-28T20:15:00","ENERGY":{"TotalStartTime":"2024-01-01T00:00:00","Total":3.185,
                "Power":[12,0],"Factor":0.96},"DS18B20-1":{"Id":"0316A279","Temperature":null},"Switch1":"OFF",
                "PressureUnit":"hPa","TempUnit":"C","A+B":{"#":1}}"##
        ),
        [
            "devices/meter/a_b/_ 1",
            r#"devices/meter/ds18b20-1/id "0316A279""#,
            "devices/meter/energy/factor 0.96",
            "devices/meter/energy/power/0 12",
            "devices/meter/energy/power/1 0",
            "devices/meter/energy/total 3.185",
            r#"devices/meter/energy/totalstarttime "2024-01-01T00:00:00""#,
            r#"devices/meter/switch1 "OFF""#,
        ]
    );
    player.ignores("tele/plug1/SENSOR", &ODD[..11]);
}

#[test]
fn tasmota_states_are_power_brightness_and_reception() {
    let mut player = Player::of("tasmota.rhai");
    assert_eq!(
        player.publish(
            "tele/plug1/STATE",
            r#"{"Time":"2026-11-28T20:15:00","Uptime":"1T02:03:04","UptimeSec":93784,"Heap":25,"SleepMode":"Dynamic",
                "Sleep":50,"LoadAvg":19,"MqttCount":1,"POWER1":"ON","POWER2":"OFF","Dimmer":42,"Wifi":{"AP":1,
                "SSId":"x","BSSId":"AA:BB:CC:DD:EE:FF","Channel":6,"Mode":"11n","RSSI":78,"Signal":-61,
                "LinkCount":1,"Downtime":"0T00:00:05"}}"#
        ),
        [
            "devices/plug1/power1 true (retained)",
            "devices/plug1/power2 false (retained)",
            "devices/plug1/dimmer 42",
            "devices/plug1/wifi/rssi 78",
            "devices/plug1/wifi/signal -61",
        ]
    );
    player.ignores("tele/plug1/STATE", ODD);
    player.ignores("tele/plug1/STATE", &[br#"{"POWER":true,"POWERX":"ON","Wifi":"x"}"#]);
    assert_eq!(player.publish("stat/plug1/POWER", "ON"), ["devices/plug1/power true (retained)"]);
    assert_eq!(player.publish("stat/plug1/POWER2", "OFF"), ["devices/plug1/power2 false (retained)"]);
    for state in ["TOGGLE", "HOLD", "BLINK ON", "on", "{\"POWER\":\"ON\"}"] {
        player.ignores("stat/plug1/POWER", &[state.as_bytes()]);
    }
    player.ignores("stat/plug1/POWER", ODD);
}

#[test]
fn tasmota_presence_is_known_and_the_rest_is_not_for_it() {
    let mut player = Player::of("tasmota.rhai");
    assert_eq!(player.publish("tele/plug1/LWT", "Online"), ["devices/plug1/online true (retained)"]);
    assert_eq!(player.publish("tele/plug1/LWT", "Offline"), ["devices/plug1/online false (retained)"]);
    player.ignores("tele/plug1/LWT", ODD);
    for topic in [
        "stat/plug1/RESULT",
        "stat/plug1/STATUS10",
        "stat/plug1/POWERONSTATE",
        "tele/plug1/INFO1",
        "tele/plug1/UPTIME",
        "tele/plug1/RESULT",
        "cmnd/plug1/POWER",
        "tasmota/discovery/AABBCCDDEEFF/config",
        "tele/kitchen/plug1/SENSOR",
    ] {
        player.ignores(topic, &[br#"{"POWER":"ON"}"#, b"ON"]);
    }
}

#[test]
fn zigbee2mqtt_says_what_has_changed() {
    let mut player = Player::of("zigbee2mqtt.rhai");
    let window = r#"{"battery":97,"contact":false,"linkquality":116,"update":{"state":"idle","installed_version":1}}"#;
    assert_eq!(
        player.publish("zigbee2mqtt/window", window),
        ["devices/window/battery 97 (retained)", "devices/window/contact false (retained)"]
    );
    assert!(player.publish("zigbee2mqtt/window", window).is_empty());
    assert_eq!(
        player.publish("zigbee2mqtt/window", r#"{"battery":97.0,"contact":true,"last_seen":1,"voltage":null}"#),
        ["devices/window/contact true (retained)"]
    );
    assert_eq!(player.publish("zigbee2mqtt/0x00158d0001abcdef", r#"{"temperature":27.34}"#).len(), 1);
    assert_eq!(
        player.publish("zigbee2mqtt/kitchen/lamp", r#"{"state":"ON","color":{"x":0.4,"y":0.5},"a+b":1}"#),
        [
            "devices/kitchen/lamp/a_b 1 (retained)",
            r#"devices/kitchen/lamp/color {"x":0.4,"y":0.5} (retained)"#,
            r#"devices/kitchen/lamp/state "ON" (retained)"#,
        ]
    );
}

/// A button that is pressed twice has been pressed twice: 2.0 sends no empty `action` in between.
#[test]
fn zigbee2mqtt_tells_each_press() {
    let mut player = Player::of("zigbee2mqtt.rhai");
    for _ in 0..2 {
        let said = player.publish("zigbee2mqtt/switch", r#"{"action":"single","battery":100}"#);
        assert_eq!(said[0], r#"devices/switch/action "single""#);
    }
    assert!(player.publish("zigbee2mqtt/switch", r#"{"action":"","battery":100}"#).is_empty());
    assert!(player.publish("zigbee2mqtt/switch", r#"{"action":null,"battery":100}"#).is_empty());
}

#[test]
fn zigbee2mqtt_knows_who_is_there() {
    let mut player = Player::of("zigbee2mqtt.rhai");
    let online = "devices/kitchen/lamp/online true (retained)";
    assert_eq!(player.publish("zigbee2mqtt/kitchen/lamp/availability", r#"{"state":"online"}"#), [online]);
    assert_eq!(player.publish("zigbee2mqtt/kitchen/lamp/availability", "online"), [online]);
    let offline = player.publish("zigbee2mqtt/window/availability", r#"{"state":"offline"}"#);
    assert_eq!(offline, ["devices/window/online false (retained)"]);
    player.ignores("zigbee2mqtt/window/availability", ODD);
}

#[test]
fn zigbee2mqtt_leaves_out_the_bridge_and_commands() {
    let mut player = Player::of("zigbee2mqtt.rhai");
    for topic in [
        "zigbee2mqtt",
        "zigbee2mqtt/bridge/state",
        "zigbee2mqtt/bridge/info",
        "zigbee2mqtt/bridge/devices",
        "zigbee2mqtt/bridge/request/permit_join",
        "zigbee2mqtt/bridge/availability",
        "zigbee2mqtt/lamp/set",
        "zigbee2mqtt/lamp/get",
        "zigbee2mqtt/lamp/set/state",
        "zigbee2mqtt/kitchen/lamp/left/set",
    ] {
        player.ignores(topic, &[br#"{"state":"online"}"#, b"ON", b""]);
    }
    player.ignores("zigbee2mqtt/window", &ODD[..11]);
    player.ignores("zigbee2mqtt/lamp/brightness", &[b"215"]);
}
