import { createHash } from "node:crypto";
import { type Exposure, type ExposureKey, type ExposurePort } from "../provider/contract.ts";
import { textIn, type Shape } from "../provider/shape.ts";
import type { FoundService } from "./appliance.ts";

/** An application of an AS3 declaration: what a Service is on the BIG-IP. */
export type Application = Readonly<Record<string, unknown>>;

/** An application, whose it is, and its address. */
export interface FoundApplication extends FoundService {
  readonly name: string;
}

/** AS3 names hold 64 letters, digits and underscores; what is longer, or might fall together, gets a hash. */
function nameOf(begin: string, text: string): string {
  const clean = text.replaceAll(/[^0-9A-Za-z]/g, "_");
  if (clean === text.replaceAll("-", "_") && clean.length <= 48) return `${begin}_${clean}`;
  return `${begin}_${clean.slice(0, 32)}_${createHash("sha256").update(text).digest("hex").slice(0, 12)}`;
}

/** The tenant or partition of a cluster: all in it is ours, and nothing else is. */
export const tenantOf = (cluster: string): string => nameOf("fairlead", cluster);
export const applicationName = ({ uid }: ExposureKey): string => nameOf("svc", uid);

/** A Service as AS3 has it, at an address. Pure. Equal Services are equal here, whatever else there is. */
export function applicationOf(
  { key, ports, targets, sessionAffinity, healthCheckNodePort }: Exposure,
  address: string,
): Application {
  const isV6 = address.includes(":");
  const serverAddresses = targets.flatMap(({ addresses }) =>
    addresses.filter((one) => one.includes(":") === isV6).slice(0, 1),
  );
  const parts = ports.flatMap(({ protocol, port, nodePort = 0 }: ExposurePort) => {
    const part = `${protocol.toLowerCase()}_${port}`;
    const service = {
      class: `Service_${protocol}`,
      virtualAddresses: [address],
      virtualPort: port,
      pool: `pool_${part}`,
      snat: "auto",
      persistenceMethods: sessionAffinity === "ClientIP" ? ["source-address"] : [],
    };
    const pool = {
      class: "Pool",
      members: serverAddresses.length > 0 ? [{ servicePort: nodePort, serverAddresses, shareNodes: true }] : [],
      monitors: healthCheckNodePort ? [{ use: "healthz" }] : [protocol === "TCP" ? "tcp" : "icmp"],
    };
    return [[`vs_${part}`, service] as const, [`pool_${part}`, pool] as const];
  });
  const monitor = {
    class: "Monitor",
    monitorType: "http",
    targetPort: healthCheckNodePort,
    send: "GET /healthz HTTP/1.0\\r\\n\\r\\n",
    receive: " 200 ",
  };
  return {
    class: "Application",
    template: "generic",
    constants: { class: "Constants", ...key, address },
    ...(healthCheckNodePort ? { healthz: monitor } : {}),
    ...Object.fromEntries(parts),
  };
}

/** The applications of a tenant that say whose they are. */
export function applicationsIn(tenant: Shape): readonly FoundApplication[] {
  const found: FoundApplication[] = [];
  for (const [name, value] of tenant.entries()) {
    if (typeof value.value !== "object" || value.value === null || textIn(value.at("class")) !== "Application")
      continue;
    const whose = value.at("constants");
    if (whose.isAbsent()) continue;
    const [cluster, namespace, of, uid] = ["cluster", "namespace", "name", "uid"].map((word) => whose.at(word).text());
    const key = { cluster: cluster ?? "", namespace: namespace ?? "", name: of ?? "", uid: uid ?? "" };
    found.push({ key, name, address: whose.at("address").text(), value: value.value });
  }
  return found;
}
