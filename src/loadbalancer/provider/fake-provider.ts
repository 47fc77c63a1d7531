import type { Exposure, ExposureKey, LoadBalancerProvider, ProviderStep, StepResult } from "./contract.ts";

interface FakeBalancer {
  readonly key: ExposureKey;
  readonly parts: Record<string, string>;
  readonly address: string;
  state: "creating" | "active";
}

/** A cloud in memory, for unit tests: a load balancer of several parts that become active one look later. */
export interface FakeCloud {
  readonly balancers: Map<string, FakeBalancer>;
  /** Calls that wrote. */
  writes: number;
  /** Asked before each step: what it answers is the step's result. */
  fault: ((step: ProviderStep) => StepResult | undefined) | undefined;
  /** A provider that knows nothing but the cloud. */
  provider(change?: Partial<LoadBalancerProvider>): LoadBalancerProvider;
}

interface Input {
  readonly action: "create" | "put" | "drop" | "activate" | "delete";
  readonly key: ExposureKey;
  readonly part?: string;
  readonly value?: string;
}

export function createFakeCloud(): FakeCloud {
  const balancers = new Map<string, FakeBalancer>();
  let last = 0;
  const cloud: FakeCloud = {
    balancers,
    writes: 0,
    fault: undefined,
    provider: (change = {}) => ({
      name: "fake",
      loadBalancerClass: "example.com/fake",
      capabilities: {
        families: ["IPv4"],
        protocols: ["TCP", "UDP"],
        mixedProtocols: false,
        sourceRanges: false,
        sessionAffinity: true,
        requestedAddress: false,
        localPolicy: true,
        withoutNodePorts: false,
        mostPorts: 8,
        annotations: [],
      },
      list: (cluster) =>
        Promise.resolve([...balancers.values()].map(({ key }) => key).filter((key) => key.cluster === cluster)),
      observe: (key) => Promise.resolve(structuredClone(balancers.get(key.uid))),
      plan(desired, observed) {
        const found = observed as FakeBalancer | undefined;
        const wanted = partsOf(desired);
        const { key } = desired;
        const puts = Object.entries(wanted).filter(([part, value]) => found?.parts[part] !== value);
        const drops = Object.keys(found?.parts ?? {}).filter((part) => wanted[part] === undefined);
        return [
          ...(found ? [] : [step("create", { action: "create", key })]),
          ...puts.map(([part, value]) => step(`put ${part}`, { action: "put", key, part, value })),
          ...drops.map((part) => step(`drop ${part}`, { action: "drop", key, part })),
          ...(found?.state === "active" ? [] : [step("wait", { action: "activate", key })]),
        ];
      },
      planRemoval(observed) {
        const { key, parts } = observed as FakeBalancer;
        const drops = Object.keys(parts).map((part) => step(`drop ${part}`, { action: "drop", key, part }));
        return [...drops, step("delete", { action: "delete", key })];
      },
      apply(one) {
        const answer = cloud.fault?.(one);
        if (answer) return Promise.resolve(answer);
        return Promise.resolve(doStep(one.input as Input));
      },
      addresses(observed) {
        const { state, address } = observed as FakeBalancer;
        return state === "active" ? [{ ip: address, ipMode: "VIP" }] : [];
      },
      ...change,
    }),
  };

  function doStep({ action, key, part = "", value = "" }: Input): StepResult {
    const found = balancers.get(key.uid);
    if (action === "create") {
      if (found) return { state: "done" };
      cloud.writes++;
      balancers.set(key.uid, { key, parts: {}, address: `192.0.2.${++last}`, state: "creating" });
    } else if (action === "activate") {
      if (found?.state !== "creating") return { state: "done" };
      found.state = "active";
      return { state: "pending", message: "it is being made", again: 2_000 };
    } else {
      cloud.writes++;
      if (action === "delete") balancers.delete(key.uid);
      else if (found && action === "drop") delete found.parts[part];
      else if (found) found.parts[part] = value;
    }
    return { state: "done" };
  }
  return cloud;
}

const step = (summary: string, input: Input): ProviderStep => ({ summary, input });

/** A listener a port, and the members. */
function partsOf({ ports, targets }: Exposure): Record<string, string> {
  const listeners = ports.map(
    ({ port, protocol, nodePort }) => [`listener ${port}/${protocol}`, String(nodePort)] as const,
  );
  return { ...Object.fromEntries(listeners), members: targets.flatMap(({ addresses }) => addresses).join(" ") };
}
