import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { capabilityFaults, checkedProvider } from "./checked.ts";
import type { LoadBalancerProvider } from "./contract.ts";
import { converge, remove } from "./converge.ts";
import { service } from "./every-provider.ts";
import { createFakeCloud } from "./fake-provider.ts";
import { loadProvider } from "./load.ts";

const { signal } = new AbortController();

// What authors of a module get wrong first. Whatever it is, it is said in the condition, with what is needed.
const slips: readonly (readonly [what: string, change: object, reason: string, says: RegExp])[] = [
  ["plan is asynchronous", { plan: () => Promise.resolve([]) }, "Broken", /plan answers a promise; a list of steps/],
  ["plan answers a step", { plan: () => ({ summary: "x" }) }, "Broken", /plan answers an object/],
  ["steps have no summary", { plan: () => [{ do: "it" }] }, "Broken", /step without a summary/],
  ["apply answers nothing", { apply: () => Promise.resolve() }, "Broken", /apply answers nothing; \{ state: "done" \}/],
  ["a state is unknown", { apply: () => Promise.resolve({ state: "ok" }) }, "Broken", /the state "ok"; done, pending/],
  ["no message", { apply: () => Promise.resolve({ state: "failed", reason: "Quota" }) }, "Broken", /without a message/],
  [
    "a reason is unknown",
    { apply: () => Promise.resolve({ state: "failed", reason: "Oops", message: "no" }) },
    "Broken",
    /the reason "Oops"; one of Refused, Quota/,
  ],
  [
    "pending for how long",
    { apply: () => Promise.resolve({ state: "pending", message: "wait" }) },
    "Broken",
    /pending without again/,
  ],
  ["observe answers null", { observe: () => Promise.resolve(null) }, "Broken", /observe answers null; undefined/],
  ["addresses are texts", { addresses: () => ["192.0.2.1"] }, "Broken", /addresses answers a list; a list of \{ ip \}/],
  ["it throws in observe", { observe: () => Promise.reject(new Error("no route")) }, "Broken", /^no route$/],
  [
    "it slips",
    {
      observe() {
        return Promise.resolve(undefined).then((one) => (one as unknown as { at: { x: string } }).at.x);
      },
    },
    "Broken",
    /^TypeError: Cannot read properties of undefined.*, at .*checked\.test\.ts:\d+:\d+$/,
  ],
  [
    "it throws with a reason",
    { apply: () => Promise.reject(Object.assign(new Error("slow down"), { reason: "Throttled", again: 7_000 })) },
    "Throttled",
    /slow down$/,
  ],
];

test.each(slips)("%s: it is said", async (_, change, reason, says) => {
  const cloud = createFakeCloud();
  const first = checkedProvider({ ...cloud.provider() });
  if ("addresses" in change) for (let i = 0; i < 20; i++) await converge(first, service, signal);
  const provider = checkedProvider({ ...cloud.provider(), ...change });
  const result = await converge(provider, service, signal);
  expect(result).toMatchObject({ state: "failed", reason, message: expect.stringMatching(says) as string });
  if (reason === "Throttled") expect(result).toMatchObject({ again: 7_000 });
});

test("what list answers is looked at; an end is passed on; methods find what they belong to", async () => {
  const cloud = createFakeCloud();
  const wrong = {
    ...cloud.provider(),
    list: () => Promise.resolve([{ name: "x" }]),
  } as unknown as LoadBalancerProvider;
  await expect(checkedProvider(wrong).list("c", signal)).rejects.toThrow(/list answers a list; a list of \{ cluster/);
  const stop = new AbortController();
  stop.abort(new Error("the end"));
  const ends = { ...cloud.provider(), observe: () => Promise.reject(stop.signal.reason as Error) };
  await expect(checkedProvider(ends).observe(service.key, stop.signal)).rejects.toThrow("the end");
  const base = cloud.provider();
  const mine = {
    ...base,
    inner: base,
    observe(...args: Parameters<LoadBalancerProvider["observe"]>) {
      return this.inner.observe(...args);
    },
  };
  const one = checkedProvider(mine);
  expect(await remove(one, service.key, signal)).toMatchObject({ state: "done" });
});

test("capabilities: each that is missing, of another type or unknown, with what is needed", () => {
  expect(capabilityFaults(undefined)).toEqual(["capabilities is nothing; an object is needed"]);
  expect(capabilityFaults(createFakeCloud().provider().capabilities)).toEqual([]);
  const said = capabilityFaults({
    ...createFakeCloud().provider().capabilities,
    families: ["ipv4"],
    mostPorts: undefined,
    sourceRange: true,
    http: { tls: "yes" },
  }).join("\n");
  expect(said).toMatch(/capabilities\.families is a list; a list of "IPv4" and "IPv6" is needed/);
  expect(said).toMatch(/capabilities\.mostPorts is nothing; a whole number is needed/);
  expect(said).toMatch(/capabilities\.sourceRange is unknown; there are families, /);
  expect(said).toMatch(/capabilities\.http\.tls is a string; true or false is needed/);
  expect(said).toMatch(/capabilities\.http\.exactPaths is nothing/);
});

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "fairlead-module-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  [
    "a provider without functions",
    "export const createProvider = () => ({ name: 'x' });",
    /no function list, .*, addresses; it has no text loadBalancerClass; capabilities is nothing/,
  ],
  ["nothing", "export const createProvider = () => {};", /it has no function list/],
  ["another name", "export const create = () => {};", /does not export a function createProvider/],
  ["half a module", "export function createProvider( {", /cannot be loaded: /],
])("a module with %s is refused with all that is missing", async (what, text, says) => {
  const file = join(folder, `${what.replaceAll(" ", "-")}.mjs`);
  await writeFile(file, text);
  await expect(loadProvider(file, {})).rejects.toThrow(says);
});
