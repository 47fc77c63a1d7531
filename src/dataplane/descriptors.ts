import { closeSync } from "node:fs";

/** The way of open descriptors to one other process: a pair of Unix sockets (SCM_RIGHTS, unix(7)). Linux on 64 bits. */
export interface DescriptorPair {
  /** This process's own copy of the other end: to be given to the other process at its start, and closed then. */
  readonly remote: number;
  closeRemote(): void;
  /** Hands over a copy of `fd`. They arrive in the order in which they are sent. Throws when the other process has gone. */
  send(fd: number): void;
  close(): void;
}

/** What the other process has: `fd` is the end that it was given. */
export interface DescriptorInbox {
  /** The next descriptor; waits until it has been sent. */
  receive(): number;
}

// From bits/socket.h, Linux.
const unix = 1;
const stream = 1;
const closeOnExec = 0o2000000;
const levelSocket = 1;
const rights = 1;
const noSignal = 0x4000;
const receiveCloseOnExec = 0x40000000;
const controlBytes = 24;
const duplicateCloseOnExec = 1030;

type Call = (...values: unknown[]) => number;

async function loadLibc(): Promise<{
  readonly call: (prototype: string) => Call;
  readonly address: (of: Buffer) => bigint;
  readonly errno: () => number;
}> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  return {
    call: (prototype) => libc.func(prototype) as Call,
    address: (of) => koffi.address(of),
    errno: () => koffi.errno(),
  };
}

/** `struct msghdr` with one byte of data and room for one descriptor. Its parts must live as long as it does. */
function message(address: (of: Buffer) => bigint): { header: Buffer; control: Buffer; parts: readonly Buffer[] } {
  const data = Buffer.from([1]);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(address(data), 0);
  vector.writeBigUInt64LE(1n, 8);
  const control = Buffer.alloc(controlBytes);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(address(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(address(control), 32);
  header.writeBigUInt64LE(BigInt(controlBytes), 40);
  return { header, control, parts: [data, vector] };
}

export async function openDescriptorPair(): Promise<DescriptorPair> {
  const { call, address, errno } = await loadLibc();
  const ends = [-1, -1];
  const made = call("int socketpair(int, int, int, _Out_ int *)")(unix, stream | closeOnExec, 0, ends);
  if (made < 0) throw new Error(`socketpair: error ${errno()}`);
  const [own = -1, remote = -1] = ends;
  const sendmsg = call("long sendmsg(int, void *, int)");
  const open = new Set(ends);
  const close = (fd: number): void => {
    if (open.delete(fd)) closeSync(fd);
  };
  return {
    remote,
    closeRemote: () => close(remote),
    send(fd) {
      const { header, control } = message(address);
      // `struct cmsghdr`: its length with the descriptor, level, type; then the descriptor.
      control.writeBigUInt64LE(20n, 0);
      control.writeInt32LE(levelSocket, 8);
      control.writeInt32LE(rights, 12);
      control.writeInt32LE(fd, 16);
      if (!open.has(own) || sendmsg(own, header, noSignal) !== 1) throw new Error(`sendmsg: error ${errno()}`);
    },
    close() {
      close(own);
      close(remote);
    },
  };
}

export async function openDescriptorInbox(fd: number): Promise<DescriptorInbox> {
  const { call, address, errno } = await loadLibc();
  const recvmsg = call("long recvmsg(int, void *, int)");
  return {
    receive() {
      const { header, control } = message(address);
      if (recvmsg(fd, header, receiveCloseOnExec) !== 1) throw new Error(`recvmsg: error ${errno()}`);
      if (control.readInt32LE(12) !== rights) throw new Error("a message came without its descriptor");
      return control.readInt32LE(16);
    },
  };
}

/** A copy of a descriptor of this process. */
export async function copyDescriptor(fd: number): Promise<number> {
  const { call, errno } = await loadLibc();
  const copy = call("int fcntl(int, int, int)")(fd, duplicateCloseOnExec, 0);
  if (copy < 0) throw new Error(`fcntl: error ${errno()}`);
  return copy;
}
