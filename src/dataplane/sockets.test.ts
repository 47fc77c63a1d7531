import { createServer } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import type { Listener } from "../routing/index.ts";
import { type ListeningSocket, type OpenPort, openPort, systemSockets } from "./sockets.ts";

const open: (ListeningSocket | OpenPort)[] = [];
afterEach(() => open.splice(0).forEach((socket) => socket.close()));

async function listen(address: string, port: number): Promise<ListeningSocket> {
  const socket = await systemSockets.listen(address, port);
  if (typeof socket === "string") throw new Error(socket);
  open.push(socket);
  return socket;
}

test("a port of all addresses is nobody else's, whatever they ask for", async () => {
  const { port } = await listen("0.0.0.0", 0);
  expect(await systemSockets.listen("0.0.0.0", port)).toBe("EADDRINUSE");
  expect(await systemSockets.listen("127.0.0.1", port)).toBe("EADDRINUSE");
  const other = createServer().listen(port, "127.0.0.1");
  const [error] = (await once(other, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("EADDRINUSE");
});

test("a port of several addresses is the same on each, and `::` beside IPv4 is of IPv6 alone", async () => {
  const listener: Listener = { name: "any", port: 0, protocol: "HTTP", servers: new Map() };
  const { bound, socket } = await openPort(systemSockets, listener, ["0.0.0.0", "::"]);
  if (!socket) throw new Error(bound.error);
  open.push(socket);
  expect(socket.ends).toMatchObject(["0.0.0.0", "::"].map((address) => ({ address, port: bound.port })));
  expect(bound.port).toBe(socket.port);
  // Where one of them cannot be had, none is open.
  const taken = await openPort(systemSockets, { ...listener, port: socket.port, bindPort: socket.port }, [
    "127.0.0.2",
    "::1",
  ]);
  expect(taken).toEqual({
    bound: {
      name: "any",
      protocol: "HTTP",
      wanted: socket.port,
      error: expect.stringContaining("is in use") as string,
    },
  });
});
