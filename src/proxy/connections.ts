import type { Family, Packet, Protocol } from "../services/index.ts";
import type { CommandRunner } from "../system/index.ts";

/** A connection to a Service, as far as it can be seen. */
export interface ServiceConnection {
  /** `namespace/name`. */
  readonly service: string;
  readonly protocol: Protocol;
  /** `address:port`, as are the others. */
  readonly client: string;
  readonly frontend: string;
  readonly endpoint: string;
  /** Seconds since it began; only where this process carries it. */
  readonly seconds?: number;
  /** Bytes from the client and to it; in kernel modes only where `net.netfilter.nf_conntrack_acct` is 1. */
  readonly received?: number;
  readonly sent?: number;
}

/** `address:port`, with brackets where it is IPv6. */
export function placeText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Reads what `conntrack -L -p tcp` says of connections that are translated and have not ended. */
export function* translatedIn(
  text: string,
): Generator<Omit<ServiceConnection, "service"> & { readonly packet: Packet }> {
  for (const line of text.split("\n")) {
    if (/ (?:TIME_WAIT|CLOSE) /.test(line)) continue;
    const [original, reply] = [...line.matchAll(tuple)];
    if (!original || !reply) continue;
    const [, source = "", destination = "", sourcePort, port, received] = original;
    const [, endpoint = "", , endpointPort, , sent] = reply;
    if (endpoint === destination && endpointPort === port) continue;
    yield {
      protocol: "TCP",
      client: placeText(source, Number(sourcePort)),
      frontend: placeText(destination, Number(port)),
      endpoint: placeText(endpoint, Number(endpointPort)),
      ...(received === undefined ? {} : { received: Number(received) }),
      ...(sent === undefined ? {} : { sent: Number(sent) }),
      packet: { source, destination, port: Number(port), protocol: "TCP" },
    };
  }
}

const tuple = /\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)(?: packets=\d+ bytes=(\d+))?/g;

/** What the kernel follows of connections to Services. Without conntrack there is nothing to see. */
export async function connectionsInKernel(
  commands: CommandRunner,
  families: readonly Family[],
  serviceOf: (packet: Packet) => string | undefined,
): Promise<ServiceConnection[]> {
  const found: ServiceConnection[] = [];
  for (const family of families) {
    const listed = await commands.run("conntrack", ["-L", "-f", family.toLowerCase(), "-p", "tcp"]);
    if (listed.code !== 0) throw new Error(`conntrack -L: ${listed.stderr.trim()}`);
    for (const { packet, ...connection } of translatedIn(listed.stdout)) {
      const service = serviceOf(packet);
      if (service !== undefined) found.push({ service, ...connection });
    }
  }
  return found;
}
