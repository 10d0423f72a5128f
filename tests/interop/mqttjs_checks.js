// Checks of a broker with MQTT.js: `mqttjs_checks.js PORT CHECK VERSION [ws]`, where VERSION is 4 or 5; with `ws`
// over WebSocket.
//
// Each check is a function of this file; a failed one ends with exit code 1.
"use strict";

const assert = require("node:assert");
const mqtt = require("mqtt");

const [port, check, version, transport] = process.argv.slice(2);
const isV5 = version === "5";
const WAIT_MS = 10_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${WAIT_MS} ms`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A connected client that keeps its messages. */
async function peer(clientId, options = {}) {
  const client = mqtt.connect({
    host: "127.0.0.1",
    port: Number(port),
    ...(transport === "ws" ? { protocol: "ws", path: "/mqtt" } : {}),
    protocolVersion: Number(version),
    clientId,
    reconnectPeriod: 50,
    ...options,
  });
  const messages = [];
  const waiting = [];
  client.on("message", (topic, payload, packet) => {
    const message = { topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, packet };
    const taker = waiting.shift();
    if (taker) taker(message);
    else messages.push(message);
  });
  const connack = await within(new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
  }), "CONNACK");
  const next = () => messages.length > 0
    ? Promise.resolve(messages.shift())
    : within(new Promise((resolve) => waiting.push(resolve)), "message");
  const take = async (count) => {
    const taken = [];
    while (taken.length < count) taken.push(await next());
    return taken;
  };
  const nothingMore = async (ms = 300) => {
    await sleep(ms);
    assert.deepStrictEqual(messages.map(({ topic, text }) => [topic, text]), []);
  };
  return { client, connack, take, nothingMore };
}

/** The options of a session that stays. */
function lasting() {
  return { clean: false, ...(isV5 ? { properties: { sessionExpiryInterval: 3600 } } : {}) };
}

const range = (count) => Array.from({ length: count }, (_, number) => String(number));

const checks = {
  /** Messages of each QoS go through, with their properties. */
  async pubsub() {
    const taker = await peer("taker");
    const granted = await taker.client.subscribeAsync({ "a/#": { qos: 2 }, "b/+": { qos: 1 } });
    assert.deepStrictEqual(granted.map(({ qos }) => qos), [2, 1]);
    const sender = await peer("sender");
    for (const qos of [0, 1, 2]) {
      const properties = isV5 ? { contentType: "text/x", userProperties: { key: ["one", "two"] } } : undefined;
      await sender.client.publishAsync("a/b", `qos ${qos}`, { qos, properties });
    }
    for (const [qos, got] of (await taker.take(3)).entries()) {
      assert.deepStrictEqual([got.topic, got.text, got.qos, got.retain], ["a/b", `qos ${qos}`, qos, false]);
      if (isV5) {
        assert.strictEqual(got.packet.properties.contentType, "text/x");
        assert.deepStrictEqual(got.packet.properties.userProperties.key, ["one", "two"]);
      }
    }
    await taker.client.unsubscribeAsync("a/#");
    await sender.client.publishAsync("a/b", "nobody", { qos: 1 });
    await taker.nothingMore();
    await taker.client.endAsync();
    await sender.client.endAsync();
  },

  /** A thousand messages at each of QoS 1 and 2. MQTT.js sends on and on: it does not heed the Receive Maximum of
   * the server, which is 1024, and would be disconnected (0x93). So no more than 700 are under way. */
  async many() {
    const taker = await peer("taker");
    await taker.client.subscribeAsync("many/+", { qos: 2 });
    const sender = await peer("sender");
    for (const qos of [1, 2]) {
      for (const part of [range(1000).slice(0, 700), range(1000).slice(700)]) {
        await Promise.all(part.map((text) => sender.client.publishAsync(`many/${qos}`, text, { qos })));
      }
      const got = await taker.take(1000);
      assert.deepStrictEqual(got.map(({ text }) => text), range(1000));
    }
    await taker.nothingMore(100);
    await taker.client.endAsync();
    await sender.client.endAsync();
  },

  /** Aliases that the sender chooses by itself, and aliases that the broker may choose towards the taker. */
  async aliases() {
    const taker = await peer("taker", { properties: { topicAliasMaximum: 5 } });
    await taker.client.subscribeAsync("long/topic/#", { qos: 2 });
    const sender = await peer("sender", { autoAssignTopicAlias: true });
    const topics = range(300).map((text) => `long/topic/number/${(text * 7) % 20}/of/twenty`);
    for (const [number, topic] of topics.entries()) {
      await sender.client.publishAsync(topic, topic, { qos: number % 3 });
    }
    const got = await taker.take(300);
    assert.deepStrictEqual(got.filter(({ topic, text }) => topic !== text), []);
    assert.deepStrictEqual(got.map(({ topic }) => topic).sort(), [...topics].sort());
    await taker.client.endAsync();
    await sender.client.endAsync();
  },

  /** A will comes for a connection that breaks, and not for one that is ended. */
  async will() {
    const watcher = await peer("watcher");
    await watcher.client.subscribeAsync("wills/#", { qos: 2 });
    const will = (topic) => ({ topic, payload: "gone", qos: 2, retain: true });
    const polite = await peer("polite", { will: will("wills/polite") });
    await polite.client.endAsync();
    const broken = await peer("broken", { will: will("wills/broken"), reconnectPeriod: 0 });
    broken.client.stream.destroy();
    const [got] = await watcher.take(1);
    assert.deepStrictEqual([got.topic, got.text, got.qos], ["wills/broken", "gone", 2]);
    await watcher.nothingMore();
    await watcher.client.subscribeAsync("+/broken", { qos: 2 });
    const [kept] = await watcher.take(1);
    assert.deepStrictEqual([kept.topic, kept.text, kept.retain], ["wills/broken", "gone", true]);
    await watcher.client.endAsync();
    await broken.client.endAsync(true);
  },

  /** Retained messages are replaced, found by wildcards and removed. */
  async retained() {
    const sender = await peer("sender");
    for (const text of ["old", "new"]) await sender.client.publishAsync("kept/a", text, { qos: 1, retain: true });
    await sender.client.publishAsync("kept/b", "other", { qos: 2, retain: true });
    const taker = await peer("taker");
    await taker.client.subscribeAsync("kept/+", { qos: 2 });
    const got = (await taker.take(2)).map(({ topic, text, retain }) => [topic, text, retain]).sort();
    assert.deepStrictEqual(got, [["kept/a", "new", true], ["kept/b", "other", true]]);
    await sender.client.publishAsync("kept/a", "", { qos: 1, retain: true });
    const [removal] = await taker.take(1);
    assert.deepStrictEqual([removal.topic, removal.text, removal.retain], ["kept/a", "", false]);
    const late = await peer("late");
    await late.client.subscribeAsync("kept/+", { qos: 2 });
    assert.deepStrictEqual((await late.take(1)).map(({ topic }) => topic), ["kept/b"]);
    await late.nothingMore();
    for (const { client } of [sender, taker, late]) await client.endAsync();
  },

  /** A session keeps messages, and a broken connection resumes it by itself without a loss. */
  async session() {
    const sender = await peer("sender");
    const first = await peer("sleeper", lasting());
    assert.strictEqual(first.connack.sessionPresent, false);
    await first.client.subscribeAsync("s/#", { qos: 2 });
    await first.client.endAsync();
    for (const text of range(50)) await sender.client.publishAsync("s/x", text, { qos: 1 });
    const again = await peer("sleeper", { ...lasting(), resubscribe: false });
    assert.strictEqual(again.connack.sessionPresent, true);
    assert.deepStrictEqual((await again.take(50)).map(({ text }) => text), range(50));
    for (let round = 0; round < 5; round += 1) {
      const resumed = new Promise((resolve) => again.client.once("connect", resolve));
      again.client.stream.destroy();
      await Promise.all(range(40).map((text) => sender.client.publishAsync("s/x", text, { qos: 2 })));
      assert.strictEqual((await within(resumed, "reconnection")).sessionPresent, true);
      const got = (await again.take(40)).map(({ text }) => text);
      assert.deepStrictEqual(got.sort((a, b) => a - b), range(40));
    }
    await again.nothingMore();
    await again.client.endAsync();
    await sender.client.endAsync();
  },
};

checks[check]().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
