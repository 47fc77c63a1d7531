import { expect, test } from "vitest";
import { silentLogger, type Clock } from "../../system/index.ts";
import { judge, watchConflicts } from "./conflicts.ts";
import type { Neighbours } from "./neighbours.ts";
import type { VrrpInstance } from "./plan.ts";

const instance: VrrpInstance = {
  name: "v4-1",
  family: "IPv4",
  group: 1,
  addresses: ["192.0.2.10"],
  interface: "eth7",
  advertisementIntervalMs: 100,
  priority: 254,
  source: "192.0.2.1",
  peers: ["192.0.2.2"],
  isPreferred: true,
};
const plan = { instances: [instance], peers: ["192.0.2.2"], groups: 1, nodes: 2 };
const [stranger, node] = ["02:00:00:00:00:66", "02:00:00:00:00:02"];

/** A network of answers, asked by a watch whose rounds are taken one at a time. */
function network() {
  const has = new Map<string, string[]>([["192.0.2.2", [node]]]);
  const asked: string[][] = [];
  const neighbours: Neighbours = {
    ask(questions) {
      asked.push(questions.map(({ address, device }) => `${address} ${device}`));
      return Promise.resolve(new Map([...has].filter(([address]) => questions.some((one) => one.address === address))));
    },
  };
  const stop = new AbortController();
  const pauses: (() => void)[] = [];
  /** Who waits to ask again what is in doubt, once `holdDoubts` was called. */
  let doubts: (() => void)[] | undefined;
  const clock: Clock = {
    now: () => 0,
    sleep: (ms) => {
      const list = ms >= 5_000 ? pauses : doubts;
      return list ? new Promise<void>((resolve) => void list.push(resolve)) : Promise.resolve();
    },
  };
  let changes = 0;
  const conflicts = watchConflicts({
    neighbours,
    groups: () => [instance],
    changed: () => void changes++,
    clock,
    signal: stop.signal,
    log: silentLogger,
  });
  return {
    has,
    asked,
    conflicts,
    changes: () => changes,
    round: async () => {
      const before = pauses.length;
      pauses.at(-1)?.();
      while (pauses.length === before) await new Promise((resolve) => setImmediate(resolve));
    },
    holdDoubts: (): (() => void)[] => (doubts = []),
    next: () => pauses.at(-1)?.(),
    stop: () => stop.abort(),
  };
}

test("twice on end is a conflict, twice silent is none, and once is nothing", () => {
  const one = judge(undefined, "eth0", [stranger]);
  expect(one.isConflict).toBe(false);
  const two = judge(one, "eth0", [stranger]);
  expect(two.isConflict).toBe(true);
  const lost = judge(two, "eth0", []);
  expect(lost).toMatchObject({ isConflict: true, macs: [stranger], times: 1 });
  expect(judge(lost, "eth0", [stranger]).isConflict).toBe(true);
  expect(judge(lost, "eth0", [])).toMatchObject({ isConflict: false });
  expect(judge(one, "eth0", []).isConflict).toBe(false);
});

test("before an address is taken: a stranger that answers twice is told, and a node is no stranger", async () => {
  const { conflicts, has, asked, stop } = network();
  has.set("192.0.2.10", [stranger]);
  await conflicts.prepare(plan);
  expect(conflicts.foreign("192.0.2.10")).toBe(`${stranger} on eth7`);
  expect(asked).toEqual([["192.0.2.2 eth7"], ["192.0.2.10 eth7"], ["192.0.2.10 eth7"]]);
  // What was asked for is not asked for again at each change.
  await conflicts.prepare(plan);
  expect(asked).toHaveLength(3);
  stop();

  const other = network();
  other.has.set("192.0.2.10", [node]);
  await other.conflicts.prepare(plan);
  expect(other.conflicts.foreign("192.0.2.10")).toBeUndefined();
  expect(other.conflicts.claimant("192.0.2.10")).toBe(`${node} (node 192.0.2.2) on eth7`);
  other.stop();
});

test("what is in doubt already is not taken before the doubt is over", async () => {
  const { conflicts, has, holdDoubts, next, stop } = network();
  has.set("192.0.2.10", [stranger]);
  const doubts = holdDoubts();
  next();
  while (doubts.length === 0) await new Promise((resolve) => setImmediate(resolve));
  let isPrepared = false;
  const prepared = conflicts.prepare(plan).then(() => (isPrepared = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isPrepared).toBe(false);
  expect(conflicts.isKnown("192.0.2.10")).toBe(false);
  doubts[0]?.();
  await prepared;
  expect(conflicts.foreign("192.0.2.10")).toBe(`${stranger} on eth7`);
  stop();
});

test("once it is held: a stranger that comes is told, and forgotten when it has gone", async () => {
  const { conflicts, has, changes, round, stop } = network();
  await round();
  expect(conflicts.isKnown("192.0.2.10")).toBe(true);
  expect(conflicts.count()).toBe(0);
  has.set("192.0.2.10", [stranger]);
  const before = changes();
  await round();
  expect(conflicts.claimant("192.0.2.10")).toBe(`${stranger} on eth7`);
  expect(conflicts.count()).toBe(1);
  expect(changes()).toBeGreaterThan(before);
  has.delete("192.0.2.10");
  await round();
  expect(conflicts.count()).toBe(0);
  stop();
});

test("where the network cannot be asked, nothing is known and nothing fails", async () => {
  const stop = new AbortController();
  const conflicts = watchConflicts({
    neighbours: { ask: () => Promise.reject(new Error("CAP_NET_RAW")) },
    groups: () => [instance],
    changed: () => {},
    clock: { now: () => 0, sleep: () => new Promise(() => {}) } as unknown as Clock,
    signal: stop.signal,
    log: silentLogger,
  });
  await conflicts.prepare(plan);
  expect(conflicts.isKnown("192.0.2.10")).toBe(false);
  expect(conflicts.foreign("192.0.2.10")).toBeUndefined();
  stop.abort();
});
