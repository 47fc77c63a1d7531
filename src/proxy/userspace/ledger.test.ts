import { expect, test } from "vitest";
import type { ServiceEndpoint } from "../../services/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createLedger } from "./ledger.ts";
import type { Connection } from "./target.ts";

const endpoint = (i: number, weight?: number): ServiceEndpoint => ({
  address: `10.42.0.${i}`,
  port: 8080,
  ready: true,
  serving: true,
  terminating: false,
  nodeHints: [],
  zoneHints: [],
  slice: "default/web",
  ...(weight === undefined ? {} : { weight }),
});
const [a, b, c] = [endpoint(1), endpoint(2), endpoint(3)];
const client = {} as Connection;

test("the endpoint with the fewest connections for its share comes first; what ended counts no more", () => {
  const ledger = createLedger(new FakeClock());
  const end = ledger.began(client, a);
  ledger.began(client, a);
  ledger.began(client, b);
  expect(ledger.leastFirst([a, b, c])).toEqual([c, b, a]);
  expect(ledger.leastFirst([{ ...a, weight: 4 }, b, c])).toEqual([c, { ...a, weight: 4 }, b]);
  end();
  end();
  expect(ledger.leastFirst([a, b, c])).toEqual([c, a, b]);
  expect([...ledger.flows()]).toHaveLength(2);
});

test("who fails three times in a row is tried last for a while, longer each time, and as before once it is reached", async () => {
  const clock = new FakeClock();
  const ledger = createLedger(clock);
  const fail = (times: number) => Array.from({ length: times }, () => ledger.failed(a));
  fail(2);
  expect(ledger.failingLast([a, b])).toEqual([a, b]);
  fail(1);
  expect(ledger.failingLast([a, b, c])).toEqual([b, c, a]);
  expect(ledger.failing()).toBe(1);
  await clock.advance(5_000);
  expect(ledger.failingLast([a, b])).toEqual([a, b]);
  fail(1);
  await clock.advance(5_000);
  expect(ledger.failingLast([a, b])).toEqual([b, a]);
  await clock.advance(5_000);
  ledger.began(client, a);
  fail(2);
  expect(ledger.failingLast([a, b])).toEqual([a, b]);
});

test("where all fail they are tried as they come; who is no endpoint any more is forgotten", () => {
  const ledger = createLedger(new FakeClock());
  for (const one of [a, a, a, b, b, b]) ledger.failed(one);
  expect(ledger.failingLast([a, b])).toEqual([a, b]);
  ledger.keep([b]);
  expect(ledger.failing()).toBe(1);
});
