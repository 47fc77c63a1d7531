import { expect, test } from "vitest";
import type { Pool } from "../../routing/index.ts";
import { defaultLimits } from "../embedded/limits.ts";
import { type NamedRetry, retryName } from "../retry-sets.ts";
import { configText } from "./config.ts";
import { retryRules } from "./retry-rules.ts";
import { assignSlots, noSlots, type SlotPool, slotNames, type Slots } from "./slots.ts";

const retry = (
  attempts: number,
  more: Partial<NamedRetry["only"]> = {},
  codes: readonly number[] = [],
): NamedRetry => ({
  codes,
  attempts,
  backoff: 0,
  only: { failures: ["error", "timeout", "invalid"], nonIdempotent: false, within: 0, ...more },
});

const said = (of: NamedRetry): string[] => retryRules(of, defaultLimits).map((words) => words.join(" "));

test("what has failed, in HAProxy's words; what is no idempotent method is repeated only where that is said", () => {
  expect(said(retry(2, {}, [503, 429])).slice(0, 2)).toEqual([
    "retries 2",
    "retry-on conn-failure empty-response response-timeout junk-response 503",
  ]);
  const guard = "http-request disable-l7-retry if !{ method GET HEAD OPTIONS PUT DELETE }";
  expect(said(retry(2))).toContain(guard);
  expect(said(retry(2, { nonIdempotent: true }))).not.toContain(guard);
});

test("nothing is repeated where nothing is asked for", () => {
  expect(said(retry(0))).toEqual(["retries 0", "retry-on none"]);
  expect(said(retry(2, { failures: [] }, [429]))[1]).toBe("retry-on none");
});

const pool = (key: string, own?: NamedRetry): SlotPool => ({
  key,
  service: { namespace: "a", name: key },
  port: "80",
  protocol: "http",
  endpoints: [],
  ...(own ? { retry: own } : {}),
});
const by = (...pools: readonly Pool[]): ReadonlyMap<string, SlotPool> => new Map(pools.map((each) => [each.key, each]));

test("a pool has a backend of its own for each set, which says it", () => {
  const own = retry(1, {}, [503]);
  const name = retryName(own) ?? "";
  const slots = assignSlots(noSlots, by(pool("a"), pool("a+", own)), new Set());
  expect([...slots.taken]).toEqual([
    ["a", "h0"],
    ["a+", `h_${name}_0`],
  ]);
  expect(slotNames(slots, `http+${name}`)).toContain(`h_${name}_0`);
  const text = configText({
    directory: "/run/x",
    socket: "/run/x/s",
    frontends: [],
    slots,
    servers: new Map(),
    authorities: [],
    trusted: [],
    limits: defaultLimits,
    drained: 1,
  });
  const [, backend = ""] = text.split(`backend h_${name}_0 from pools\n`);
  expect(backend.split("\n").slice(0, 2)).toEqual([
    "  retries 1",
    "  retry-on conn-failure empty-response response-timeout junk-response 503",
  ]);
});

test("sets that nobody uses any more go when another process takes over, and not before", () => {
  const [one, other, third] = [retry(1), retry(2), retry(3)];
  const kinds = ({ declared }: Slots): string[] => Object.keys(declared).filter((kind) => kind.includes("+"));
  const first = assignSlots(noSlots, by(pool("a", one)), new Set());
  const gone = assignSlots(first, by(pool("a")), new Set());
  expect(kinds(gone)).toEqual(kinds(first));
  // Something of it may still be under way.
  const next = assignSlots(gone, by(pool("a", other)), new Set(first.taken.values()));
  expect(kinds(next)).toHaveLength(2);
  const last = assignSlots(next, by(pool("a", other), pool("b", third)), new Set());
  expect(kinds(last)).toEqual([other, third].map((each) => `http+${retryName(each) ?? ""}`));
});
