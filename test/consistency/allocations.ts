import { setTimeout as sleep } from "node:timers/promises";
import type { HttpClient } from "./http-api.ts";
import { randomNumbers } from "./workload.ts";

/** What a Service was given, as its create was answered. */
export interface Allocation {
  readonly address: string;
  readonly port: number;
}

interface ServiceBody {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly clusterIP: string; readonly ports: readonly { readonly nodePort?: number }[] };
}

const path = "/api/v1/namespaces/default/services";

/**
 * Makes and removes Services with node ports, one client for each of `apis`, until `until` settles. Gives those whose create was acknowledged
 * and whose delete was never asked for.
 */
export async function allocateWhile(
  apis: readonly HttpClient[],
  until: Promise<unknown>,
): Promise<ReadonlyMap<string, Allocation>> {
  const made = new Map<string, Allocation>();
  let over = false;
  const faults = until.finally(() => {
    over = true;
  });
  const client = async (api: HttpClient, number: number): Promise<void> => {
    const random = randomNumbers(number);
    const own: string[] = [];
    for (let count = 0; !over; count++) {
      const name = `svc-${number}-${count}`;
      const spec = { type: "NodePort", ports: [{ port: 80 }] };
      const body = { apiVersion: "v1", kind: "Service", metadata: { name }, spec };
      const answer = await api.call("POST", path, body).catch(() => undefined);
      if (answer?.status === 201) {
        const { clusterIP, ports } = (answer.body as ServiceBody).spec;
        made.set(name, { address: clusterIP, port: ports[0]?.nodePort ?? 0 });
        own.push(name);
      } else await sleep(50);
      if (own.length < 8 || random() < 0.3) continue;
      const gone = own.shift() ?? "";
      // From here on nobody knows whether it is there, until the answer comes.
      made.delete(gone);
      const removed = await api.call("DELETE", `${path}/${gone}`).catch(() => undefined);
      if (removed?.status !== 200) await sleep(50);
    }
  };
  await Promise.all([faults, ...apis.map(client)]);
  return made;
}

/** Says what is wrong with the Services that a server shows: given twice, lost, or other than was acknowledged. */
export async function checkAllocations(api: HttpClient, made: ReadonlyMap<string, Allocation>): Promise<string[]> {
  const { items } = (await api.call("GET", path)).body as { items: ServiceBody[] };
  const problems: string[] = [];
  const holders = new Map<string, string>();
  for (const { metadata, spec } of items) {
    for (const given of [
      spec.clusterIP,
      ...spec.ports.flatMap(({ nodePort }) => (nodePort ? [`port ${nodePort}`] : [])),
    ]) {
      const holder = holders.get(given);
      if (holder !== undefined) problems.push(`${given} was given to ${holder} and to ${metadata.name}`);
      holders.set(given, metadata.name);
    }
  }
  const there = new Map(items.map((item) => [item.metadata.name, item.spec]));
  for (const [name, { address, port }] of made) {
    const spec = there.get(name);
    if (!spec) problems.push(`${name} was acknowledged and is not there`);
    else if (spec.clusterIP !== address || spec.ports[0]?.nodePort !== port)
      problems.push(`${name} has other addresses than were acknowledged`);
  }
  return problems;
}
