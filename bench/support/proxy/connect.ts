// Connects one after the other, in a process of its own, to a server of its own: how long the first packets take.
import { connect, createServer } from "node:net";
import { podPort } from "./objects.ts";

/** Milliseconds of each connect, by target. */
export type Connects = Readonly<Record<string, readonly number[]>>;

const server = createServer((socket) => socket.on("error", () => {}).resume());
await new Promise<void>((resolve) => server.listen(podPort, "0.0.0.0", resolve));

const once = (host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const begun = performance.now();
    const socket = connect({ host, port }, () => {
      const took = performance.now() - begun;
      socket.once("close", () => resolve(took)).resetAndDestroy();
    });
    socket.once("error", reject);
  });

/** Targets in turn, so that what else the machine does is spread over all of them. */
const [count = "1000", ...targets] = process.argv.slice(2);
const figures: Record<string, number[]> = {};
for (let i = 0; i < Number(count) + 50; i++) {
  for (const target of targets) {
    const [host = "", port = ""] = target.split(":");
    const took = await once(host, Number(port));
    if (i >= 50) (figures[target] ??= []).push(took);
  }
}
process.send?.(figures, () => process.exit());
