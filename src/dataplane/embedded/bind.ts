import { once } from "node:events";
import type { AddressInfo, ListenOptions, Server } from "node:net";
import type { Listener } from "../../routing/index.ts";
import type { BoundListener } from "../dataplane.ts";
import type { PortEnd } from "../sockets.ts";

/** Added to a port that may not be bound: 80 becomes 8080, 443 becomes 8443 + ... as `--help` says. */
const fallbackOffset = 8000;

const words: Readonly<Record<string, string>> = {
  EACCES: "needs privileges",
  EADDRINUSE: "is in use",
  EADDRNOTAVAIL: "is on an address that this host does not have",
};

/** The socket of a listener's port, when someone else opens it. */
export type TakePort = (listener: Listener) => Promise<TakenPort> | TakenPort;

export interface TakenPort {
  readonly bound: BoundListener;
  /** To be closed by whoever takes it. Empty: nobody listens. */
  readonly ends: readonly Pick<PortEnd, "address" | "fd">[];
}

/** A server for each address that a port is open on. */
export interface BoundServers {
  readonly bound: BoundListener;
  readonly servers: readonly Server[];
}

/** Listens on sockets that are open already. */
export async function bindTaken(create: () => Server, { bound, ends }: TakenPort): Promise<BoundServers> {
  const servers = await listenWith(
    create,
    ends.map(({ fd }) => () => ({ fd, backlog })),
  );
  return typeof servers === "string" ? { bound: withoutPort(bound, servers), servers: [] } : { bound, servers };
}

export function withoutPort({ name, protocol, wanted, address }: BoundListener, failure: string): BoundListener {
  const about = { name, protocol, wanted, ...(address === undefined ? {} : { address }) };
  return { ...about, error: `port ${wanted} ${words[failure] ?? failure}` };
}

const backlog = 4096;

/** Listeners of one kind can go on with each other's port: who takes a connection of TLS is seen by its server name. */
export const portKind = (protocol: Listener["protocol"]): string => (protocol === "TLS" ? "HTTPS" : protocol);

/** Ports that are tried for a listener, one after the other. */
export function portOrder({ port, bindPort }: Listener): readonly number[] {
  if (bindPort !== undefined) return [bindPort];
  return port + fallbackOffset > 65_535 ? [port] : [port, port + fallbackOffset];
}

/**
 * Binds the listener's port on its address, or the `usual` ones; where that is not permitted or in use, port + 8000, unless the model says which
 * port to bind. Never rejects.
 */
export async function bindPort(
  create: () => Server,
  listener: Listener,
  usual: readonly string[],
): Promise<BoundServers> {
  const { name, protocol, port: wanted, bindPort: only, address } = listener;
  const about = { name, protocol, wanted, ...(address === undefined ? {} : { address }) };
  const addresses = address === undefined ? usual : [address];
  const text = (port: number, failure: string): string => `port ${port} ${words[failure] ?? failure}`;
  const none = (error: string): BoundServers => ({ bound: { ...about, error }, servers: [] });
  const first = await tryBind(create, only ?? wanted, addresses);
  if (typeof first !== "string") return { bound: { ...about, port: portOf(first) ?? wanted }, servers: first };
  const error = text(only ?? wanted, first);
  const other = wanted + fallbackOffset;
  if (only !== undefined || other > 65_535 || first === "EADDRNOTAVAIL") return none(error);
  const second = await tryBind(create, other, addresses);
  if (typeof second === "string") return none(`${error}, and ${text(other, second)}`);
  return { bound: { ...about, port: other, error: `${error}: listening on ${other} instead` }, servers: second };
}

/** Undefined for none. */
const portOf = ([server]: readonly Server[]): number | undefined => server && (server.address() as AddressInfo).port;

function tryBind(create: () => Server, port: number, addresses: readonly string[]): Promise<Server[] | string> {
  return listenWith(
    create,
    // Where any port will do, the others take the one that the first got. Beside a socket of IPv4, `::` is of IPv6 alone.
    addresses.map((host) => (open) => ({
      port: portOf(open) ?? port,
      host,
      ipv6Only: addresses.length > 1,
    })),
  );
}

/** A server for each of these places, or why one cannot be: then there is none. */
async function listenWith(
  create: () => Server,
  places: readonly ((open: readonly Server[]) => ListenOptions & { readonly fd?: number })[],
): Promise<Server[] | string> {
  const open: Server[] = [];
  for (const place of places) {
    const server = create();
    server.listen(place(open));
    try {
      await once(server, "listening");
    } catch (error) {
      for (const each of open) each.close();
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
    open.push(server);
  }
  return open;
}
