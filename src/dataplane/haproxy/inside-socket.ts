import { closeSync } from "node:fs";
import { chmod, chown, rm } from "node:fs/promises";
import { backlog } from "../sockets.ts";
import type { SystemUser } from "./directory.ts";

/**
 * A listening Unix socket by which one frontend hands its connections to another. As with the sockets that clients see, nobody in this
 * process reads from it: processes inherit it, so that a connection which one of them has just taken over is not lost when it ends.
 */
export interface InsideSocket {
  readonly path: string;
  readonly fd: number;
  close(): void;
}

// From bits/socket.h, Linux.
const familyUnix = 1;
const stream = 1;
const closeOnExec = 0o2000000;
const nonBlocking = 0o4000;
/** Bytes of a path, with the zero at its end. */
const pathBytes = 108;

/** Opens one at `path`, in the place of whatever is there; only `user` may connect. Throws when it cannot be had. */
export async function openInside(path: string, user: SystemUser | undefined): Promise<InsideSocket> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const call = (prototype: string): ((...values: unknown[]) => number) =>
    libc.func(prototype) as (...values: unknown[]) => number;
  const socket = call("int socket(int, int, int)");
  const bind = call("int bind(int, void *, unsigned int)");
  const listen = call("int listen(int, int)");
  const name = Buffer.alloc(2 + pathBytes);
  // The byte order is the machine's.
  new Uint16Array(name.buffer, name.byteOffset, 1)[0] = familyUnix;
  if (Buffer.byteLength(path) >= pathBytes) throw new Error(`${path} is too long for a Unix socket`);
  name.write(path, 2);
  await rm(path, { force: true });
  const fd = socket(familyUnix, stream | closeOnExec | nonBlocking, 0);
  if (fd < 0 || bind(fd, name, name.length) < 0 || listen(fd, backlog) < 0) {
    const code = koffi.errno();
    if (fd >= 0) closeSync(fd);
    throw new Error(`${path} cannot be listened on: error ${code}`);
  }
  await chmod(path, 0o600);
  if (user) await chown(path, user.uid, user.gid);
  return { path, fd, close: () => closeSync(fd) };
}
