// The class moves from data plane to data plane under clients that never stop, while endpoints and routes change: nobody loses a request.
import { afterEach, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startSwitchable } from "../../../src/dataplane/index.ts";
import { createTranslationMemory } from "../../../src/routing/index.ts";
import { createMetrics, silentLogger } from "../../../src/system/index.ts";
import { selfSigned } from "../certificates.ts";
import { embeddedProgram } from "../../support/embedded-program.ts";
import { freePorts } from "../../support/etcd.ts";
import { startBackends } from "./backends.ts";
import { startLoad } from "./load.ts";
import { modelOf, otherRoutes, webPool, type Wish } from "./model.ts";

const full = process.env.HITLESS === "full";
const names = ["a", "b", "c"];
const planes = [] as DataPlaneName[];
for (const name of ["embedded", "haproxy", "nginx"] as const)
  if ((await missingFor(name)) === undefined) planes.push(name);
/** Each way of the triangle once, and back to where it began. */
const way: readonly DataPlaneName[] = ["haproxy", "nginx", "embedded", "nginx", "haproxy", "embedded"];

const clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

test.skipIf(planes.length < 3)(
  `a switch to each data plane from each other costs nobody a request${planes.length < 3 ? " (skipped: HAProxy or nginx is missing)" : ""}`,
  { timeout: 600_000 },
  async () => {
    const stop = new AbortController();
    const backends = await startBackends(names);
    clean.push(() => backends.close());
    const plane = startSwitchable("embedded", {
      address: "127.0.0.1",
      signal: stop.signal,
      log: silentLogger,
      metrics: createMetrics(),
      embeddedProgram: await embeddedProgram(),
    });
    clean.push(async () => {
      stop.abort();
      await plane.stopped;
    });
    const [http = 0, https = 0] = await freePorts(2);
    const memory = createTranslationMemory();
    const fixed = { backends, ports: { http, https }, others: otherRoutes(full ? 5_000 : 100), memory };
    let wish: Wish = { ready: names, routes: [], certificate: 0 };
    const pair = selfSigned(["shop.test"]);
    const keyPair = () => ({ certificate: pair["tls.crt"], key: pair["tls.key"] });
    await plane.apply({ model: modelOf(wish, fixed), keyPair });

    const load = startLoad({ ports: fixed.ports, rate: full ? 60 : 25, clients: full ? 6 : 4, seen: () => {} });
    let changing = true;
    const changes = (async () => {
      for (let change = 0; changing; change++) {
        const ready = names.filter((_, index) => index !== change % 4);
        wish = change % 5 === 0 ? { ...wish, routes: [...wish.routes.slice(-5), `n${change}`] } : { ...wish, ready };
        const model = modelOf(wish, fixed);
        if (change % 5 === 0) await plane.apply({ model, keyPair });
        else await plane.updatePools([webPool(model)]);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    })();
    const took: string[] = [];
    for (const name of way) {
      const before = load.answered();
      const begun = performance.now();
      await plane.switchTo(name);
      took.push(`${name} ${Math.round(performance.now() - begun)} ms`);
      expect(plane.serving).toBe(name);
      // Each client has asked often by the new one before it goes on.
      await load.until(before + (full ? 2_000 : 100));
    }
    changing = false;
    await changes;
    await load.stop();
    const counts = [...load.served].map(([kind, count]) => `${count} ${kind}`).join(", ");
    console.log(`${took.join(", ")}: ${counts}; repeated ${load.repeated()}, failed ${load.failed.length}`);
    expect(load.failed).toEqual([]);
    for (const kind of ["GET", "POST", "HTTP/2", "gRPC", "WebSocket"])
      expect(load.served.get(kind) ?? 0, kind).toBeGreaterThan(10);
  },
);
