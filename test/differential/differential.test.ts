// The same generated routes and raw requests on every data plane: what becomes of each is what `match` says.
// SETS, REQUESTS: how many route sets, and requests for each. SEED: where to begin.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embeddedProgram } from "../support/embedded-program.ts";
import { type DataPlane, type DataPlaneName, missingFor, startDataPlane } from "../../src/dataplane/index.ts";
import { createTranslationMemory, type RoutingModel } from "../../src/routing/index.ts";
import { createMetrics, silentLogger } from "../../src/system/index.ts";
import { selfSigned } from "../dataplane/certificates.ts";
import { freePorts } from "../support/etcd.ts";
import { differenceFor } from "./differences.ts";
import { type Endpoints, markField, startEndpoints } from "./endpoints.ts";
import { createRandom } from "./random.ts";
import { makeRequest, type RawRequest } from "./request.ts";
import { makeRouteSet } from "./route-set.ts";
import { sendRaw } from "./send.ts";
import { expected, observed } from "./verdict.ts";

const sets = Number(process.env.SETS ?? 60);
const requests = Number(process.env.REQUESTS ?? 15);
const seed = Number(process.env.SEED ?? 1);
const names: readonly DataPlaneName[] = ["embedded", "haproxy", "nginx"];
const services = Array.from({ length: 12 }, (_, index) => `s${index}`);

const present = new Map<DataPlaneName, string | undefined>();
for (const name of names) present.set(name, await missingFor(name));

const stop = new AbortController();
const planes = new Map<DataPlaneName, DataPlane>();
/** A port of this host for each listener, on each data plane. */
const bindPorts = new Map<DataPlaneName, ReadonlyMap<number, number>>();
const clientPorts = { ingress: 80, gateway: 8080, secure: 443 } as const;
let endpoints: Endpoints;
const certificate = selfSigned(["a.test", "*.a.test", "*.test"]);
const keyPair = () => ({ certificate: certificate["tls.crt"], key: certificate["tls.key"] });

beforeAll(async () => {
  endpoints = await startEndpoints(services);
  for (const [name, missing] of present) {
    if (missing !== undefined) continue;
    planes.set(
      name,
      startDataPlane(name, {
        address: "127.0.0.1",
        signal: stop.signal,
        log: silentLogger,
        metrics: createMetrics(),
        embeddedProgram: await embeddedProgram(),
      }),
    );
    const wanted = Object.values(clientPorts);
    const free = await freePorts(wanted.length);
    bindPorts.set(name, new Map(wanted.map((port, index) => [port, free[index] ?? 0])));
  }
});

afterAll(async () => {
  stop.abort();
  await Promise.all([...planes.values()].map(({ stopped }) => stopped));
  await endpoints.close();
});

describe("differential", () => {
  test.each(names.filter((name) => present.get(name) !== undefined))("%s is not on this machine", (name) => {
    console.log(`${name}: ${present.get(name)}`);
  });

  test(
    `${sets} route sets with ${requests} requests each: all data planes and match() agree`,
    { timeout: 7_200_000 },
    async () => {
      const memory = createTranslationMemory();
      const explained = new Map<string, number>();
      const kinds = new Map<string, number>();
      /** By what is wrong: how often, and the first. */
      const faults = new Map<string, { count: number; example: string }>();
      for (let set = 0; set < sets; set++) {
        const random = createRandom(seed * 1_000_003 + set);
        const ports = new Map([...endpoints.ports, ["empty", 1]]);
        const model = makeRouteSet(random, ports, certificate, memory);
        await Promise.all([...planes].map(([name, plane]) => plane.apply({ model: bound(name, model), keyPair })));
        const batch = Array.from({ length: requests }, () => makeRequest(random));
        await Promise.all(
          batch.flatMap((raw, index) =>
            [...planes].map(([name, plane]) => compare(name, plane, model, raw, `${set}.${index}`)),
          ),
        );
      }
      console.log(
        [
          `seed ${seed}; verdicts: ${[...kinds].map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
          ...[...explained].map(([why, count]) => `explained ${count}: ${why}`),
        ].join("\n"),
      );
      expect([...faults].map(([what, { count, example }]) => `${count} x ${what}\n  ${example}`)).toEqual([]);
      expect(endpoints.strays()).toEqual([]);
      // The comparison means something only when all kinds of verdicts were met.
      if (sets * requests >= 500)
        for (const kind of ["endpoint", "redirect", "refused", "404", "421", "500", "503"])
          expect(kinds.get(kind) ?? 0, `verdicts of kind ${kind}`).toBeGreaterThan(0);

      async function compare(
        name: DataPlaneName,
        plane: DataPlane,
        model: RoutingModel,
        raw: RawRequest,
        at: string,
      ): Promise<void> {
        const listener = listenerOf(model, raw);
        if (!listener) return;
        const port = plane.listeners().find((bound) => bound.name === listener.name)?.port;
        if (port === undefined) throw new Error(`${name} does not listen for ${listener.name}`);
        const wanted = expected(model, listener, raw, plane.capabilities);
        const mark = `${name}-${at}`;
        let found: ReturnType<typeof observed>;
        try {
          // In front of the last line: whatever is wrong before it stays as it is.
          const bytes = raw.bytes.replace(
            /\r?\nConnection: close/,
            (line) => `${line.startsWith("\r") ? "\r" : ""}\n${markField}: ${mark}${line}`,
          );
          const answer = await sendRaw(port, { ...raw, bytes });
          found = observed({ answer, arrived: endpoints.take(mark) });
        } catch (error) {
          found = { at: "fault", what: String(error) };
        }
        const kind = wanted.verdict.at === "answer" ? String(wanted.verdict.status) : wanted.verdict.at;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        if (JSON.stringify(found) === JSON.stringify(wanted.verdict)) return;
        const why = differenceFor(name, wanted, found, raw);
        if (why !== undefined) return void explained.set(why, (explained.get(why) ?? 0) + 1);
        const cause = "refused" in wanted.reading ? ` (${wanted.reading.refused})` : "";
        const what = `${name}: ${brief(wanted.verdict)}${cause} wanted, ${brief(found)} found`;
        const example = `${at} ${JSON.stringify(raw)}: wanted ${JSON.stringify(wanted.verdict)}, found ${JSON.stringify(found)}`;
        const known = faults.get(what) ?? { count: 0, example };
        faults.set(what, { ...known, count: known.count + 1 });
      }
    },
  );
});

function listenerOf({ listeners }: RoutingModel, { to }: RawRequest) {
  return listeners.find(({ port }) => port === clientPorts[to]);
}

/** The model with ports that this host has to spare. */
function bound(name: DataPlaneName, model: RoutingModel): RoutingModel {
  const ports = bindPorts.get(name);
  return {
    ...model,
    listeners: model.listeners.map((listener) => ({ ...listener, bindPort: ports?.get(listener.port) ?? 0 })),
  };
}

function brief(found: ReturnType<typeof observed>): string {
  if (found.at === "answer") return String(found.status);
  return found.at;
}
