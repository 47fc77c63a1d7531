import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

/** The first of `candidates` that this user may listen on and nobody else does; when there is none, any that is free. */
export async function freePort(candidates: readonly number[] = []): Promise<number> {
  for (const port of [...candidates, 0]) {
    const found = await tryListen(port);
    if (found !== undefined) return found;
  }
  throw new Error("no port is free on this machine");
}

function tryListen(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "0.0.0.0", () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => resolve(found));
    });
  });
}
