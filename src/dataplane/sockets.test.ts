import { createServer } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { type ListeningSocket, systemSockets } from "./sockets.ts";

const open: ListeningSocket[] = [];
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
