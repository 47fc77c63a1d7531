// The same rows without the proxy: what the kernel and its tools take by themselves.
import { openLibrary } from "../../../src/proxy/nftables/library.ts";
import * as iptables from "../../../src/proxy/iptables/rows.ts";
import { restoreOf } from "../../../src/proxy/iptables/restore.ts";
import { openNetlink } from "../../../src/proxy/netlink.ts";
import { batchOf } from "../../../src/proxy/nftables/elements.ts";
import { createPortNumbers, rowsOfContext, rowsOfPlan } from "../../../src/proxy/nftables/rows.ts";
import { addedChains, scriptOf } from "../../../src/proxy/nftables/script.ts";
import { createServiceModel, type NodePlan } from "../../../src/services/index.ts";
import { removeProxy } from "../../../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../../../src/system/index.ts";
import type { Row } from "../../../src/tables/index.ts";
import { context, serviceOf, sliceOf } from "./objects.ts";

/** What took how many milliseconds. */
export interface Took {
  readonly clock: number;
  /** Of processors, where another program did it. */
  readonly cpu: number;
}

/** The same rows without the proxy. */
export interface Bare {
  readonly rows: number;
  /** Loads all rows from nothing. */
  load(): Promise<Took>;
  /** Replaces one endpoint beside the proxy that serves, nowhere where it looks, so that both meet what else the machine does. */
  change(): Promise<number>;
  /** Takes out what `load` has put in. */
  clear(): Promise<void>;
}

const timeout = 600_000;

async function milliseconds(action: () => Promise<unknown> | void): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

/** Runs a program and has the shell tell what it took of processors. */
async function timed(program: string, input: string): Promise<Took> {
  let said = "";
  const clock = await milliseconds(async () => {
    said = await runOrThrow(systemCommands, "sh", ["-c", `${program} >&2 || exit; times`], { input, timeout });
  });
  // The second line is of children: minutes and seconds in user and in kernel mode.
  const [, ...parts] = /\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s/.exec(said) ?? [];
  const [minutes = 0, seconds = 0, more = 0, rest = 0] = parts.map(Number);
  return { clock, cpu: ((minutes + more) * 60 + seconds + rest) * 1000 };
}

function* plans(services: number, endpoints: number): Generator<NodePlan> {
  const model = createServiceModel(context);
  for (let i = 0; i < services; i++) {
    model.upsertService(serviceOf(i) as never);
    model.upsertSlice(sliceOf(i, endpoints) as never);
    const plan = model.plan(`default/svc-${i}`);
    if (plan) yield plan;
    model.removeSlice(`default/svc-${i}-a`);
    model.removeService(`default/svc-${i}`);
  }
}

/** The plan of one Service, as it is or with its first endpoint elsewhere. */
function planOf(i: number, endpoints: number, isMoved: boolean): NodePlan {
  const slice = sliceOf(i, endpoints);
  const [first] = slice.endpoints ?? [];
  if (first && isMoved) first.addresses = ["10.42.255.250"];
  const model = createServiceModel(context);
  model.upsertService(serviceOf(i) as never);
  model.upsertSlice(slice as never);
  const plan = model.plan(`default/svc-${i}`);
  if (!plan) throw new Error("no plan");
  return plan;
}

const unique = (rows: readonly Row[]): Row[] => [
  ...new Map(rows.map((row) => [`${row.table} ${row.key.join()}`, row])).values(),
];
const id = (row: Row): string => JSON.stringify([row.table, row.key, row.value]);

/** What has to go and come between two lists of rows. */
function difference(from: readonly Row[], to: readonly Row[]): { remove: Row[]; add: Row[] } {
  const [had, wants] = [new Set(from.map(id)), new Set(to.map(id))];
  return { remove: from.filter((row) => !wants.has(id(row))), add: to.filter((row) => !had.has(id(row))) };
}

/** One that nobody's packets pass, with as many rows: `fairlead` is the proxy's own. */
const beside = (script: string): string =>
  script.replaceAll("ip fairlead", "ip bare").replaceAll(/type \w+ hook \w+ priority -?\d+;/g, "");

