import type { ConfigMap } from "../../kube/index.ts";
import type { Listener, Owner } from "../model.ts";
import { refOf } from "../owner.ts";
import { poolKey, type PoolTarget } from "../pool.ts";
import type { Problem } from "../problem.ts";
import { plainRule } from "../rule.ts";

/** One of ingress-nginx's ConfigMaps `tcp-services` and `udp-services`: a key is a port, its value `NAMESPACE/SERVICE:PORT[:PROXY][:PROXY]`. */
export interface StreamServices {
  readonly transport: "TCP" | "UDP";
  readonly configMap: ConfigMap;
}

export interface StreamService {
  readonly listener: Listener;
  readonly target: PoolTarget;
  readonly owner: Owner;
}

export interface StreamReading {
  readonly services: readonly StreamService[];
  readonly problems: readonly Problem[];
}

/** More ports than this are not opened for one ConfigMap. */
const mostPorts = 1_000;

/** Reads both ConfigMaps. `reserved`: ports that serve HTTP. */
export function readStreamServices(maps: readonly StreamServices[], reserved: readonly number[]): StreamReading {
  const services: StreamService[] = [];
  const problems: Problem[] = [];
  for (const { transport, configMap } of maps) {
    const object = refOf(configMap);
    const entries = Object.entries(configMap.data ?? {}).sort(([a], [b]) => Number(a) - Number(b));
    for (const [index, [key, text]] of entries.entries()) {
      const field = `data[${key}]`;
      const refuse = (message: string, remedy: string): void =>
        void problems.push({ object, field, reason: "InvalidStreamService", message, remedy });
      const port = /^[1-9]\d{0,4}$/.test(key) ? Number(key) : 0;
      const service = serviceOf(text, transport);
      if (port < 1 || port > 65_535) refuse(`${JSON.stringify(key)} is no port`, "use a number from 1 to 65535");
      else if (transport === "TCP" && reserved.includes(port))
        refuse(`port ${port} serves HTTP`, "choose another port");
      else if (index >= mostPorts) refuse(`there are more than ${mostPorts} ports`, "use fewer");
      else if ("fault" in service) refuse(service.fault, `write NAMESPACE/SERVICE:PORT, such as default/db:5432`);
      else {
        const owner = { object, field };
        const name = `${transport.toLowerCase()}-${port}`;
        const id = `${object.namespace ?? ""}/${object.name} ${name}`;
        const any = { id, host: "", rule: plainRule(id, poolKey(service), owner), owner };
        const streams = { exact: new Map(), wildcard: new Map(), any };
        const servers = new Map([["", { kind: "stream", hostname: "", streams, owner } as const]]);
        services.push({ listener: { name, port, protocol: transport, servers }, target: service, owner });
      }
    }
  }
  return { services, problems };
}

function serviceOf(text: string, transport: "TCP" | "UDP"): PoolTarget | { readonly fault: string } {
  const [, namespace = "", service = "", port = "", decode = "", encode = ""] =
    /^([a-z0-9-]{1,63})\/([a-z0-9-]{1,63}):([A-Za-z0-9-]{1,63})(?::(PROXY)?)?(?::(PROXY)?)?$/i.exec(text.trim()) ?? [];
  if (service === "") return { fault: `${JSON.stringify(text.slice(0, 200))} names no port of a Service` };
  if (decode !== "") return { fault: "the PROXY protocol is not read from clients" };
  if (encode !== "" && transport === "UDP") return { fault: "datagrams have no PROXY protocol" };
  return {
    namespace,
    service,
    port: /^\d+$/.test(port) ? { number: Number(port) } : { name: port },
    protocol: transport === "TCP" ? "tcp" : "udp",
    ...(encode === "" ? {} : { proxyProtocol: 1, variant: "PROXY" }),
  };
}
