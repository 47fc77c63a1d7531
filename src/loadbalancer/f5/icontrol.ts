import { setTimeout as sleep } from "node:timers/promises";
import type { ApiAnswer, ApiRequest } from "../provider/api.ts";
import { ProviderFailure, type StepResult } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";
import type { Appliance, FoundService } from "./appliance.ts";
import { commandsOf, nodeDescription, type Command, type Node } from "./commands.ts";
import { tenantOf } from "./declaration.ts";
import { objectsOf, readMonitor, readPool, readVirtual, servicesIn, type Objects } from "./objects.ts";
import { createSession, type BigIpConfig } from "./session.ts";

const base = "/mgmt/tm";
/** Looks at a transaction before it is left to the next call. */
const looks = 5;
const nothing: Objects = { monitors: [], pools: [], virtuals: [] };

interface Partition extends Objects {
  readonly name: string;
}

/**
 * A BIG-IP by iControl REST, as it was in 2016 and is: monitors, nodes, pools and virtual servers, each change of a Service in one
 * transaction, and the configuration saved after it. They are in a partition of the cluster, made and removed here, or in `partition`.
 */
export function createIcontrol(config: BigIpConfig, partition?: string): Appliance {
  const session = createSession(config, (body) => textIn(shape(body).at("message")));
  const nameOf = (cluster: string) => partition ?? tenantOf(cluster);
  /** Something may have been changed since the configuration was last saved, also by a process that was cut off. */
  let isUnsaved = true;

  /** Answers of 404 are given back, other errors thrown. */
  async function call(
    method: ApiRequest["method"],
    path: string,
    signal: AbortSignal,
    json?: unknown,
    transaction?: string,
  ): Promise<ApiAnswer> {
    const headers = transaction === undefined ? {} : { "x-f5-rest-coordination-id": transaction };
    const request: ApiRequest = {
      method,
      url: `${config.url}${base}${path}`,
      headers,
      ...(json === undefined ? {} : { json }),
    };
    const answer = await session.call(request, signal);
    if (answer.status >= 300 && answer.status !== 404) throw session.api.failureOf(request, answer);
    return answer;
  }
  const failureOf = (method: ApiRequest["method"], path: string, answer: ApiAnswer) =>
    session.api.failureOf({ method, url: `${config.url}${base}${path}` }, answer);

  /** Things of a kind in a partition. Where there are none, a BIG-IP leaves the list out. */
  async function list(kind: string, of: string, signal: AbortSignal): Promise<readonly Shape[]> {
    const path = `/ltm/${kind}?expandSubcollections=true&$filter=${encodeURIComponent(`partition eq ${of}`)}`;
    const answer = await call("GET", path, signal);
    if (answer.status === 404) return [];
    const items = shape(answer.json()).at("items");
    // The filter has been seen to be forgotten.
    return items.isAbsent() ? [] : items.list().filter((one) => one.at("partition").text() === of);
  }

  async function partitionOf(cluster: string, signal: AbortSignal): Promise<Partition | undefined> {
    const name = nameOf(cluster);
    const answer = await call("GET", `/auth/partition/${encodeURIComponent(name)}`, signal);
    if (answer.status === 404) return undefined;
    shape(answer.json()).at("name").text();
    const [virtuals, pools, monitors] = [
      await list("virtual", name, signal),
      await list("pool", name, signal),
      await list("monitor/http", name, signal),
    ];
    return {
      name,
      virtuals: virtuals.map(readVirtual),
      pools: pools.map(readPool),
      monitors: monitors.map(readMonitor),
    };
  }

  async function nodes(name: string, signal: AbortSignal): Promise<readonly Node[]> {
    const found: Node[] = [];
    for (const of of new Set([name, "Common"])) {
      for (const one of await list("node", of, signal)) {
        const address = one.at("address").text();
        const isOurs = textIn(one.at("description")) === nodeDescription;
        found.push({ name: one.at("name").text(), partition: of, address, isOurs });
      }
    }
    return found;
  }

  /** All commands, or none. */
  async function transact(commands: readonly Command[], signal: AbortSignal): Promise<StepResult> {
    const begun = await call("POST", "/transaction", signal, {});
    if (begun.status === 404) throw failureOf("POST", "/transaction", begun);
    const id = String(shape(begun.json()).at("transId").number());
    const path = `/transaction/${id}`;
    for (const { method, path: at, json } of commands) {
      const answer = await call(method, `/ltm${at}`, signal, json, id);
      if (answer.status === 404) throw failureOf(method, `/ltm${at}`, answer);
    }
    isUnsaved = true;
    let answer = await call("PATCH", path, signal, { state: "VALIDATING" });
    for (let i = 0; ; i++) {
      // It has ended, or was too slow: the next look tells which.
      if (answer.status === 404) return pending("the transaction is gone");
      const body = shape(answer.json());
      const state = body.at("state").text();
      if (state === "COMPLETED") return { state: "done" };
      if (state === "FAILED") {
        const words = `the transaction failed: ${textIn(body.at("failureReason")) ?? "no reason given"}`;
        return { state: "failed", reason: "Refused", message: words.replaceAll(/\s+/g, " ").slice(0, 500) };
      }
      if (i >= looks) return pending(`transaction ${id} is ${state.slice(0, 40)}`);
      await sleep(config.poll, undefined, { signal });
      answer = await call("GET", path, signal);
    }
  }
  const pending = (message: string): StepResult => ({ state: "pending", message, again: config.poll });

  /** What is not saved, a BIG-IP has forgotten after its next start. */
  async function save(signal: AbortSignal): Promise<void> {
    if (!isUnsaved) return;
    const answer = await call("POST", "/sys/config", signal, { command: "save" });
    if (answer.status === 404) throw failureOf("POST", "/sys/config", answer);
    isUnsaved = false;
  }

  async function change(
    uid: string,
    wanted: Objects,
    there: readonly FoundService[],
    name: string,
    signal: AbortSignal,
  ): Promise<StepResult> {
    const mine = there.find(({ key }) => key.uid === uid);
    const found = mine ? (mine.value as Objects) : nothing;
    const isMine = (name_: string) => [...found.pools, ...wanted.pools].some((pool) => pool.name === name_);
    const others = (await list("pool", name, signal)).map(readPool).filter((pool) => !isMine(pool.name));
    const commands = commandsOf({ partition: name, wanted, found, others, nodes: await nodes(name, signal) });
    const result = commands.length > 0 ? await transact(commands, signal) : ({ state: "done" } as const);
    if (result.state === "done") await save(signal);
    return result;
  }

  return {
    async services(cluster, signal) {
      const found = await partitionOf(cluster, signal);
      if (found) await save(signal);
      return found && servicesIn(found, cluster);
    },
    shapeOf: (exposure, address) => objectsOf(exposure, address, nameOf(exposure.key.cluster)),
    async put(exposure, address, there, signal) {
      const name = nameOf(exposure.key.cluster);
      if (!there) {
        if (partition !== undefined) {
          throw new ProviderFailure("Refused", `config.partition: ${config.url} has no partition ${partition}`);
        }
        await call("POST", "/auth/partition", signal, { name });
        isUnsaved = true;
      }
      return change(exposure.key.uid, objectsOf(exposure, address, name), there ?? [], name, signal);
    },
    async remove(key, there, signal) {
      const name = nameOf(key.cluster);
      const result = await change(key.uid, nothing, there, name, signal);
      if (result.state !== "done" || there.length > 1 || partition !== undefined) return result;
      await removePartition(name, signal);
      return result;
    },
  };

  /** One in which somebody has put something stays. */
  async function removePartition(name: string, signal: AbortSignal): Promise<void> {
    const left = await Promise.all(["virtual", "pool", "monitor/http", "node"].map((kind) => list(kind, name, signal)));
    if (left.some((items) => items.length > 0)) return;
    await call("DELETE", `/auth/partition/${encodeURIComponent(name)}`, signal);
    isUnsaved = true;
    await save(signal);
  }
}