export async function bareNftables(services: number, endpoints: number): Promise<Bare> {
  const numbers = createPortNumbers(131_071);
  const rows: Row[] = [...rowsOfContext(context)];
  for (const plan of plans(services, endpoints)) rows.push(...rowsOfPlan(plan, [], numbers, context));
  const all = unique(rows);
  const full = scriptOf({ reset: true, remove: [], add: all }, [...addedChains(all).values()], ["IPv4"]).script;
  const [there, back] = nftChanges(endpoints).map(({ script }) => beside(script));
  const nft = (script: string) => runOrThrow(systemCommands, "nft", ["-f", "-"], { input: script, timeout });
  let isReady = false;
  let turn = 0;
  return {
    rows: all.length,
    load: () => timed("nft -f -", full),
    async change() {
      if (!isReady) await nft(beside(full));
      isReady = true;
      return milliseconds(() => nft((turn++ % 2 === 0 ? there : back) ?? ""));
    },
    async clear() {
      await removeProxy(systemCommands);
    },
  };
}

/** The first Service's endpoint there and back, as rows and as nft's language has it. Its port has the first number. */
function nftChanges(endpoints: number): { remove: Row[]; add: Row[]; script: string }[] {
  const numbers = createPortNumbers(131_071);
  const before = rowsOfPlan(planOf(0, endpoints, false), [], numbers, context);
  const after = rowsOfPlan(planOf(0, endpoints, true), before, numbers, context);
  return [difference(before, after), difference(after, before)].map((change) => ({
    ...change,
    script: scriptOf({ reset: false, ...change }, [], ["IPv4"]).script,
  }));
}

/** The kernel's part of a change of one endpoint among all rows that a bare load has put in, by libnftables and by messages in turn. */
export async function measureKernelsPart(endpoints: number): Promise<{ library: number[]; messages: number[] }> {
  const changes = nftChanges(endpoints);
  const [library, netlink] = [await openLibrary(), await openNetlink()];
  const took = { library: [] as number[], messages: [] as number[] };
  for (let i = 0; i < 1_200; i++) {
    const change = changes[i % 2];
    if (!change) continue;
    const begin = performance.now();
    // There and back by each in turn.
    if (i % 4 < 2) {
      const refused = library.run(change.script);
      if (refused !== undefined) throw new Error(refused);
      took.library.push(performance.now() - begin);
    } else {
      const { batch } = batchOf(change.remove, change.add);
      if (batch) netlink.commit(batch);
      took.messages.push(performance.now() - begin);
    }
  }
  library.close();
  netlink.close();
  return took;
}

/** The Service after the last one that is changed: the proxy has its rows, and nobody changes them but `change`, which writes the same lines. */
export async function bareIptables(services: number, endpoints: number): Promise<Bare> {
  const rows: Row[] = [...iptables.rowsOfContext(context)];
  for (const plan of plans(services + 1, endpoints)) rows.push(...iptables.rowsOfPlan(plan, context));
  const all = unique(rows);
  const input = (transaction: Parameters<typeof restoreOf>[0]) => restoreOf(transaction, {}, ["IPv4"]).inputs.IPv4;
  const full = input({ reset: true, remove: [], add: all });
  const before = iptables.rowsOfPlan(planOf(services, endpoints, false), context);
  const after = iptables.rowsOfPlan(planOf(services, endpoints, true), context);
  const there = input({ reset: false, ...difference(before, after) });
  const back = input({ reset: false, ...difference(after, before) });
  const restore = ["-w", "5", "--noflush"];
  let turn = 0;
  return {
    rows: all.length,
    load: () => timed(`iptables-restore ${restore.join(" ")}`, full),
    change: () =>
      milliseconds(() =>
        runOrThrow(systemCommands, "iptables-restore", restore, { input: turn++ % 2 === 0 ? there : back, timeout }),
      ),
    async clear() {
      for (const table of ["nat", "filter"])
        for (const how of ["-F", "-X"]) await runOrThrow(systemCommands, "iptables", ["-t", table, how]);
    },
  };
}
