import { closeSync } from "node:fs";
import type { Listener } from "../routing/index.ts";
import { isEveryAddress, socketAddress, socketFamily } from "../system/index.ts";
import type { BoundListener } from "./dataplane.ts";

/**
 * A listening TCP socket, or a bound one for datagrams, that nobody in this process reads from: a data plane in a process of its own inherits it. It
 * outlives that process, so that connections wait in its backlog while another one is started; and whoever serves needs
 * no privilege for a port below 1024.
 */
export interface ListeningSocket {
  /** Where it really is: a rehearsal's is elsewhere than asked for. */
  readonly address: string;
  readonly fd: number;
  readonly port: number;
  close(): void;
}

/** Opens sockets: the real one, or a fake in tests. */
export interface Sockets {
  /**
   * The error code, such as `EADDRINUSE`, when the port cannot be had. Port 0: any that is free. `beside`: `::` leaves IPv4 to a socket of its own,
   * so that nobody sees an IPv4 address in IPv6 form.
   */
  listen(address: string, port: number, transport?: Transport, beside?: boolean): Promise<ListeningSocket | string>;
}

/** Where to listen: on one address, or on several of them with the same port. */
export type ListenAddresses = string | readonly string[];

export const listOf = (addresses: ListenAddresses | undefined): readonly string[] =>
  addresses === undefined ? ["0.0.0.0"] : typeof addresses === "string" ? [addresses] : addresses;

/** A listener's port: a socket on each of its addresses. */
export interface OpenPort {
  readonly ends: readonly PortEnd[];
  readonly port: number;
  close(): void;
}

export type PortEnd = Pick<ListeningSocket, "address" | "port" | "fd">;

export type Transport = "tcp" | "udp";

// From asm-generic and bits/socket.h, Linux.
const kinds: Readonly<Record<Transport, number>> = { tcp: 1, udp: 2 };
const closeOnExec = 0o2000000;
/** Who inherits them may take for granted that accepting never waits. */
const nonBlocking = 0o4000;
const levelSocket = 1;
const [reuseAddress, reusePort] = [2, 15];
const levelIpv6 = 41;
const onlyIpv6 = 26;
/** Connections that wait for being accepted. */
export const backlog = 4096;
const codes: Readonly<Record<number, string>> = { 13: "EACCES", 98: "EADDRINUSE", 99: "EADDRNOTAVAIL" };

/** Sockets by the calls of libc: node's own servers would accept connections themselves. */
export const systemSockets: Sockets = {
  async listen(address, port, transport = "tcp", beside = false) {
    const { default: koffi } = await import("koffi");
    const libc = koffi.load(null);
    const call = (prototype: string): ((...values: unknown[]) => number) =>
      libc.func(prototype) as (...values: unknown[]) => number;
    const socket = call("int socket(int, int, int)");
    const setOption = call("int setsockopt(int, int, int, void *, unsigned int)");
    const bind = call("int bind(int, void *, unsigned int)");
    const listen = call("int listen(int, int)");
    const nameOf = call("int getsockname(int, _Inout_ void *, _Inout_ void *)");
    const fault = (): string => codes[koffi.errno()] ?? `error ${koffi.errno()}`;

    const name = socketAddress(address, port);
    if (!name) return "EADDRNOTAVAIL";
    const fd = socket(
      name.length > 16 ? socketFamily.ipv6 : socketFamily.ipv4,
      kinds[transport] | closeOnExec | nonBlocking,
      0,
    );
    if (fd < 0) return fault();
    const one = Buffer.from([1, 0, 0, 0]);
    const size = Buffer.from([name.length, 0, 0, 0]);
    const tcp = transport === "tcp";
    const only = beside && name.length > 16;
    // Two could share a port for datagrams by that option: one of them would get nothing.
    const failed =
      (only && setOption(fd, levelIpv6, onlyIpv6, one, one.length) < 0) ||
      (tcp && setOption(fd, levelSocket, reuseAddress, one, one.length) < 0) ||
      bind(fd, name, name.length) < 0 ||
      (tcp && listen(fd, backlog) < 0) ||
      // On all addresses, single ones are left to others of this user who ask for it, as the Service proxy does in user space: a cluster IP has
      // port 80 too. Set when the port is had: nothing is shared with who was there before.
      (tcp && isEveryAddress(name) && setOption(fd, levelSocket, reusePort, one, one.length) < 0) ||
      nameOf(fd, name, size) < 0;
    if (failed) {
      const code = fault();
      closeSync(fd);
      return code;
    }
    return { address, fd, port: name.readUInt16BE(2), close: () => closeSync(fd) };
  },
};

/** Added to a port that may not be bound. */
const fallbackOffset = 8000;

const words: Readonly<Record<string, string>> = {
  EACCES: "needs privileges",
  EADDRINUSE: "is in use",
  EADDRNOTAVAIL: "is on an address that this host does not have",
};

/** A listener's port on its address, or the `usual` ones, or port + 8000 where it cannot be had; the model's `bindPort` has no other. Never rejects. */
export async function openPort(
  sockets: Sockets,
  { name, protocol, port: wanted, bindPort, address: own }: Listener,
  usual: readonly string[],
): Promise<{ readonly bound: BoundListener; readonly socket?: OpenPort }> {
  const about = { name, protocol, wanted, ...(own === undefined ? {} : { address: own }) };
  const addresses = own === undefined ? usual : [own];
  const text = (port: number, code: string): string => `port ${port} ${words[code] ?? code}`;
  const transport = protocol === "UDP" ? "udp" : "tcp";
  const first = await listenOnAll(sockets, addresses, bindPort ?? wanted, transport);
  if (typeof first !== "string") return { bound: { ...about, port: first.port }, socket: first };
  const error = text(bindPort ?? wanted, first);
  const other = wanted + fallbackOffset;
  if (bindPort !== undefined || other > 65_535 || first === "EADDRNOTAVAIL") return { bound: { ...about, error } };
  const second = await listenOnAll(sockets, addresses, other, transport);
  if (typeof second === "string") return { bound: { ...about, error: `${error}, and ${text(other, second)}` } };
  return { bound: { ...about, port: other, error: `${error}: listening on ${other} instead` }, socket: second };
}

async function listenOnAll(
  sockets: Sockets,
  addresses: readonly string[],
  wanted: number,
  transport: Transport,
): Promise<OpenPort | string> {
  const open: ListeningSocket[] = [];
  const close = (): void => open.forEach((socket) => socket.close());
  for (const address of addresses) {
    // Where any port will do, the others take the one that the first got.
    const socket = await sockets.listen(address, open[0]?.port ?? wanted, transport, addresses.length > 1);
    if (typeof socket === "string") {
      close();
      return socket;
    }
    open.push(socket);
  }
  return { ends: open, port: open[0]?.port ?? wanted, close };
}
