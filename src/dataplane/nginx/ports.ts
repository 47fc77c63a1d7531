import { createServer } from "node:net";
import type { Listener } from "../../routing/index.ts";
import type { BoundListener } from "../dataplane.ts";
import { bindPort } from "../embedded/bind.ts";

/** Finds the port that nginx can open for a listener, as the embedded data plane would: the wanted one, or port + 8000. */
export async function portFor(listener: Listener, address: string): Promise<BoundListener> {
  const server = createServer();
  const bound = await bindPort(server, listener, address);
  await new Promise<void>((resolve) => {
    if (server.listening) server.close(() => resolve());
    else resolve();
  });
  return bound;
}
