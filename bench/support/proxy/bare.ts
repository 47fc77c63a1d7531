// The same rows without the proxy: what the kernel and its tools take by themselves.
import { openLibrary } from "../../../src/proxy/nftables/library.ts";
import * as iptables from "../../../src/proxy/iptables/rows.ts";
import { restoreOf } from "../../../src/proxy/iptables/restore.ts";
import { createPortNumbers, rowsOfContext, rowsOfPlan } from "../../../src/proxy/nftables/rows.ts";
import { addedChains, scriptOf } from "../../../src/proxy/nftables/script.ts";
import { createServiceModel, type NodePlan } from "../../../src/services/index.ts";
import { removeProxy } from "../../../src/proxy/index.ts";
import { runOrThrow, systemCommands } from "../../../src/system/index.ts";
import type { Row } from "../../../src/tables/index.ts";
import { context, serviceOf, sliceOf } from "./objects.ts";

/** Milliseconds that each took. */
export interface Bare {
  readonly rows: number;
  readonly load: readonly number[];
  /** One endpoint replaced by a program that is started for it. */
  readonly change: readonly number[];
  /** The same in process, where there is a way. */
  readonly inProcess: readonly number[];
}

async function milliseconds(action: () => Promise<unknown> | void): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
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

/** The first plan with its first endpoint elsewhere. */
function moved(endpoints: number): NodePlan {
  const slice = sliceOf(0, endpoints);
  const [first] = slice.endpoints ?? [];
  if (first) first.addresses = ["10.42.255.250"];
  const model = createServiceModel(context);
  model.upsertService(serviceOf(0) as never);
  model.upsertSlice(slice as never);
  const plan = model.plan("default/svc-0");
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

export async function measureBareNftables(services: number, endpoints: number, loads: number): Promise<Bare> {
  const numbers = createPortNumbers(131_071);
  const rows: Row[] = [...rowsOfContext(context)];
  const [firstPlan] = plans(1, endpoints);
  for (const plan of plans(services, endpoints)) rows.push(...rowsOfPlan(plan, [], numbers, context));
  const all = unique(rows);
  const full = scriptOf({ reset: true, remove: [], add: all }, [...addedChains(all).values()], ["IPv4"]).script;
  const before = firstPlan ? rowsOfPlan(firstPlan, [], numbers, context) : [];
  const after = rowsOfPlan(moved(endpoints), before, numbers, context);
  const there = scriptOf({ reset: false, ...difference(before, after) }, [], ["IPv4"]).script;
  const back = scriptOf({ reset: false, ...difference(after, before) }, [], ["IPv4"]).script;
  const nft = (script: string) => runOrThrow(systemCommands, "nft", ["-f", "-"], { input: script, timeout: 600_000 });
  const load: number[] = [];
  for (let i = 0; i < loads; i++) load.push(await milliseconds(() => nft(full)));
  const change: number[] = [];
  for (let i = 0; i < 50; i++) change.push(await milliseconds(() => nft(i % 2 === 0 ? there : back)));
  const library = await openLibrary();
  const inProcess: number[] = [];
  for (let i = 0; i < 300; i++) {
    inProcess.push(
      await milliseconds(() => {
        const refused = library.run(i % 2 === 0 ? there : back);
        if (refused !== undefined) throw new Error(refused);
      }),
    );
  }
  library.close();
  await removeProxy(systemCommands);
  return { rows: all.length, load, change, inProcess };
}

export async function measureBareIptables(
  services: number,
  endpoints: number,
  loads: number,
  changes: number,
): Promise<Bare> {
  const rows: Row[] = [...iptables.rowsOfContext(context)];
  for (const plan of plans(services, endpoints)) rows.push(...iptables.rowsOfPlan(plan, context));
  const all = unique(rows);
  const input = (transaction: Parameters<typeof restoreOf>[0]) => restoreOf(transaction, {}, ["IPv4"]).inputs.IPv4;
  const full = input({ reset: true, remove: [], add: all });
  const [firstPlan] = plans(1, endpoints);
  const before = firstPlan ? iptables.rowsOfPlan(firstPlan, context) : [];
  const after = iptables.rowsOfPlan(moved(endpoints), context);
  const there = input({ reset: false, ...difference(before, after) });
  const back = input({ reset: false, ...difference(after, before) });
  const restore = (text: string) =>
    runOrThrow(systemCommands, "iptables-restore", ["-w", "5", "--noflush"], { input: text, timeout: 600_000 });
  const empty = async () => {
    for (const table of ["nat", "filter"])
      for (const how of ["-F", "-X"]) await runOrThrow(systemCommands, "iptables", ["-t", table, how]);
  };
  const load: number[] = [];
  for (let i = 0; i < loads; i++) {
    await empty();
    load.push(await milliseconds(() => restore(full)));
  }
  const change: number[] = [];
  for (let i = 0; i < changes; i++) change.push(await milliseconds(() => restore(i % 2 === 0 ? there : back)));
  await empty();
  return { rows: all.length, load, change, inProcess: [] };
}
