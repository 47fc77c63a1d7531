import { randomBytes } from "node:crypto";
import { connect, createServer, type AddressInfo } from "node:net";
import type { Family, NodePlan, PortPlan, ServiceEndpoint } from "../services/index.ts";
import type { ProxyMode } from "./backend.ts";

/**
 * A Service of the proxy's own, by which it proves that packets are led: its endpoints are sockets of this process, and only the rows (or
 * listeners) of a mode lead from its addresses there. Each mode has addresses of its own, so that two can be tried beside each other.
 */
export interface Canary {
  /** What a backend of this mode is told of it. */
  plan(mode: ProxyMode, families: readonly Family[]): NodePlan;
  /** Makes a connection in each family. Resolves with why one did not come through; undefined when all did. */
  probe(mode: ProxyMode, families: readonly Family[]): Promise<string | undefined>;
}

/** Where a connection can only be answered by way of the proxy. IPv6 has one loopback address, so the port makes the difference. */
const frontends: Readonly<Record<ProxyMode, { readonly address: string; readonly port6: number }>> = {
  nftables: { address: "127.255.10.1", port6: 10_961 },
  iptables: { address: "127.255.10.2", port6: 10_962 },
  userspace: { address: "127.255.10.3", port6: 10_963 },
};
/**
 * Where its endpoints are. Not where its connections come from, 127.0.0.1: such a one is masked, and a machine that has nothing but loopback
 * has no address for that.
 */
const loopback: Readonly<Record<Family, string>> = { IPv4: "127.255.10.9", IPv6: "::1" };
/** Milliseconds for one connection there and back. */
const patience = 2_000;

/** Opens the canary's endpoints; rejects with the system's error when that cannot be. They close when the signal aborts. */
export async function openCanary(signal: AbortSignal): Promise<Canary> {
  const token = randomBytes(16).toString("hex");
  const port4 = await openEndpoint(loopback.IPv4, token, signal);
  // A machine without IPv6 has no such address.
  const port6 = await openEndpoint(loopback.IPv6, token, signal).catch(() => undefined);

  const portsOf = (mode: ProxyMode, families: readonly Family[]): PortPlan[] => {
    const { address, port6: own6 } = frontends[mode];
    return [
      ...(families.includes("IPv4") ? [portOf(mode, "IPv4", { address, port: port4 }, port4)] : []),
      ...(families.includes("IPv6") && port6 !== undefined
        ? [portOf(mode, "IPv6", { address: loopback.IPv6, port: own6 }, port6)]
        : []),
    ];
  };
  return {
    plan: (mode, families) => ({ key: canaryKey(mode), conflicts: [], ports: portsOf(mode, families) }),
    async probe(mode, families) {
      const asked = portsOf(mode, families).flatMap((one) => one.frontends);
      const problems = await Promise.all(asked.map(({ address = "", port }) => ask(address, port, token)));
      return problems.find((problem) => problem !== undefined);
    },
  };
}

/** Key of the canary among the Services of a backend; no Service can be called so. */
export const canaryKey = (mode: ProxyMode): string => `fairlead:canary/${mode}`;

/** Answers each connection with the token. Resolves with its port. */
async function openEndpoint(address: string, token: string, signal: AbortSignal): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(token);
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, address, resolve);
  });
  server.on("error", () => {});
  server.unref();
  signal.addEventListener("abort", () => server.close(), { once: true });
  return (server.address() as AddressInfo).port;
}

function portOf(
  mode: ProxyMode,
  family: Family,
  frontend: { readonly address: string; readonly port: number },
  port: number,
): PortPlan {
  const endpoint: ServiceEndpoint = {
    address: loopback[family],
    port,
    ready: true,
    serving: true,
    terminating: false,
    nodeHints: [],
    zoneHints: [],
    slice: canaryKey(mode),
  };
  const pool = { endpoints: [endpoint], choice: "ready" } as const;
  return {
    id: `${canaryKey(mode)}:/TCP`,
    family,
    name: "",
    protocol: "TCP",
    frontends: [{ kind: "ClusterIP", ...frontend, protocol: "TCP", policy: "Cluster", field: "canary" }],
    cluster: pool,
    local: pool,
    serving: pool.endpoints,
    usesLocal: false,
    anywhere: true,
  };
}

function ask(address: string, port: number, token: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const where = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const socket = connect({ host: address, port });
    let answer = "";
    const done = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(patience, () => done(`a connection to the canary at ${where} was not answered`));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      done(`a connection to the canary at ${where} failed: ${error.code ?? error.message}`),
    );
    socket.on("data", (data) => {
      answer += data.toString("latin1").slice(0, token.length + 1);
      if (answer === token) done(undefined);
      else if (answer.length > token.length) done(`somebody else answers at ${where}`);
    });
    socket.on("end", () => done(`somebody else answers at ${where}`));
  });
}
