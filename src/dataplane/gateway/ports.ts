import { createHash } from "node:crypto";
import type { EndpointSlice } from "../../kube/index.ts";
import { gatewayLabel } from "./frontends.ts";

/** Ports that data planes open behind the Services of Gateways: below those that Linux gives to outgoing connections, and NodePorts. */
const range = { first: 15_000, size: 5_000 };

/** Gives each port of each Gateway a port of the data plane, and keeps to it. */
export interface BindPorts {
  of(gateway: string, transport: "TCP" | "UDP", port: number): number;
  /** Somebody else has it. */
  refuse(port: number, transport: "TCP" | "UDP"): void;
  /** Gives back what the others had. */
  keep(gateways: ReadonlySet<string>): void;
}

/** `slices`: what was written before, so that a restart finds the ports that connections know. */
export function createBindPorts(slices: readonly EndpointSlice[]): BindPorts {
  const given = new Map<string, number>();
  const refused = new Set<string>();
  const keyOf = (gateway: string, transport: string, port: number): string => `${gateway} ${transport} ${port}`;
  const taken = new Set<string>();
  for (const { metadata, ports } of slices) {
    const name = metadata.labels?.[gatewayLabel];
    if (name === undefined) continue;
    for (const { name: text = "", protocol = "TCP", port } of ports ?? []) {
      const wanted = Number(/^(?:tcp|udp)-(\d+)$/.exec(text)?.[1]);
      if (!wanted || !port || taken.has(`${protocol} ${port}`)) continue;
      given.set(keyOf(`${metadata.namespace}/${name}`, protocol, wanted), port);
      taken.add(`${protocol} ${port}`);
    }
  }
  return {
    of(gateway, transport, port) {
      const key = keyOf(gateway, transport, port);
      const known = given.get(key);
      if (known !== undefined) return known;
      const start = createHash("sha256").update(key).digest().readUInt32BE() % range.size;
      for (let step = 0; step < range.size; step++) {
        const candidate = range.first + ((start + step) % range.size);
        const text = `${transport} ${candidate}`;
        if (taken.has(text) || refused.has(text)) continue;
        given.set(key, candidate);
        taken.add(text);
        return candidate;
      }
      throw new Error(`all ${range.size} ports for Gateways are taken`);
    },
    refuse(port, transport) {
      refused.add(`${transport} ${port}`);
      for (const [key, value] of given)
        if (value === port && key.includes(` ${transport} `)) {
          given.delete(key);
          taken.delete(`${transport} ${port}`);
        }
    },
    keep(gateways) {
      for (const [key, port] of given) {
        const [gateway = "", transport = ""] = key.split(" ");
        if (gateways.has(gateway)) continue;
        given.delete(key);
        taken.delete(`${transport} ${port}`);
      }
    },
  };
}
