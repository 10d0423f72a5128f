"""Checks of a broker with paho-mqtt: `paho_checks.py PORT CHECK VERSION`, where VERSION is 4 or 5.

Each check is a function of this file; a failed one ends with a traceback and exit code 1.
"""

import queue
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

WAIT = 10
PORT = int(sys.argv[1])
VERSION = int(sys.argv[3])


class Peer:
    """A client with its network thread; what its callbacks hear can be awaited."""

    def __init__(self, name, clean=True, expiry=0, version=VERSION, properties=None, **options):
        self.heard = {kind: queue.Queue() for kind in ("connect", "disconnect", "subscribe", "unsubscribe", "publish")}
        self.messages = queue.Queue()
        is_v5 = version == 5
        session = {} if is_v5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, **session, **options
        )
        self.client.reconnect_delay_set(min_delay=0.05, max_delay=0.2)
        self.client.on_connect = lambda c, u, flags, reason, props: self.heard["connect"].put((flags, reason, props))
        self.client.on_disconnect = lambda c, u, flags, reason, props: self.heard["disconnect"].put(reason)
        self.client.on_subscribe = lambda c, u, mid, reasons, props: self.heard["subscribe"].put((mid, reasons))
        self.client.on_unsubscribe = lambda c, u, mid, reasons, props: self.heard["unsubscribe"].put((mid, reasons))
        self.client.on_publish = lambda c, u, mid, reason, props: self.heard["publish"].put((mid, reason))
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        connect = {}
        if is_v5:
            properties = properties or Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            connect = {"clean_start": clean, "properties": properties}
        self.client.connect("127.0.0.1", PORT, keepalive=30, **connect)
        self.client.loop_start()
        self.flags, reason, self.connack = self.next("connect")
        assert reason == 0, reason

    def next(self, kind):
        return self.heard[kind].get(timeout=WAIT)

    def subscribe(self, *args, **kwargs):
        code, mid = self.client.subscribe(*args, **kwargs)
        assert code == mqtt.MQTT_ERR_SUCCESS, code
        got, reasons = self.next("subscribe")
        assert got == mid, (got, mid)
        return [reason.value for reason in reasons]

    def publish(self, *args, **kwargs):
        self.client.publish(*args, **kwargs).wait_for_publish(WAIT)

    def take(self, count):
        return [self.messages.get(timeout=WAIT) for _ in range(count)]

    def texts(self, count):
        return [message.payload.decode() for message in self.take(count)]

    def nothing_more(self, wait=0.3):
        try:
            message = self.messages.get(timeout=wait)
        except queue.Empty:
            return
        raise AssertionError(f"an unexpected message: {message.topic} {message.payload[:80]!r}")

    def leave(self):
        self.client.disconnect()
        self.next("disconnect")
        self.client.loop_stop()

    def cut(self):
        """Cuts the connection as a failing network does; paho connects again by itself."""
        self.client.socket().shutdown(socket.SHUT_RDWR)


def publish_properties(**values):
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def callbacks():
    """Every callback is called with the right thing."""
    peer = Peer("callbacks")
    assert not peer.flags.session_present
    assert peer.subscribe([("a/+", 2), ("b", 1), ("c", 0)]) == [2, 1, 0]
    for qos in range(3):
        info = peer.client.publish("a/x", f"qos {qos}", qos=qos)
        mid, reason = peer.next("publish")
        assert mid == info.mid and reason == 0, (mid, reason)
    got = peer.take(3)
    assert [(m.topic, m.qos, m.retain, m.payload) for m in got] == [
        ("a/x", qos, False, b"qos %d" % qos) for qos in range(3)
    ]
    _, mid = peer.client.unsubscribe(["a/+", "never"])
    got, reasons = peer.next("unsubscribe")
    assert got == mid
    assert [reason.value for reason in reasons] == ([0, 0x11] if VERSION == 5 else []), reasons
    peer.publish("a/x", "nobody", qos=1)
    if VERSION == 5:
        peer.heard["publish"].get(timeout=WAIT)
    peer.nothing_more()
    peer.client.disconnect()
    assert peer.next("disconnect") == 0
    if VERSION == 5:
        assert_refusal_is_told()


