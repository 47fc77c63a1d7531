import { createHash } from "node:crypto";
import type { EndpointSlice } from "../../kube/index.ts";
import { gatewayOf } from "./frontends.ts";

/** Ports that data planes open behind the Services of Gateways: below those that Linux gives to outgoing connections, and NodePorts. */
const range = { first: 15_000, size: 5_000 };

/** Gives each port of each Gateway a port of the data plane, and keeps to it. */
export interface BindPorts {
  of(gateway: string, transport: "TCP" | "UDP", port: number): number;
  /** Takes over what who leads has written; whether that is anything new. */
  learn(slice: EndpointSlice): boolean;
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
  function learn(slice: EndpointSlice): boolean {
    let isNew = false;
    const [gateway] = gatewayOf(slice);
    if (gateway === undefined) return false;
    for (const { name: text = "", protocol = "TCP", port } of slice.ports ?? []) {
      const wanted = Number(/^(?:tcp|udp)-(\d+)$/.exec(text)?.[1]);
      if (!wanted || !port) continue;
      const key = keyOf(gateway, protocol, wanted);
      const before = given.get(key);
      if (before === port) continue;
      // Whoever was given it by a guess is given another.
      forget((other, value) => value === port && other.split(" ")[1] === protocol);
      taken.delete(`${protocol} ${before}`);
      given.set(key, port);
      taken.add(`${protocol} ${port}`);
      isNew = true;
    }
    return isNew;
  }
  function forget(isGone: (key: string, port: number) => boolean): void {
    for (const [key, port] of given) {
      if (!isGone(key, port)) continue;
      given.delete(key);
      taken.delete(`${key.split(" ")[1]} ${port}`);
    }
  }
  for (const slice of slices) learn(slice);
  return {
    learn,
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
      forget((key, value) => value === port && key.split(" ")[1] === transport);
    },
    keep(gateways) {
      forget((key) => !gateways.has(key.split(" ")[0] ?? ""));
    },
  };
}
