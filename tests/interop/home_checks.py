"""How home automation uses a broker: `home_checks.py PORT CHECK VERSION`, where VERSION is 4 or 5, with paho-mqtt, which
Home Assistant has. Devices announce themselves by retained discovery messages, bridges and devices say by retained
messages and wills whether they are there, and Home Assistant says by a birth message that is not retained that it is.

The checks `announce` and `come_back` belong together: the broker is killed and started again between them.
"""

import json
import queue
import socket
import sys

import paho.mqtt.client as mqtt

PORT = int(sys.argv[1])
VERSION = int(sys.argv[3])
WAIT = 20

DEVICES = 300
ENTITIES = ("temperature", "humidity", "battery", "linkquality", "voltage")
# What Home Assistant subscribes to at once when it starts: overlapping wildcards.
DISCOVERY = ["homeassistant/+/+/config", "homeassistant/+/+/+/config", "homeassistant/device_automation/+/+/config"]


class Peer:
    def __init__(self, name, will=None, clean=True):
        self.messages, self.heard = queue.Queue(), queue.Queue()
        session = {} if VERSION == 5 else {"clean_session": clean}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=VERSION, **session)
        if will:
            self.client.will_set(*will)
        self.client.on_connect = lambda c, u, flags, reason, props: self.heard.put(reason)
        self.client.on_subscribe = lambda c, u, mid, reasons, props: self.heard.put(reasons)
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.connect("127.0.0.1", PORT, keepalive=60)
        self.client.loop_start()
        assert self.heard.get(timeout=WAIT) == 0

    def subscribe(self, filters):
        self.client.subscribe(filters)
        return self.heard.get(timeout=WAIT)

    def publish(self, topic, payload, qos=0, retain=False):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(WAIT)

    def take(self, count):
        return [self.messages.get(timeout=WAIT) for _ in range(count)]

    def nothing_more(self):
        try:
            message = self.messages.get(timeout=0.5)
        except queue.Empty:
            return
        raise AssertionError(f"an unexpected message: {message.topic}")

    def die(self):
        """The power goes: no DISCONNECT, and no reconnect."""
        self.client.on_disconnect = None
        self.client.reconnect_delay_set(3600, 3600)
        self.client.socket().shutdown(socket.SHUT_RDWR)


def config_of(device, entity):
    return {
        "name": entity, "unique_id": f"{device}_{entity}_zigbee2mqtt", "state_topic": f"zigbee2mqtt/{device}",
        "availability": [{"topic": "zigbee2mqtt/bridge/state"}, {"topic": f"zigbee2mqtt/{device}/availability"}],
        "value_template": "{{ value_json.%s }}" % entity, "device": {"identifiers": [device], "model": "WSDCGQ11LM"},
    }


def devices():
    return [f"0x00158d{number:010x}" for number in range(DEVICES)]


def inventory():
    """The one retained message of Zigbee2MQTT that has hundreds of kilobytes."""
    return json.dumps([{"ieee_address": device, "definition": {"exposes": "x" * 1200}} for device in devices()])


def announce():
    """Zigbee2MQTT starts: its state, its devices, and the discovery of all entities, all retained."""
    bridge = Peer("zigbee2mqtt", will=("zigbee2mqtt/bridge/state", '{"state":"offline"}', 1, True))
    bridge.publish("zigbee2mqtt/bridge/state", '{"state":"online"}', 1, True)
    bridge.publish("zigbee2mqtt/bridge/devices", inventory(), 1, True)
    last = None
    for device in devices():
        for entity in ENTITIES:
            topic = f"homeassistant/sensor/{device}/{entity}/config"
            last = bridge.client.publish(topic, json.dumps(config_of(device, entity)), 1, True)
        bridge.client.publish(f"zigbee2mqtt/{device}/availability", '{"state":"online"}', 1, True)
    last.wait_for_publish(WAIT)
    tasmota = Peer("tasmota", will=("tele/tasmota_1/LWT", "Offline", 1, True))
    tasmota.publish("tele/tasmota_1/LWT", "Online", 1, True)
    bridge.publish("zigbee2mqtt/bridge/info", "done", 1, True)


def come_back():
    """The broker has been killed. Home Assistant finds every entity again, each once, byte for byte, and those that were
    connected are said to be gone."""
    home = Peer("home", will=("homeassistant/status", "offline", 0, False))
    home.subscribe([(topic, 0) for topic in DISCOVERY])
    got = home.take(DEVICES * len(ENTITIES))
    assert all(message.retain for message in got)
    configs = {message.topic: json.loads(message.payload) for message in got}
    assert len(configs) == len(got), "a discovery message came twice"
    for device in devices():
        for entity in ENTITIES:
            assert configs[f"homeassistant/sensor/{device}/{entity}/config"] == config_of(device, entity)
    home.subscribe([("zigbee2mqtt/bridge/devices", 0)])
    assert home.take(1)[0].payload.decode() == inventory()
    home.nothing_more()


def availability():
    """Birth and will: both sides know when the other goes and comes."""
    home = Peer("home", will=("homeassistant/status", "offline", 0, False))
    bridge = Peer("zigbee2mqtt", will=("zigbee2mqtt/bridge/state", '{"state":"offline"}', 1, True))
    bridge.subscribe([("homeassistant/status", 0)])
    bridge.publish("zigbee2mqtt/bridge/state", '{"state":"online"}', 1, True)
    home.publish("homeassistant/status", "online", 0, False)
    birth = bridge.take(1)[0]
    assert (birth.payload, birth.retain) == (b"online", False)
    home.subscribe([("zigbee2mqtt/bridge/state", 0)])
    assert json.loads(home.take(1)[0].payload) == {"state": "online"}
    bridge.die()
    assert json.loads(home.take(1)[0].payload) == {"state": "offline"}
    late = Peer("late")
    late.subscribe([("zigbee2mqtt/bridge/state", 0), ("homeassistant/status", 0)])
    state = late.take(1)[0]  # and no birth message, which was not retained
    assert state.retain and json.loads(state.payload) == {"state": "offline"}
    home.die()
    gone = late.take(1)[0]
    assert (gone.topic, gone.payload, gone.retain) == ("homeassistant/status", b"offline", False)


def removal():
    """An empty retained message on a discovery topic removes an entity, for those who are there and those who come."""
    bridge, home = Peer("zigbee2mqtt"), Peer("home")
    home.subscribe([(topic, 0) for topic in DISCOVERY])
    topic = "homeassistant/sensor/0x1/temperature/config"
    bridge.publish(topic, json.dumps(config_of("0x1", "temperature")), 1, True)
    assert home.take(1)[0].topic == topic
    bridge.publish(topic, b"", 1, True)
    removed = home.take(1)[0]
    assert (removed.topic, removed.payload) == (topic, b"")
    late = Peer("late")
    late.subscribe([(topic, 0)])
    late.nothing_more()


def explorer():
    """MQTT Explorer asks for `#` and `$SYS/#` at once, and gets all that is retained, large pictures as well."""
    camera = Peer("frigate")
    picture = bytes(range(256)) * 800
    camera.publish("frigate/available", "online", 1, True)
    camera.publish("frigate/front/person/snapshot", picture, 1, True)
    explorer = Peer("explorer")
    explorer.subscribe([("#", 0), ("$SYS/#", 0)])
    seen = {}
    while not {"frigate/available", "frigate/front/person/snapshot", "$SYS/broker/version"} <= seen.keys():
        message = explorer.take(1)[0]
        seen[message.topic] = message.payload
    assert seen["frigate/front/person/snapshot"] == picture
    assert seen["frigate/available"] == b"online"


globals()[sys.argv[2]]()
