import { isDeepStrictEqual } from "node:util";
import {
  ProviderFailure,
  refusal,
  type Capabilities,
  type Exposure,
  type HttpExposure,
  type LoadBalancerProvider,
} from "./contract.ts";
import { converge, remove, type Convergence } from "./converge.ts";

/** One rule of the contract, and whether a provider keeps it. */
export interface ContractResult {
  readonly rule: string;
  readonly ok: boolean;
  readonly message?: string;
}

export type ContractKind = "Services" | "Ingresses";

/** What a provider serves, and so is held against the contract with. */
export function contractKinds({ protocols, http }: Capabilities): readonly ContractKind[] {
  return [...(protocols.length > 0 ? ["Services" as const] : []), ...(http ? ["Ingresses" as const] : [])];
}

export interface ContractOptions {
  /** Makes the provider anew, as after a crash: nothing in memory may be needed. */
  readonly create: () => Promise<LoadBalancerProvider>;
  readonly sleep: (ms: number) => Promise<void>;
  readonly signal: AbortSignal;
  /** `spec.providerID` of the suite's node of a number, for providers that need one. */
  readonly providerId?: (node: number) => string;
  /** What load balancers are made for. Default: Services, where the provider serves any. */
  readonly of?: ContractKind;
  /** Milliseconds that one load balancer may take. Default 2 minutes. */
  readonly patience?: number;
  readonly onResult?: (result: ContractResult) => void;
}

const cluster = "fairlead-contract";

/**
 * What the suite's Ingresses ask for. Who looks backends up somewhere must know Service `web` in namespace `contract`, with this UID.
 */
const contractService = { namespace: "contract", service: "web", uid: "11111111-2222-4333-8444-0000000000aa" };
function httpOf(path: string): HttpExposure {
  const backend = {
    ...contractService,
    port: 80,
    targetPort: 8080,
    nodePort: 30_080,
    endpoints: [{ address: "10.240.1.1", port: 8080 }],
  };
  return { rules: [{ host: "contract.example", path, match: "Prefix", backend }], fallback: backend, certificates: [] };
}

/** Load balancers that the suite makes, and removes. */
function exposures(
  can: Capabilities,
  of: ContractKind,
  providerId: ContractOptions["providerId"],
): { first: Exposure; changed: Exposure; second: Exposure } {
  const http = of === "Ingresses";
  const protocol = http ? "TCP" : (can.protocols[0] ?? "TCP");
  const families = can.families.slice(0, 1);
  const v6 = families[0] === "IPv6";
  const target = (node: string, last: number) => ({
    node,
    addresses: [v6 ? `fd00:a::${last}` : `10.240.0.${last}`],
    ...(providerId ? { providerId: providerId(last) } : {}),
  });
  const port = (name: string, number: number, nodePort: number) => ({ name, protocol, port: number, nodePort });
  const make = (name: string, uid: string, more: Partial<Exposure>): Exposure => ({
    key: { cluster, namespace: "contract", name, uid },
    families,
    ports: [port("http", 80, 30_080)],
    targets: [target("node-1", 1), target("node-2", 2)],
    sourceRanges: [],
    sessionAffinity: "None",
    annotations: {},
    ...(http ? { http: httpOf("/") } : {}),
    ...more,
  });
  const uid = "11111111-2222-4333-8444-";
  const several =
    can.mostPorts > 1 ? [port("http", 80, 30_081), port("more", 8443, 30_443)] : [port("http", 81, 30_081)];
  return {
    first: make("one", `${uid}000000000001`, {}),
    changed: make("one", `${uid}000000000001`, {
      ...(http ? { http: httpOf("/changed") } : { ports: several }),
      targets: [target("node-2", 2), target("node-3", 3)],
    }),
    // Node ports are one Service's only.
    second: make("n".repeat(253), `${uid}000000000002`, { ports: [port("http", 80, 30_090)] }),
  };
}

