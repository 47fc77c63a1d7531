import { once } from "node:events";
import { Agent } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { SendOptions } from "../../dataplane/clients.ts";
import type { Fixture } from "../../dataplane/suite.ts";
import { lab, type Needs, type NginxLab } from "../fixture.ts";

/** What an endpoint does with a request: answers with a code, ends the connection, says nothing, or what is no HTTP. */
type Manner = number | "reset" | "silence" | "garbage";

/** Endpoints that behave so, and what each request was that they have got. */
async function endpoints(made: Fixture, manners: readonly Manner[], pause = 0) {
  const got: string[] = [];
  const backends = await Promise.all(
    manners.map((manner, index) =>
      made.backend(`e${index}`, (request, response) => {
        let body = "";
        request.on("data", (data) => (body += String(data)));
        request.on("end", () => {
          got.push(`${request.method} ${body.length}`);
          if (manner === "reset") request.socket.destroy();
          else if (manner === "garbage") request.socket.end("HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n");
          else if (manner !== "silence") void sleep(pause).then(() => response.writeHead(manner).end(`own ${manner}`));
        });
      }),
    ),
  );
  return { got, backends };
}

/** A port that refuses connections. */
async function closedPort(): Promise<{ readonly port: number }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return { port };
}

/** Whether another endpoint is asked after a failed one, and how often: `proxy-next-upstream*`. */
export function nextUpstreamContract(made: Fixture, needs: Needs): void {
  /** An Ingress with these annotations for these endpoints: asks it, and says what came of it. */
  async function asking(
    manners: readonly Manner[],
    annotations: Readonly<Record<string, string>>,
    { pause = 0, nginxOptions = {} }: { pause?: number; nginxOptions?: Readonly<Record<string, string>> } = {},
  ) {
    const own: NginxLab = await lab(made, [], { nginxOptions });
    const { got, backends } = await endpoints(made, manners, pause);
    own.cluster.service("web", backends);
    await own.ingress("web", annotations);
    return async (method: string, bytes?: number): Promise<[status: number, body: string, got: string[]]> => {
      got.length = 0;
      // On a connection of its own: HAProxy lets a client with an earlier answer on its connection ask again, by closing it.
      const agent = new Agent();
      const options: SendOptions = {
        method,
        agent,
        ...(bytes === undefined ? {} : { body: "x".repeat(bytes), headers: { "content-length": String(bytes) } }),
      };
      const { status, body } = await own.get("/", options);
      agent.destroy();
      return [status, body, [...got]];
    };
  }

  test.each([403, 404, 500, 502, 503, 504])("proxy-next-upstream: http_%i asks another endpoint", async (code) => {
    const ask = await asking([code, 200], { "proxy-next-upstream": `error http_${code}` });
    const all = [];
    for (let i = 0; i < 4; i++) all.push(await ask("GET"));
    expect(all.map(([status, body]) => `${status} ${body}`)).toEqual(Array(4).fill("200 own 200"));
    expect(Math.max(...all.map(([, , got]) => got.length))).toBe(2);
  });

  needs("NextUpstream429")("proxy-next-upstream: http_429 asks another endpoint", async () => {
    const ask = await asking([429, 200], { "proxy-next-upstream": "http_429" });
    for (let i = 0; i < 3; i++) expect((await ask("GET")).slice(0, 2)).toEqual([200, "own 200"]);
  });

  test("proxy-next-upstream: other answers, and off, ask nobody else; the last answer is the client's", async () => {
    const other = await asking([503, 503], { "proxy-next-upstream": "error timeout http_500" });
    expect(await other("GET")).toEqual([503, "own 503", ["GET 0"]]);
    const last = await asking([503, 503, 503, 503], { "proxy-next-upstream": "http_503" });
    expect(await last("GET")).toEqual([503, "own 503", ["GET 0", "GET 0", "GET 0"]]);
    for (const off of ["off", "error timeout http_503 off"]) {
      const none = await asking(["reset", "reset"], { "proxy-next-upstream": off });
      expect(await none("GET")).toMatchObject([502, expect.any(String), ["GET 0"]]);
    }
  });

  test("proxy-next-upstream-tries: so often in all, whoever else there is", async () => {
    const tries = async (manners: readonly Manner[], number: string): Promise<number> => {
      const ask = await asking(manners, { "proxy-next-upstream": "http_503", "proxy-next-upstream-tries": number });
      return (await ask("GET"))[2].length;
    };
    expect(await tries([503, 503, 503], "1")).toBe(1);
    expect(await tries([503, 503, 503], "2")).toBe(2);
    expect(await tries([503, 503], "5")).toBe(5);
    expect(await tries([503], "2")).toBe(2);
    expect(await tries([503], "0")).toBe(20);
  });

  test("proxy-next-upstream: what may not be done twice is not, unless non_idempotent says so", async () => {
    const once = await asking([503, "reset"], { "proxy-next-upstream": "error http_503" });
    for (const method of ["POST", "PATCH", "LOCK", "REPORT"])
      for (let i = 0; i < 2; i++) expect([method, (await once(method, 10))[2]]).toEqual([method, [`${method} 10`]]);
    const often = await asking([503, "reset", 503], { "proxy-next-upstream": "error http_503 non_idempotent" });
    expect((await often("POST", 5000))[2]).toEqual(["POST 5000", "POST 5000", "POST 5000"]);
    expect((await often("POST"))[2]).toHaveLength(3);
  });

  test("proxy-next-upstream: a small body is sent again as a whole, a large one never", async () => {
    const ask = await asking([503, 503], { "proxy-next-upstream": "http_503 non_idempotent" });
    expect(await ask("PUT", 8000)).toEqual([503, "own 503", ["PUT 8000", "PUT 8000", "PUT 8000"]]);
    expect(await ask("PUT", 60_000)).toEqual([503, "own 503", ["PUT 60000"]]);
  });

  test("proxy-next-upstream: error is a lost connection or none, timeout one that is too slow, invalid_header no HTTP", async () => {
    const patience = { "proxy-read-timeout": "1" };
    for (const [manner, condition, others, status] of [
      ["reset", "error", "timeout invalid_header", 502],
      ["silence", "timeout", "error invalid_header", 504],
      ["garbage", "invalid_header", "error timeout", 502],
    ] as const) {
      const asked = await asking([manner, manner], {
        ...patience,
        "proxy-next-upstream": condition,
        "proxy-next-upstream-tries": "2",
      });
      expect([manner, await asked("GET")]).toMatchObject([manner, [status, expect.any(String), ["GET 0", "GET 0"]]]);
      const left = await asking([manner, manner], { ...patience, "proxy-next-upstream": others });
      expect([manner, await left("GET")]).toMatchObject([manner, [status, expect.any(String), ["GET 0"]]]);
    }
  });

  test("proxy-next-upstream: whoever refuses connections has not processed it, whatever its method", async () => {
    const { ingress, cluster, get } = await lab(made, []);
    const { backends } = await endpoints(made, [200]);
    cluster.service("web", [await closedPort(), ...backends]);
    await ingress("web", { "proxy-next-upstream": "error" });
    for (let i = 0; i < 4; i++) expect((await get("/", { method: "POST", body: "x" })).status).toBe(200);
    cluster.service("web", [await closedPort()]);
    await ingress("web", { "proxy-next-upstream": "off" });
    expect((await get("/", { agent: new Agent() })).status).toBe(502);
  });

  test("proxy-next-upstream, -tries and retry-non-idempotent of the ConfigMap: for all Ingresses that say nothing else", async () => {
    const nginxOptions = {
      "proxy-next-upstream": "http_503",
      "proxy-next-upstream-tries": "2",
      "retry-non-idempotent": "true",
    };
    const all = await asking([503, 503, 503], {}, { nginxOptions });
    expect((await all("GET"))[2]).toHaveLength(2);
    expect((await all("POST", 3))[2]).toEqual(["POST 3", "POST 3"]);
    const other = await asking([503, 503, 503], { "proxy-next-upstream-tries": "3" }, { nginxOptions });
    expect((await other("GET"))[2]).toHaveLength(3);
    const none = await asking([503, 503, 503], { "proxy-next-upstream": "off" }, { nginxOptions });
    expect((await none("GET"))[2]).toHaveLength(1);
  });

  needs("NextUpstreamTimeout")("proxy-next-upstream-timeout: there is no further try after it", async () => {
    const often = { "proxy-next-upstream": "http_503", "proxy-next-upstream-tries": "12" };
    const limited = { "proxy-next-upstream-timeout": "1" };
    const ask = await asking([503], { ...often, ...limited }, { pause: 200 });
    const [status, body, got] = await ask("GET");
    expect([status, body]).toEqual([503, "own 503"]);
    expect(got.length).toBeLessThan(12);
    const general = await asking([503], often, { pause: 200, nginxOptions: limited });
    expect((await general("GET"))[2].length).toBeLessThan(12);
    const unlimited = await asking([503], { ...often, "proxy-next-upstream-timeout": "0" }, { pause: 100 });
    expect((await unlimited("GET"))[2]).toHaveLength(12);
  });

  test("without any of it a POST that was sent is not sent again", async () => {
    const ask = await asking([503, "reset"], {});
    for (let i = 0; i < 4; i++) expect((await ask("POST", 10))[2]).toEqual(["POST 10"]);
  });
}
