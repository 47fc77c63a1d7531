import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Milliseconds of silence after which the kernel asks whether the other end is still there. */
const keepAliveMs = 30_000;

/** Joins two connections: each gets what comes from the other, as fast as it takes it. Settles when both are closed. */
export async function splice(one: Duplex, other: Duplex): Promise<void> {
  const closed = [one, other].map(
    (end) =>
      new Promise<void>((resolve) => {
        if (end.destroyed) resolve();
        else end.once("close", () => resolve());
      }),
  );
  for (const [from, to] of [[one, other] as const, [other, one] as const]) {
    from.on("error", () => {});
    // What came before is still sent; an end that takes nothing any more is let go by its own close.
    from.once("close", () => {
      if (!to.writable || from.errored) to.destroy();
      else to.end(() => to.destroy());
    });
    if (from instanceof Socket) {
      from.setTimeout(0);
      from.setKeepAlive(true, keepAliveMs);
      from.setNoDelay(true);
    }
    if (from.destroyed) to.destroy();
    from.pipe(to);
  }
  await Promise.all(closed);
}