def assert_refusal_is_told():
    """A PUBACK tells that nobody subscribes."""
    peer = Peer("told")
    peer.client.publish("nobody/here", "x", qos=1)
    _, reason = peer.next("publish")
    assert reason.value == 0x10, reason
    peer.leave()


def exactly_once_both_ways():
    """500 messages of QoS 2 from one to the other and back, each once and in order."""
    left, right = Peer("left"), Peer("right")
    assert right.subscribe("to/right", 2) == [2]
    assert left.subscribe("to/left", 2) == [2]
    right.client.on_message = lambda c, u, m: (right.messages.put(m), c.publish("to/left", m.payload, qos=2))
    numbers = [str(number) for number in range(500)]
    for number in numbers:
        left.client.publish("to/right", number, qos=2)
    assert right.texts(500) == numbers
    back = left.take(500)
    assert [m.payload.decode() for m in back] == numbers
    assert all(m.qos == 2 and not m.dup for m in back)
    left.nothing_more()
    right.nothing_more(0)
    left.leave()
    right.leave()


def session_survives():
    """A session keeps its subscriptions and the messages for it; a clean start ends it."""
    sleeper = Peer("sleeper", clean=False, expiry=3600)
    assert not sleeper.flags.session_present
    sleeper.subscribe([("news/#", 2)])
    sleeper.leave()
    other = Peer("other")
    for number in range(100):
        other.publish("news/x", str(number), qos=1 + number % 2)
    sleeper = Peer("sleeper", clean=False, expiry=3600)
    assert sleeper.flags.session_present
    got = sleeper.take(100)
    for qos in (1, 2):  # paho shows a message of QoS 2 when it is released: later ones of QoS 1 overtake it there
        texts = [m.payload.decode() for m in got if m.qos == qos]
        assert texts == [str(number) for number in range(qos - 1, 100, 2)], texts
    sleeper.leave()
    sleeper = Peer("sleeper", clean=True)
    assert not sleeper.flags.session_present
    other.publish("news/x", "late", qos=1)
    sleeper.nothing_more()
    sleeper.leave()
    other.leave()


def cut_connections_lose_nothing():
    """Both sides lose their connections again and again while 600 messages of QoS 2 go through: each comes once."""
    sender = Peer("sender", clean=False, expiry=3600)
    taker = Peer("taker", clean=False, expiry=3600)
    taker.subscribe("stream", 2)
    numbers = [str(number) for number in range(600)]
    infos = []
    for number in numbers:
        infos.append(sender.client.publish("stream", number, qos=2))
        if int(number) % 150 == 75:
            sender.cut()
            assert sender.next("connect")[0].session_present
        if int(number) % 150 == 149:
            taker.cut()
            assert taker.next("connect")[0].session_present
    for info in infos:
        info.wait_for_publish(WAIT)
    got = taker.texts(600)
    assert sorted(got, key=int) == numbers, f"{len(set(got))} different ones of {len(got)}"
    taker.nothing_more()
    sender.leave()
    taker.leave()


def topic_alias():
    """An alias stands for its topic, may be given to another one, and is not passed on."""
    taker, sender = Peer("taker"), Peer("sender")
    assert sender.connack.TopicAliasMaximum >= 2
    taker.subscribe("#", 1)
    steps = [("long/topic/name", 1), ("", 1), ("other", 2), ("", 1), ("", 2), ("third", 1), ("", 1)]
    for number, (topic, alias) in enumerate(steps):
        sender.publish(topic, str(number), qos=number % 3, properties=publish_properties(TopicAlias=alias))
    got = taker.take(len(steps))
    first, other, third = "long/topic/name", "other", "third"
    assert [m.topic for m in got] == [first, first, other, first, other, third, third]
    assert [m.payload.decode() for m in got] == [str(number) for number in range(len(steps))]
    assert not any(hasattr(m.properties, "TopicAlias") for m in got)
    sender.leave()
    taker.leave()


