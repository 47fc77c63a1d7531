import { closeSync, openSync } from "node:fs";
import { createConnection, Socket } from "node:net";
import { RuntimeError } from "./runtime.ts";

/** Milliseconds that a connection on the same machine may take. */
const patience = 10_000;

const family = { inet: 2, inet6: 10 } as const;
const stream = 1;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
const newNetworkNamespace = 0x40000000;
const inProgress = 115;
const already = 114;
const refused = 111;

/**
 * Connects to the first of `hosts` that takes the connection, in the network namespace of process `pid` where one is named.
 * A socket stays in the namespace that it was made in, so only the thread's look is changed, for the two system calls that make
 * and connect it: nothing else can run meanwhile. Throws `RuntimeError` NETWORK.
 */
export async function connectWithin(options: {
  readonly hosts: readonly string[];
  readonly port: number;
  readonly pid?: number | undefined;
}): Promise<Socket> {
  const { hosts, port, pid } = options;
  let problem = "no address";
  for (const host of hosts) {
    try {
      return await established(pid === undefined ? createConnection({ host, port }) : await socketOf(pid, host, port));
    } catch (error) {
      problem = (error as Error).message;
    }
  }
  throw new RuntimeError("NETWORK", problem);
}

async function socketOf(pid: number, host: string, port: number): Promise<Socket> {
  const system = await systemCalls();
  const own = openSync("/proc/self/ns/net", "r");
  try {
    const there = openSync(`/proc/${pid}/ns/net`, "r");
    let fd: number;
    try {
      system.enter(there);
      try {
        fd = system.connect(host, port);
      } finally {
        // Nothing may go on elsewhere: a process that can not come back must not live.
        if (!system.tryEnter(own)) process.abort();
      }
    } finally {
      closeSync(there);
    }
    return new Socket({ fd, readable: true, writable: true });
  } finally {
    closeSync(own);
  }
}

async function systemCalls() {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const setns = libc.func("int setns(int, int)");
  const socket = libc.func("int socket(int, int, int)");
  const connect = libc.func("int connect(int, void *, uint)");
  const failed = (what: string): Error => new Error(`${what} failed with error ${koffi.errno()}`);
  const tryEnter = (fd: number): boolean => setns(fd, newNetworkNamespace) === 0;
  return {
    tryEnter,
    enter(fd: number): void {
      if (!tryEnter(fd)) throw failed("setns");
    },
    connect(host: string, port: number): number {
      const fd = socket(
        host.includes(":") ? family.inet6 : family.inet,
        stream | nonBlocking | closeOnExec,
        0,
      ) as number;
      if (fd < 0) throw failed("socket");
      const address = socketAddress(host, port);
      for (const again of [true, true, false]) {
        // On the loopback the answer is there when the first call returns, but only the second tells of it.
        if (connect(fd, address, address.length) === 0) return fd;
        if (koffi.errno() !== inProgress && koffi.errno() !== already) break;
        if (!again) return fd;
      }
      const reason = koffi.errno() === refused ? `connect ECONNREFUSED ${host}:${port}` : failed("connect").message;
      closeSync(fd);
      throw new Error(reason);
    },
  };
}

/** struct sockaddr_in or sockaddr_in6 of a loopback address. */
function socketAddress(host: string, port: number): Buffer {
  const address = Buffer.alloc(host.includes(":") ? 28 : 16);
  const isLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const kind = host.includes(":") ? family.inet6 : family.inet;
  if (isLittle) address.writeUInt16LE(kind, 0);
  else address.writeUInt16BE(kind, 0);
  address.writeUInt16BE(port, 2);
  if (kind === family.inet6) address.writeUInt8(1, 23);
  else address.set(host.split(".").map(Number), 4);
  return address;
}

/** A socket that was made connected tells of a refusal at its first read; one that is connecting, by events. */
function established(socket: Socket): Promise<Socket> {
  if (!socket.connecting) return Promise.resolve(socket);
  return new Promise((resolve, reject) => {
    const done = (error?: Error): void => {
      socket.off("connect", done);
      socket.off("error", done);
      clearTimeout(timer);
      if (error) {
        socket.destroy();
        reject(error);
      } else resolve(socket);
    };
    const timer = setTimeout(() => done(new Error("no answer in time")), patience);
    socket.on("connect", done);
    socket.on("error", done);
  });
}