/**
 * Holds a provider against the contract, with load balancers of its own that it removes at the end. It wants a place to try things in: an
 * account, or a server, that may be written to.
 */
export async function runContract(options: ContractOptions): Promise<readonly ContractResult[]> {
  const { create, sleep, signal } = options;
  const patience = options.patience ?? 120_000;
  const results: ContractResult[] = [];
  const check = async (rule: string, work: () => Promise<void>): Promise<void> => {
    let result: ContractResult = { rule, ok: true };
    try {
      await work();
    } catch (error) {
      result = { rule, ok: false, message: error instanceof Error ? error.message : String(error) };
    }
    results.push(result);
    options.onResult?.(result);
  };
  const insist = (condition: boolean, message: string) => {
    if (!condition) throw new Error(message);
  };
  const until = async (work: () => Promise<Convergence>): Promise<Convergence & { state: "done" }> => {
    for (let waited = 0; ;) {
      const result = await work();
      if (result.state === "done") return result;
      const retry = result.state === "pending" || ["Throttled", "Unavailable", "Conflict"].includes(result.reason);
      if (!retry || waited > patience) throw new Error(`${result.state}: ${result.message}`);
      const pause = Math.max(result.again ?? 1_000, 10);
      await sleep(pause);
      waited += pause;
    }
  };

  const provider = await create();
  const can = provider.capabilities;
  const { first, changed, second } = exposures(
    can,
    options.of ?? contractKinds(can)[0] ?? "Services",
    options.providerId,
  );
  const keysNow = async (one: LoadBalancerProvider) =>
    (await one.list(cluster, signal)).map(({ name, uid }) => `${name} ${uid}`).sort();
  const keyOf = ({ key }: Exposure) => `${key.name} ${key.uid}`;
  const clear = async () => {
    for (const { key } of [first, second]) {
      const one = await create();
      await until(() => remove(one, key, signal));
    }
  };

  await check("it says what it is and what it can do", async () => {
    insist(
      /^[a-z][a-z0-9-]{0,30}$/.test(provider.name),
      `name: ${JSON.stringify(provider.name)} is not lower case with hyphens`,
    );
    insist(
      provider.loadBalancerClass.includes("/"),
      "loadBalancerClass: a name with a domain is needed, as example.com/name",
    );
    insist(
      can.families.length > 0 && (can.protocols.length > 0 || can.http !== undefined),
      "capabilities: no family, or neither a protocol nor http",
    );
    insist(
      Number.isInteger(can.mostPorts) && can.mostPorts > 0,
      "capabilities.mostPorts: a whole number above 0 is needed",
    );
    insist(refusal(first, can) === undefined, `a plain Service or Ingress is refused: ${refusal(first, can)}`);
  });
  await check("what an earlier run has left can be removed", clear);
  await check("of what does not exist it sees nothing", async () => {
    insist((await provider.observe(first.key, signal)) === undefined, "observe answers something");
    insist(!(await keysNow(provider)).includes(keyOf(first)), "list names it");
  });
  await check("plan is pure: it changes nothing and says the same again", async () => {
    const before = structuredClone(first);
    const [a, b] = [provider.plan(first, undefined), provider.plan(first, undefined)];
    insist(a.length > 0, "there is nothing to do for a load balancer that does not exist");
    insist(isDeepStrictEqual(a, b), "two calls with the same answer different steps");
    insist(isDeepStrictEqual(first, before), "it has changed what it was given");
    insist(isDeepStrictEqual(structuredClone(a), a), "steps are not plain data");
  });
  await check("it makes a load balancer and then has nothing more to do", async () => {
    const { addresses } = await until(() => converge(provider, first, signal));
    insist(addresses.length > 0, "it is done without an address");
    const again = await until(() => converge(provider, first, signal));
    insist(again.steps === 0, `the second time it did ${again.steps} steps`);
    insist((await keysNow(provider)).includes(keyOf(first)), "list does not name it");
  });
  await check("another instance sees the same, from nothing but the key", async () => {
    const other = await create();
    const again = await until(() => converge(other, first, signal));
    insist(again.steps === 0, `it did ${again.steps} steps`);
  });
  await check("a second load balancer leaves the first alone", async () => {
    const before = await provider.observe(first.key, signal);
    await until(() => converge(provider, second, signal));
    insist(isDeepStrictEqual(await provider.observe(first.key, signal), before), "the first has changed");
    insist((await keysNow(provider)).join() === [keyOf(first), keyOf(second)].sort().join(), "list does not name both");
    await until(() => remove(provider, second.key, signal));
    insist((await keysNow(provider)).join() === keyOf(first), "the second is still named, or the first is not");
  });
  await check("a change keeps the address", async () => {
    const before = await until(() => converge(provider, first, signal));
    const after = await until(() => converge(provider, changed, signal));
    insist(isDeepStrictEqual(before.addresses, after.addresses), "the addresses have changed");
    const again = await until(() => converge(provider, changed, signal));
    insist(again.steps === 0, `the second time it did ${again.steps} steps`);
  });
  await check("a removal leaves nothing, and can be asked for again", async () => {
    await until(() => remove(provider, first.key, signal));
    insist((await provider.observe(first.key, signal)) === undefined, "observe still sees something");
    insist(!(await keysNow(provider)).includes(keyOf(first)), "list still names it");
    await until(() => remove(provider, first.key, signal));
  });
  await check("cut off after any step, and with each step done twice, it ends the same", async () => {
    const whole = await until(() => converge(provider, first, signal));
    const wanted = await provider.observe(first.key, signal);
    insist(whole.addresses.length > 0 && wanted !== undefined, "there is nothing to compare with");
    await until(() => remove(provider, first.key, signal));
    for (let cut = 1; cut <= 64; cut++) {
      const cutOff = await stopAfter(await create(), first, cut, signal);
      await until(async () => converge(await create(), first, signal));
      const one = await create();
      insist(
        (await keysNow(one)).join() === keyOf(first),
        `cut off after ${cut} steps: list names something else or more`,
      );
      const again = await until(() => converge(one, first, signal));
      insist(again.steps === 0, `cut off after ${cut} steps: it does not come to rest`);
      await until(() => remove(one, first.key, signal));
      insist((await keysNow(one)).length === 0, `cut off after ${cut} steps: something is left after the removal`);
      if (!cutOff) break;
    }
  });
  await check("half made, it can be removed", async () => {
    for (let cut = 1; cut <= 64; cut++) {
      const cutOff = await stopAfter(await create(), first, cut, signal);
      await until(async () => remove(await create(), first.key, signal));
      insist((await keysNow(await create())).length === 0, `after ${cut} steps: something is left`);
      if (!cutOff) break;
    }
  });
  await check("it is left as it was found", clear);
  return results;
}

/** Does so many steps, each of them twice, and then no more, as a process that ends there. False: there were not so many. */
async function stopAfter(provider: LoadBalancerProvider, desired: Exposure, cut: number, signal: AbortSignal) {
  let done = 0;
  class Cut extends Error {}
  const limited: LoadBalancerProvider = {
    ...provider,
    list: (...args) => provider.list(...args),
    observe: (...args) => provider.observe(...args),
    plan: (...args) => provider.plan(...args),
    planRemoval: (...args) => provider.planRemoval(...args),
    addresses: (...args) => provider.addresses(...args),
    async apply(step, abort) {
      if (done >= cut) throw new Cut();
      const result = await provider.apply(step, abort);
      done++;
      if (result.state === "done") await provider.apply(step, abort);
      return result;
    },
  };
  try {
    await converge(limited, desired, signal);
    return done >= cut;
  } catch (error) {
    if (error instanceof Cut) return true;
    if (error instanceof ProviderFailure) return done >= cut;
    throw error;
  }
}