def message_expiry():
    """What expires before its client comes back is gone; what does not comes with the time that is left."""
    sleeper = Peer("sleeper", clean=False, expiry=3600)
    sleeper.subscribe("brief", 1)
    sleeper.leave()
    sender = Peer("sender")
    for text, seconds in [("gone", 1), ("kept", 100), ("gone too", 1)]:
        sender.publish("brief", text, qos=1, properties=publish_properties(MessageExpiryInterval=seconds))
        sender.publish(f"kept/{text}", text, qos=1, retain=True,
                       properties=publish_properties(MessageExpiryInterval=seconds))
    time.sleep(2.1)
    sleeper = Peer("sleeper", clean=False, expiry=3600)
    (kept,) = sleeper.take(1)
    assert kept.payload == b"kept" and 90 <= kept.properties.MessageExpiryInterval <= 98, kept.properties
    sleeper.subscribe("kept/#", 1)
    (kept,) = sleeper.take(1)
    assert kept.retain and kept.payload == b"kept" and 90 <= kept.properties.MessageExpiryInterval <= 98
    sleeper.nothing_more()
    sleeper.leave()
    sender.leave()


def shared_subscription():
    """Three workers and 600 messages: each message comes to one of them, and each worker has a share."""
    workers = [Peer(f"worker-{number}") for number in range(3)]
    for worker in workers:
        assert worker.subscribe("$share/crew/jobs/#", 1) == [1]
    everything = Peer("everything")
    everything.subscribe("jobs/#", 1)
    sender = Peer("sender")
    numbers = [str(number) for number in range(600)]
    for number in numbers:
        sender.client.publish("jobs/x", number, qos=1)
    assert everything.texts(600) == numbers
    deadline = time.monotonic() + WAIT
    while sum(worker.messages.qsize() for worker in workers) < 600 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    shares = [worker.texts(worker.messages.qsize()) for worker in workers]
    assert sorted(sum(shares, []), key=int) == numbers, [len(share) for share in shares]
    assert all(len(share) >= 100 for share in shares), [len(share) for share in shares]
    assert all(share == sorted(share, key=int) for share in shares), "a worker's messages are out of order"
    for peer in [*workers, everything, sender]:
        peer.leave()


def a_worker_dies():
    """A worker dies with messages that it has not acknowledged: the others of its group get them."""
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 20
    dying = Peer("dying", properties=properties, manual_ack=True)
    workers = [Peer(f"worker-{number}") for number in range(2)]
    for worker in [dying, *workers]:
        worker.subscribe("$share/crew/jobs", 1)
    sender = Peer("sender")
    numbers = [str(number) for number in range(300)]
    for number in numbers[:150]:
        sender.publish("jobs", number, qos=1)
    held = dying.texts(20)
    dying.nothing_more()
    dying.client.loop_stop()
    dying.client.socket().close()
    for number in numbers[150:]:
        sender.publish("jobs", number, qos=1)
    deadline = time.monotonic() + WAIT
    while sum(worker.messages.qsize() for worker in workers) < 300 and time.monotonic() < deadline:
        time.sleep(0.01)
    got = sum([worker.texts(worker.messages.qsize()) for worker in workers], [])
    lost = len(set(held) - set(got))
    assert sorted(set(got), key=int) == numbers, f"{len(set(got))} of 300; {lost} of the held are lost"
    assert len(got) == 300, f"{len(got)} messages"
    for peer in [*workers, sender]:
        peer.leave()


