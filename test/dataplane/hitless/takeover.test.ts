// Connections that are kept while another process takes over, and meet the endpoints of now with their last request: again and again a port comes or goes, the
// endpoints are others, and every connection that was idle meanwhile asks once more.
import { Agent, request as httpRequest } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor } from "../../../src/dataplane/index.ts";
import { createTranslationMemory } from "../../../src/routing/index.ts";
import { freePorts } from "../../support/etcd.ts";
import { selfSigned } from "../certificates.ts";
import { startPlane } from "../plane.ts";
import { startBackends } from "./backends.ts";
import { type Fixed, modelOf, webPool, type Wish } from "./model.ts";

const rounds = Number(process.env.ROUNDS ?? 12);
const kept = 6;
const host = "shop.test";

const clean: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const each of clean.splice(0).reverse()) await each();
});

/** Who has answered, and whether on a connection that was there before. */
interface Answer {
  readonly name: string;
  readonly reused: boolean;
}

function ask(agent: Agent, port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, agent, headers: { host } }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk)));
      response.on("end", () =>
        resolve({ name: `${response.statusCode} ${text.split(":")[0]}`, reused: request.reusedSocket }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

function askHttp2(session: ClientHttp2Session): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/", ":authority": host });
    let text = "";
    let status = 0;
    stream.on("response", (fields) => (status = Number(fields[":status"])));
    stream.on("data", (chunk) => (text += String(chunk)));
    stream.on("error", reject);
    stream.on("end", () => resolve(`${status} ${text.split(":")[0]}`));
  });
}

const planes: readonly DataPlaneName[] = ["haproxy", "nginx"];
for (const name of planes) {
  const missing = await missingFor(name);
  describe.skipIf(missing !== undefined)(
    `${name}, when another process takes over${missing === undefined ? "" : ` (skipped: ${missing})`}`,
    () => {
      test("connections that are kept go where the endpoints are now", { timeout: 120_000 }, async () => {
        const backends = await startBackends(["a", "b"]);
        clean.push(() => backends.close());
        const stop = new AbortController();
        const plane = await startPlane(name, stop.signal);
        clean.push(async () => {
          stop.abort();
          await plane.stopped;
        });
        const [http = 0, https = 0, extraPort = 0] = await freePorts(3);
        const fixed: Fixed = { backends, ports: { http, https }, others: [], memory: createTranslationMemory() };
        const pair = selfSigned([host]);
        const keyPair = () => ({ certificate: pair["tls.crt"], key: pair["tls.key"] });
        let wish: Wish = { ready: ["a"], routes: [], certificate: 0 };
        await plane.apply({ model: modelOf(wish, fixed), keyPair });

        const agents = Array.from({ length: kept }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
        clean.push(() => agents.forEach((agent) => agent.destroy()));
        const wrong: string[] = [];
        let reused = 0;
        for (let round = 0; round < rounds; round++) {
          const session = connectHttp2(`https://127.0.0.1:${https}`, { rejectUnauthorized: false, servername: host });
          session.on("error", (error) => wrong.push(`round ${round}: ${String(error)}`));
          await Promise.all([askHttp2(session), ...agents.map((agent) => ask(agent, http))]);
          // A port comes or goes; then the endpoint is another one. All connections are idle.
          const { ready: before, routes, certificate } = wish;
          wish = { ready: before, routes, certificate, ...(wish.extraPort === undefined ? { extraPort } : {}) };
          await plane.apply({ model: modelOf(wish, fixed), keyPair });
          wish = { ...wish, ready: before[0] === "a" ? ["b"] : ["a"] };
          await plane.updatePools([webPool(modelOf(wish, fixed))]);
          const answers = await Promise.all(
            agents.map((agent) => ask(agent, http).catch((error: unknown) => ({ name: String(error), reused: true }))),
          );
          // Who has been told that its connection is over would take another one.
          const last = session.closed ? `200 ${wish.ready[0]}` : await askHttp2(session).catch(String);
          session.destroy();
          reused += answers.filter((answer) => answer.reused).length;
          for (const answer of [...answers.map((each) => each.name), last])
            if (answer !== `200 ${wish.ready[0]}`) wrong.push(`round ${round}: ${answer}`);
        }
        expect(wrong).toEqual([]);
        // They were asked on connections of the process before: all of them, where that one accepts nothing any more.
        expect(reused).toBeGreaterThanOrEqual(name === "haproxy" ? rounds * kept : kept);
      });
    },
  );
}
