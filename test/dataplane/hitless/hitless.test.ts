// Everything a data plane is told changes, twenty times a second, under clients that never stop: nobody loses a request, and a
// change that is told as done holds for the next request. HITLESS=full: for two minutes and 5,000 routes (`npm run soak:dataplane`),
// each clause with its goal; SECONDS says for how long.
import { Agent, request as httpRequest } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { embeddedProgram } from "../../support/embedded-program.ts";
import { type DataPlaneName, missingFor, startDataPlane } from "../../../src/dataplane/index.ts";
import { createTranslationMemory } from "../../../src/routing/index.ts";
import { createMetrics, silentLogger } from "../../../src/system/index.ts";
import { selfSigned } from "../certificates.ts";
import { freePorts } from "../../support/etcd.ts";
import { startBackends } from "./backends.ts";
import { startLoad } from "./load.ts";
import { type Fixed, modelOf, otherRoutes, webPool, type Wish } from "./model.ts";

const full = process.env.HITLESS === "full";
/** `least` changes in any case, so that each kind is among them however slow the machine is. */
const form = full
  ? { seconds: Number(process.env.SECONDS ?? 120), least: 48, rate: 60, clients: 6, others: 5_000 }
  : { seconds: 5, least: 48, rate: 25, clients: 4, others: 200 };
/** Changes per second. */
const pace = 20;
/** Every so many changes a port comes or goes: that is a process that takes over. */
const portEvery = 24;
const names = ["a", "b", "c"];

const clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

const agent = new Agent({ keepAlive: false });
function get(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port, path, agent, headers: { host: "shop.test" } },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      },
    );
    request.on("error", reject);
    request.end();
  });
}

const planes: readonly DataPlaneName[] = ["embedded", "haproxy", "nginx"];
for (const name of planes) {
  const missing = await missingFor(name);
  describe.skipIf(missing !== undefined)(
    `changes of ${name}${missing === undefined ? "" : ` (skipped: ${missing})`}`,
    () => {
      test("cost nobody a request, and hold when they are told as done", { timeout: 600_000 }, async () => {
        const stop = new AbortController();
        const backends = await startBackends(names);
        clean.push(() => backends.close());
        const plane = startDataPlane(name, {
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
        const [http = 0, https = 0, extraPort = 0] = await freePorts(3);
        const fixed: Fixed = {
          backends,
          ports: { http, https },
          others: otherRoutes(form.others),
          memory: createTranslationMemory(),
        };
        const pairs = Array.from({ length: 4 }, () => selfSigned(["shop.test"]));
        let wish: Wish = { ready: names, routes: [], certificate: 0 };
        const keyPair = () => {
          const pair = pairs[wish.certificate % pairs.length];
          return pair && { certificate: pair["tls.crt"], key: pair["tls.key"] };
        };
        let model = modelOf(wish, fixed);
        await plane.apply({ model, keyPair });

        /** When an endpoint was told as gone, by name. */
        const gone = new Map<string, number>();
        const late: string[] = [];
        const load = startLoad({
          ports: fixed.ports,
          rate: form.rate,
          clients: form.clients,
          seen(backend, began) {
            if (began > (gone.get(backend) ?? Infinity)) late.push(`${backend} got a request after it was gone`);
          },
        });
        const took = new Map<string, number[]>();
        const start = performance.now();
        const seconds = (): number => (performance.now() - start) / 1000;
        let change = 0;
        while (seconds() < form.seconds || change < form.least) {
          change++;
          const begun = performance.now();
          const kind =
            change % portEvery === 0 ? "port" : (["endpoints", "route", "endpoints", "certificate"][change % 4] ?? "");
          const added = `n${change}`;
          if (kind === "endpoints") {
            const out = change % 8 < 4 ? names[change % names.length] : undefined;
            const ready = names.filter((each) => each !== out);
            for (const each of ready) gone.delete(each);
            wish = { ...wish, ready };
          } else if (kind === "route") wish = { ...wish, routes: [...wish.routes.slice(-20), added] };
          else if (kind === "certificate") wish = { ...wish, certificate: wish.certificate + 1 };
          else if (wish.extraPort === undefined) wish = { ...wish, extraPort };
          else wish = { ready: wish.ready, routes: wish.routes, certificate: wish.certificate };
          model = modelOf(wish, fixed);
          const told = performance.now();
          if (kind === "endpoints") await plane.updatePools([webPool(model)]);
          else await plane.apply({ model, keyPair });
          const done = performance.now();
          took.set(kind, [...(took.get(kind) ?? []), done - told]);
          if (kind === "endpoints") for (const each of names) if (!wish.ready.includes(each)) gone.set(each, done);
          if (kind === "route" && (await get(http, `/route/${added}`)) !== 200)
            late.push(`route ${added} is not served`);
          if (kind === "port" && wish.extraPort !== undefined && (await get(extraPort, "/")) !== 200)
            late.push("the new port does not serve");
          // In the long form by the clock, so that a slow change does not make those after it rarer.
          const next = full ? start + (change * 1000) / pace : begun + 1000 / pace;
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
        }
        const lasted = seconds();
        await load.stop();
        const answered = load.answered();
        const { failed } = load;
        console.log(
          [
            `${name}: ${form.others} routes besides, ${lasted.toFixed(0)} s, ${change} changes; ${[...load.served].map(([kind, count]) => `${count} ${kind}`).join(", ")}; repeated ${load.repeated()}`,
            clause("requests failed", failed.length, "", { most: 0 }),
            clause("changes that did not hold", late.length, "", { most: 0 }),
            clause("requests", answered / lasted, "/s", { least: 500 }),
            clause("changes", change / lasted, "/s", { least: pace }),
            ...[...took].flatMap(([kind, times]) => [
              clause(`${kind}, ${times.length} changes, p50`, quantile(times, 0.5), "ms"),
              clause(`${kind}, p99`, quantile(times, 0.99), "ms", goals[kind]),
            ]),
          ].join("\n"),
        );
        expect(load.failed).toEqual([]);
        expect(late).toEqual([]);
        for (const kind of ["GET", "POST", "HTTP/2", "gRPC", "WebSocket"])
          expect(load.served.get(kind) ?? 0, kind).toBeGreaterThan(10);
      });
    },
  );
}

function quantile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

type Goal = { readonly most: number } | { readonly least: number };

/** Milliseconds that a change may take at 5,000 routes, at p99. */
const goals: Readonly<Record<string, Goal>> = { endpoints: { most: 50 }, route: { most: 100 } };

/** A figure beside what it shall be. */
function clause(what: string, value: number, unit: string, goal?: Goal): string {
  const shown = Number(value.toFixed(1));
  const line = `  ${what}: ${shown} ${unit}`.trimEnd();
  if (!goal || !full) return line;
  const met = "most" in goal ? shown <= goal.most : shown >= goal.least;
  return `${line} [${"most" in goal ? `<= ${goal.most}` : `>= ${goal.least}`}: ${met ? "met" : "not met"}]`;
}
