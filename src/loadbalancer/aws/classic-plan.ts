import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type Exposure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import { balancerName, schemeOf, subnetsOf, type AwsSettings } from "./desired.ts";

export interface ClassicListener {
  readonly port: number;
  readonly nodePort: number;
}

/** A Service as a Classic Load Balancer. Lists are sorted. */
export interface ClassicBalancer {
  readonly name: string;
  readonly scheme: string;
  readonly subnets: readonly string[];
  readonly listeners: readonly ClassicListener[];
  /** One for all ports, as AWS has it: `TCP:30080`, `HTTP:32000/healthz`. */
  readonly health: string;
  readonly instances: readonly string[];
}

export interface FoundClassic extends ClassicBalancer {
  readonly key: ExposureKey;
  readonly hostname: string;
}

export type ClassicStep =
  | { readonly do: "create"; readonly key: ExposureKey; readonly balancer: ClassicBalancer }
  | { readonly do: "health"; readonly name: string; readonly target: string }
  | { readonly do: "attach" | "detach"; readonly name: string; readonly subnets: readonly string[] }
  | { readonly do: "listen"; readonly name: string; readonly listeners: readonly ClassicListener[] }
  | { readonly do: "unlisten"; readonly name: string; readonly ports: readonly number[] }
  | { readonly do: "register" | "deregister"; readonly name: string; readonly instances: readonly string[] }
  | { readonly do: "delete"; readonly name: string };

const instanceOf = (providerId: string | undefined) => /^aws:\/\/.*\/(i-[0-9a-f]{8,17})$/.exec(providerId ?? "")?.[1];

/** Pure. Throws ProviderFailure Refused. */
export function classicOf(exposure: Exposure, settings: AwsSettings): ClassicBalancer {
  const { key, ports, targets, healthCheckNodePort } = exposure;
  const instances = targets.flatMap(({ providerId }) => instanceOf(providerId) ?? []);
  if (targets.length > 0 && instances.length === 0) {
    const words = "no Node has a spec.providerID of AWS (aws:///ZONE/i-...); a Classic Load Balancer needs instances";
    throw new ProviderFailure("Refused", words);
  }
  return {
    name: balancerName(key),
    scheme: schemeOf(exposure, settings),
    subnets: subnetsOf(exposure, settings),
    listeners: ports.map(({ port, nodePort = 0 }) => ({ port, nodePort })).sort((a, b) => a.port - b.port),
    health: healthCheckNodePort ? `HTTP:${healthCheckNodePort}/healthz` : `TCP:${ports[0]?.nodePort ?? 0}`,
    instances: [...new Set(instances)].sort(),
  };
}

const step = (summary: string, input: ClassicStep): ProviderStep => ({ summary, input });
const without = <T>(list: readonly T[], others: readonly T[]) =>
  list.filter((one) => !others.some((other) => isDeepStrictEqual(one, other)));

/** Pure. Throws ProviderFailure Refused. */
export function planClassic(
  key: ExposureKey,
  wanted: ClassicBalancer,
  found: FoundClassic | undefined,
): readonly ProviderStep[] {
  const { name } = wanted;
  if (!found) return [step(`create load balancer ${name}`, { do: "create", key, balancer: wanted })];
  if (found.scheme !== wanted.scheme) {
    const words = `load balancer ${name} is ${found.scheme}, which cannot be changed; make the Service anew`;
    throw new ProviderFailure("Refused", words);
  }
  const steps: ProviderStep[] = [];
  const some = (list: readonly unknown[], summary: string, input: ClassicStep) => {
    if (list.length > 0) steps.push(step(`${summary} ${name}`, input));
  };
  const attach = without(wanted.subnets, found.subnets);
  some(attach, "attach subnets to", { do: "attach", name, subnets: attach });
  if (found.health !== wanted.health)
    steps.push(
      step(`set the health check of ${name} to ${wanted.health}`, { do: "health", name, target: wanted.health }),
    );
  const register = without(wanted.instances, found.instances);
  some(register, `register ${register.length} instances with`, { do: "register", name, instances: register });
  // A listener cannot be changed: one of the same port goes first.
  const old = without(found.listeners, wanted.listeners).map(({ port }) => port);
  some(old, `delete listeners ${old.join(", ")} of`, { do: "unlisten", name, ports: old });
  const listeners = without(wanted.listeners, found.listeners);
  const ports = listeners.map(({ port }) => port).join(", ");
  some(listeners, `create listeners ${ports} of`, { do: "listen", name, listeners });
  const gone = without(found.instances, wanted.instances);
  some(gone, `deregister ${gone.length} instances from`, { do: "deregister", name, instances: gone });
  const detach = without(found.subnets, wanted.subnets);
  some(detach, "detach subnets from", { do: "detach", name, subnets: detach });
  return steps;
}
