import { once } from "node:events";
import type { AddressInfo, ListenOptions, Server } from "node:net";
import type { Listener } from "../../routing/index.ts";
import type { BoundListener } from "../dataplane.ts";

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
  /** To be closed by whoever takes it. */
  readonly fd?: number;
}

/** Listens on a socket that is open already. */
export async function bindTaken(server: Server, { bound, fd }: TakenPort): Promise<BoundListener> {
  if (fd === undefined) return bound;
  const failure = await listening(server, { fd, backlog });
  return failure === undefined ? bound : withoutPort(bound, failure);
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
 * Binds the listener's port on its address, or the `usual` one; where that is not permitted or in use, port + 8000, unless the model says which
 * port to bind. Never rejects.
 */
export async function bindPort(server: Server, listener: Listener, usual: string): Promise<BoundListener> {
  const { name, protocol, port: wanted, bindPort } = listener;
  const bound = { name, protocol, wanted, ...(listener.address === undefined ? {} : { address: listener.address }) };
  const address = listener.address ?? usual;
  if (bindPort !== undefined) {
    const failure = await tryBind(server, bindPort, address);
    return failure === undefined
      ? { ...bound, port: bindPort }
      : { ...bound, error: `port ${bindPort} ${words[failure] ?? failure}` };
  }
  const failure = await tryBind(server, wanted, address);
  if (failure === undefined) return { ...bound, port: (server.address() as AddressInfo).port };
  const other = wanted + fallbackOffset;
  const first = `port ${wanted} ${words[failure] ?? failure}`;
  if (other > 65_535 || failure === "EADDRNOTAVAIL") return { ...bound, error: first };
  const second = await tryBind(server, other, address);
  if (second === undefined) return { ...bound, port: other, error: `${first}: listening on ${other} instead` };
  return { ...bound, error: `${first}, and port ${other} ${words[second] ?? second}` };
}

function tryBind(server: Server, port: number, host: string): Promise<string | undefined> {
  return listening(server, { port, host });
}

async function listening(server: Server, on: ListenOptions & { readonly fd?: number }): Promise<string | undefined> {
  server.listen(on);
  try {
    await once(server, "listening");
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
