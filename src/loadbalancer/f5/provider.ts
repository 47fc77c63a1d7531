import { isDeepStrictEqual } from "node:util";
import { formatIp, parseIp } from "../../kube/index.ts";
import { parsePools, PoolError } from "../pools.ts";
import { ProviderConfigError, readConfig } from "../provider/config.ts";
import {
  failedStep,
  ProviderFailure,
  type Exposure,
  type ExposureKey,
  type LoadBalancerProvider,
  type ProviderStep,
  type StepResult,
} from "../provider/contract.ts";
import { createTurns } from "../../system/index.ts";
import { createAs3, type As3 } from "./as3.ts";
import {
  applicationName,
  applicationOf,
  applicationsIn,
  assertFree,
  tenantOf,
  type FoundApplication,
} from "./declaration.ts";

/** Services with this class get virtual servers of a BIG-IP. */
export const f5Class = "fairlead.dev/f5";

type Range = ReturnType<typeof parsePools>[number];

interface Input {
  readonly do: "put" | "remove";
  readonly key: ExposureKey;
  /** With `put`. */
  readonly desired?: Exposure;
  /** What it has already: an address stays. */
  readonly address?: string;
}

const names = [
  "url",
  "username",
  "password",
  "passwordFile",
  "loginProvider",
  "addresses",
  "caFile",
  "insecure",
  "pollMs",
  "timeoutMs",
];

/** Virtual servers of an F5 BIG-IP, declared by AS3: one tenant a cluster, one application a Service. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<FoundApplication> {
  const config = readConfig(value, names);
  let ranges: readonly Range[];
  try {
    ranges = parsePools(config.texts("addresses"));
  } catch (error) {
    if (error instanceof PoolError) throw new ProviderConfigError(`config.addresses: ${error.message}`);
    throw error;
  }
  const as3 = createAs3({
    url: config.url("url", "F5_HOST"),
    username: config.text("username", process.env["F5_USER"]),
    password: config.secret("password", "F5_PASSWORD"),
    loginProvider: config.text("loginProvider", "tmos"),
    insecure: config.flag("insecure", false),
    poll: config.whole("pollMs", 10, 600_000, 1_000),
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    ...config.pem("caFile"),
  });
  return f5Provider(as3, ranges);
}

export function f5Provider(as3: As3, ranges: readonly Range[]): LoadBalancerProvider<FoundApplication> {
  /** A BIG-IP takes one declaration at a time, and addresses are chosen by what is there: one after the other. */
  const inTurn = createTurns();

  async function all(cluster: string, signal: AbortSignal): Promise<readonly FoundApplication[] | undefined> {
    const tenant = await as3.tenant(tenantOf(cluster), signal);
    return tenant && applicationsIn(tenant).filter(({ key }) => key.cluster === cluster);
  }

  function choose(desired: Exposure, taken: readonly FoundApplication[], kept: string | undefined): string {
    const wanted = kept ?? desired.requestedAddress;
    if (wanted !== undefined) return wanted;
    const used = new Set(taken.map(({ address }) => address));
    for (const range of ranges) {
      if (range.family !== desired.families[0]) continue;
      // Bounded by what is used: among one more than that, one is free.
      for (let next = range.first; next <= range.last && next - range.first <= BigInt(used.size); next++) {
        const address = formatIp({ family: range.family, value: next });
        if (!used.has(address)) return address;
      }
    }
    throw new ProviderFailure("Quota", "config.addresses: all addresses are taken; add a range, or ask for an address");
  }

  async function put(
    { key, desired, address: kept }: Input & { desired: Exposure },
    signal: AbortSignal,
  ): Promise<StepResult> {
    const there = await all(key.cluster, signal);
    const mine = there?.find((one) => one.key.uid === key.uid);
    const address = choose(desired, there ?? [], mine?.address ?? kept);
    assertFree(desired, address, there ?? []);
    const value = applicationOf(desired, address);
    if (isDeepStrictEqual(mine?.value, value)) return { state: "done" };
    const [tenant, name] = [tenantOf(key.cluster), applicationName(key)];
    if (there) return as3.patch(tenant, name, value, signal);
    return as3.declare(tenant, { class: "Tenant", [name]: value }, signal);
  }

  async function remove({ key }: Input, signal: AbortSignal): Promise<StepResult> {
    const there = await all(key.cluster, signal);
    if (!there?.some((one) => one.key.uid === key.uid)) return { state: "done" };
    const tenant = tenantOf(key.cluster);
    // AS3 keeps no tenant without an application.
    if (there.length === 1) return as3.removeTenant(tenant, signal);
    return as3.patch(tenant, applicationName(key), undefined, signal);
  }

  return {
    name: "f5",
    loadBalancerClass: f5Class,
    capabilities: {
      families: ["IPv4", "IPv6"],
      protocols: ["TCP", "UDP", "SCTP"],
      mixedProtocols: true,
      sourceRanges: false,
      sessionAffinity: true,
      requestedAddress: true,
      localPolicy: true,
      withoutNodePorts: false,
      mostPorts: 100,
      annotations: [],
    },
    list: async (cluster, signal) => ((await all(cluster, signal)) ?? []).map(({ key }) => key),
    observe: async (key, signal) => (await all(key.cluster, signal))?.find((one) => one.key.uid === key.uid),
    plan(desired, observed): readonly ProviderStep[] {
      const { key, requestedAddress, families } = desired;
      if (families.length > 1)
        throw new ProviderFailure("Refused", "spec.ipFamilies: one family a Service is supported");
      const wanted = requestedAddress === undefined ? undefined : formatIpText(requestedAddress);
      if (!observed) return [{ summary: "declare its application", input: { do: "put", key, desired } }];
      if (wanted !== undefined && wanted !== observed.address) {
        const words = `the address ${wanted} is asked for, but it has ${observed.address}; make the Service anew`;
        throw new ProviderFailure("Refused", words);
      }
      if (isDeepStrictEqual(observed.value, applicationOf(desired, observed.address))) return [];
      const { address } = observed;
      return [{ summary: "declare its application anew", input: { do: "put", key, desired, address } }];
    },
    planRemoval: ({ key }) => [{ summary: "remove its application", input: { do: "remove", key } }],
    apply: ({ input }, signal) =>
      inTurn(async (): Promise<StepResult> => {
        const { desired, ...rest } = input as Input;
        try {
          return await (desired ? put({ ...rest, desired }, signal) : remove(rest, signal));
        } catch (error) {
          return failedStep(error);
        }
      }),
    // Its virtual servers translate source addresses: what arrives at a node does not have this address.
    addresses: ({ address }) => [{ ip: address, ipMode: "Proxy" }],
  };
}

function formatIpText(text: string): string {
  const ip = parseIp(text);
  return ip ? formatIp(ip) : text;
}
