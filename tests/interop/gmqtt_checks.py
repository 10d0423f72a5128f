"""Checks of a broker with gmqtt: `gmqtt_checks.py PORT CHECK VERSION`, where VERSION is 4 or 5.

gmqtt has a codec and a loop of its own (asyncio). Each check is a function of this file; a failed one ends with a
traceback and exit code 1.
"""

import asyncio
import sys

import gmqtt

WAIT = 10
PORT = int(sys.argv[1])
VERSION = int(sys.argv[3])


class Peer:
    """A client whose messages and acknowledged subscriptions can be awaited."""

    def __init__(self, name, clean=True, will=None, **properties):
        self.messages = asyncio.Queue()
        self.granted = asyncio.Queue()
        self.connected = asyncio.Queue()
        self.client = gmqtt.Client(name, clean_session=clean, will_message=will, **properties)
        self.client.on_connect = lambda client, flags, rc, properties: self.connected.put_nowait((flags, rc))
        self.client.on_subscribe = lambda client, mid, qos, properties: self.granted.put_nowait(qos)
        self.client.on_message = self.on_message

    async def on_message(self, client, topic, payload, qos, properties):
        self.messages.put_nowait((topic, payload, qos, properties))
        return gmqtt.constants.PubRecReasonCode.SUCCESS

    async def connect(self):
        await asyncio.wait_for(self.client.connect("127.0.0.1", PORT, keepalive=30, version=VERSION), WAIT)
        flags, rc = await asyncio.wait_for(self.connected.get(), WAIT)
        assert rc == 0, rc
        return flags

    async def subscribe(self, topic, **options):
        self.client.subscribe(topic, **options)
        return list(await asyncio.wait_for(self.granted.get(), WAIT))

    async def take(self, count):
        return [await asyncio.wait_for(self.messages.get(), WAIT) for _ in range(count)]

    async def nothing_more(self):
        await asyncio.sleep(0.3)
        assert self.messages.empty(), self.messages.get_nowait()

    async def leave(self):
        await self.client.disconnect()


async def pubsub():
    """Messages of each QoS come as they were sent; large ones as well."""
    sub, pub = Peer("sub"), Peer("pub")
    await sub.connect()
    await pub.connect()
    assert await sub.subscribe("a/+", qos=2) == [2]
    for qos in range(3):
        pub.client.publish("a/x", b"qos %d" % qos, qos=qos)
    big = bytes(range(256)) * 4096
    pub.client.publish("a/big", big, qos=1)
    got = await sub.take(4)
    assert sorted((t, p, q) for t, p, q, _ in got[:3]) == [("a/x", b"qos %d" % qos, qos) for qos in range(3)], got[:3]
    assert got[3][:3] == ("a/big", big, 1)
    await sub.nothing_more()
    await pub.leave()
    await sub.leave()


async def retained():
    """A retained message comes with the subscription, until an empty one removes it."""
    pub = Peer("pub")
    await pub.connect()
    pub.client.publish("r/1", b"kept", qos=1, retain=True)
    first = Peer("first")
    await first.connect()
    await first.subscribe("r/#", qos=1)
    (topic, payload, _, properties), = await first.take(1)
    assert (topic, payload, properties["retain"]) == ("r/1", b"kept", 1), properties
    pub.client.publish("r/1", b"", qos=1, retain=True)
    assert (await first.take(1))[0][1] == b""
    second = Peer("second")
    await second.connect()
    await second.subscribe("r/#", qos=1)
    await second.nothing_more()


async def session():
    """What comes while a client is away comes when it is back, in order."""
    properties = {"session_expiry_interval": 60} if VERSION == 5 else {}
    away = Peer("away", clean=False, **properties)
    await away.connect()
    await away.subscribe("s/#", qos=1)
    await away.leave()
    pub = Peer("pub")
    await pub.connect()
    for number in range(100):
        pub.client.publish("s/x", b"%d" % number, qos=1)
    await pub.subscribe("s/x", qos=1)  # answered behind the publishes
    back = Peer("away", clean=False, **properties)
    flags = await back.connect()
    assert flags & 1, "the session was not there"
    assert [int(payload) for _, payload, _, _ in await back.take(100)] == list(range(100))


async def will():
    """The will of a client that is cut off is published."""
    sub = Peer("sub")
    await sub.connect()
    await sub.subscribe("w/#", qos=1)
    doomed = Peer("doomed", will=gmqtt.Message("w/doomed", b"gone", qos=1))
    await doomed.connect()
    doomed.client.set_config({"reconnect_retries": 0})
    doomed.client._connection._transport.abort()
    assert (await sub.take(1))[0][:2] == ("w/doomed", b"gone")


async def properties():
    """Properties go through, and No Local, subscription identifiers and share groups do what they say (5.0)."""
    one, two, pub = Peer("one"), Peer("two"), Peer("pub")
    for peer in (one, two, pub):
        await peer.connect()
    await one.subscribe("$share/g/p/#", qos=1)
    await two.subscribe("$share/g/p/#", qos=1)
    await pub.subscribe("p/#", qos=1, no_local=True)
    for number in range(20):
        pub.client.publish(
            "p/x", b"%d" % number, qos=1, user_property=[("unit", "C"), ("unit", "K")], content_type="text/plain",
            correlation_data=b"\x00\xff", response_topic="answers/1", message_expiry_interval=60,
        )
    got = []
    while len(got) < 20:
        for peer in (one, two):
            while not peer.messages.empty():
                got.append((peer, peer.messages.get_nowait()))
        await asyncio.wait_for(asyncio.sleep(0.01), WAIT)
    assert sorted(int(payload) for _, (_, payload, _, _) in got) == list(range(20))
    assert {id(peer) for peer, _ in got} == {id(one), id(two)}
    _, (_, _, _, carried) = got[0]
    assert carried["user_property"] == [("unit", "C"), ("unit", "K")], carried
    assert carried["content_type"] == ["text/plain"] and carried["response_topic"] == ["answers/1"], carried
    assert 58 <= carried["message_expiry_interval"][0] <= 60, carried
    await pub.nothing_more()


asyncio.run(asyncio.wait_for(globals()[sys.argv[2]](), 25))