def queue_groups():
    """Two groups of a queue get everything; what a worker holds that dies goes to the others of its group."""
    for qos in (1, 2):
        filters = [f"$share/{group}/$queue/work/{qos}" for group in ("a", "b")]
        sender = Peer(f"sender-{qos}")
        # The groups are there before the messages: a later one begins with what is left.
        for its in filters:
            sender.subscribe(its, qos)
            sender.client.unsubscribe(its)
            sender.next("unsubscribe")
        numbers = [str(number) for number in range(300)]
        for number in numbers[:100]:
            sender.publish(f"$queue/work/{qos}", number, qos=qos)
        dying = Peer(f"dying-{qos}", manual_ack=True)
        dying.subscribe(filters[0], qos)
        crews = [[Peer(f"worker-{qos}-{group}-{number}") for number in range(2)] for group in range(2)]
        for crew, its in zip(crews, filters):
            for worker in crew:
                assert worker.subscribe(its, qos) == [qos]
        for number in numbers[100:200]:
            sender.publish(f"$queue/work/{qos}", number, qos=qos)
        time.sleep(0.3)
        dying.client.loop_stop()
        dying.client.socket().close()
        for number in numbers[200:]:
            sender.publish(f"$queue/work/{qos}", number, qos=qos)
        # Who dies has acknowledged nothing: at QoS 2 it has answered PUBREC, and that is not the end of the exchange.
        for crew in crews:
            deadline = time.monotonic() + WAIT
            while sum(worker.messages.qsize() for worker in crew) < len(numbers) and time.monotonic() < deadline:
                time.sleep(0.01)
            got = sum([worker.texts(worker.messages.qsize()) for worker in crew], [])
            assert sorted(set(got), key=int) == numbers, f"QoS {qos}: {len(set(got))} of {len(numbers)}"
            assert len(got) == len(numbers), f"QoS {qos}: {len(got)} messages"
        for peer in [*crews[0], *crews[1], sender]:
            peer.leave()


def manual_acknowledgement():
    """A client that acknowledges by hand holds the broker to its Receive Maximum of 5."""
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 5
    slow = Peer("slow", properties=properties, manual_ack=True)
    slow.subscribe("work", 1)
    sender = Peer("sender")
    numbers = [str(number) for number in range(50)]
    for number in numbers:
        sender.publish("work", number, qos=1)
    held, got = slow.take(5), []
    slow.nothing_more()
    while held:
        message = held.pop(0)
        got.append(message.payload.decode())
        slow.client.ack(message.mid, message.qos)
        if len(got) + len(held) < len(numbers):
            held += slow.take(1)
            assert slow.messages.empty(), "more came than the Receive Maximum allows"
    assert got == numbers
    slow.nothing_more()
    slow.leave()
    sender.leave()


def subscription_options():
    """No Local, Retain As Published, Retain Handling, and the subscription identifiers of overlapping filters."""
    peer, other = Peer("options"), Peer("other")
    other.publish("kept", "old", qos=1, retain=True)
    never = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
    for number, topic in [(7, "kept"), (300, "kept/#")]:
        identifier = Properties(PacketTypes.SUBSCRIBE)
        identifier.SubscriptionIdentifier = number
        peer.subscribe(topic, options=never, properties=identifier)
    peer.publish("kept", "own", qos=1, retain=True)
    peer.nothing_more()
    other.publish("kept", "new", qos=1, retain=True)
    (got,) = peer.take(1)
    assert got.payload == b"new" and got.retain
    assert sorted(got.properties.SubscriptionIdentifier) == [7, 300], got.properties
    peer.nothing_more()
    peer.leave()
    other.leave()


def threads_share_a_client():
    """Four threads publish through one client: nothing is lost, and each thread's messages stay in order."""
    taker, sender = Peer("taker"), Peer("sender")
    taker.subscribe("many/#", 1)

    def work(name):
        for number in range(200):
            sender.client.publish(f"many/{name}", str(number), qos=1)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    got = taker.take(800)
    for name in range(4):
        texts = [m.payload.decode() for m in got if m.topic == f"many/{name}"]
        assert texts == [str(number) for number in range(200)], f"thread {name}"
    for thread in threads:
        thread.join()
    taker.leave()
    sender.leave()


if __name__ == "__main__":
    globals()[sys.argv[2]]()
