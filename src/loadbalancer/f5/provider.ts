import { isDeepStrictEqual } from "node:util";
import { formatIp, parseIp } from "../../kube/index.ts";
import { createTurns } from "../../system/index.ts";
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
import type { Appliance, FoundService } from "./appliance.ts";
import { createApplications } from "./applications.ts";
import { createAs3 } from "./as3.ts";
import { createIcontrol } from "./icontrol.ts";

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
  "api",
  "partition",
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

/** Virtual servers of an F5 BIG-IP, by AS3 or by iControl REST. Throws ProviderConfigError. */
export function createProvider(value: unknown): LoadBalancerProvider<FoundService> {
  const config = readConfig(value, names);
  let ranges: readonly Range[];
  try {
    ranges = parsePools(config.texts("addresses"));
  } catch (error) {
    if (error instanceof PoolError) throw new ProviderConfigError(`config.addresses: ${error.message}`);
    throw error;
  }
  const bigIp = {
    url: config.url("url", "F5_HOST"),
    username: config.text("username", process.env["F5_USER"]),
    password: config.secret("password", "F5_PASSWORD"),
    loginProvider: config.text("loginProvider", "tmos"),
    insecure: config.flag("insecure", false),
    poll: config.whole("pollMs", 10, 600_000, 1_000),
    timeout: config.whole("timeoutMs", 100, 600_000, 30_000),
    ...config.pem("caFile"),
  };
  const partition = config.optional("partition");
  if (config.oneOf("api", ["as3", "icontrol"], "as3") === "as3") {
    if (partition !== undefined) {
      throw new ProviderConfigError("config.partition: AS3 has a tenant of its own; remove it, or set api: icontrol");
    }
    return f5Provider(createApplications(createAs3(bigIp)), ranges);
  }
  if (partition !== undefined && !/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/.test(partition)) {
    throw new ProviderConfigError("config.partition: a letter, then letters, digits, '_', '.' and '-' are needed");
  }
  return f5Provider(createIcontrol(bigIp, partition), ranges);
}

export function f5Provider(appliance: Appliance, ranges: readonly Range[]): LoadBalancerProvider<FoundService> {
  /** A BIG-IP takes one declaration at a time, and addresses are chosen by what is there: one after the other. */
  const inTurn = createTurns();

  function choose(desired: Exposure, taken: readonly FoundService[], kept: string | undefined): string {
    if (kept !== undefined) return kept;
    if (desired.requestedAddress !== undefined) return formatIpText(desired.requestedAddress);
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
    const there = await appliance.services(key.cluster, signal);
    const mine = there?.find((one) => one.key.uid === key.uid);
    const address = choose(desired, there ?? [], mine?.address ?? kept);
    assertFree(desired, address, there ?? []);
    if (isDeepStrictEqual(mine?.value, appliance.shapeOf(desired, address))) return { state: "done" };
    return appliance.put(desired, address, there, signal);
  }

  async function remove({ key }: Input, signal: AbortSignal): Promise<StepResult> {
    const there = await appliance.services(key.cluster, signal);
    if (!there?.some((one) => one.key.uid === key.uid)) return { state: "done" };
    return appliance.remove(key, there, signal);
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
    list: async (cluster, signal) => ((await appliance.services(cluster, signal)) ?? []).map(({ key }) => key),
    observe: async (key, signal) =>
      (await appliance.services(key.cluster, signal))?.find((one) => one.key.uid === key.uid),
    plan(desired, observed): readonly ProviderStep[] {
      const { key, requestedAddress, families } = desired;
      if (families.length > 1)
        throw new ProviderFailure("Refused", "spec.ipFamilies: one family a Service is supported");
      const wanted = requestedAddress === undefined ? undefined : formatIpText(requestedAddress);
      if (!observed) return [{ summary: "make its virtual servers", input: { do: "put", key, desired } }];
      if (wanted !== undefined && wanted !== observed.address) {
        const words = `the address ${wanted} is asked for, but it has ${observed.address}; make the Service anew`;
        throw new ProviderFailure("Refused", words);
      }
      if (isDeepStrictEqual(observed.value, appliance.shapeOf(desired, observed.address))) return [];
      const { address } = observed;
      return [{ summary: "change its virtual servers", input: { do: "put", key, desired, address } }];
    },
    planRemoval: ({ key }) => [{ summary: "remove its virtual servers", input: { do: "remove", key } }],
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

/** Two Services never have one address. */
function assertFree(desired: Exposure, address: string, others: readonly FoundService[]): void {
  const other = others.find((one) => one.address === address && one.key.uid !== desired.key.uid);
  if (!other) return;
  throw new ProviderFailure(
    "Refused",
    `the address ${address} belongs to Service ${other.key.namespace}/${other.key.name}`,
  );
}

function formatIpText(text: string): string {
  const ip = parseIp(text);
  return ip ? formatIp(ip) : text;
}
