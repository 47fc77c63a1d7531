// What is particular to nginx: nothing but another port makes it read its configuration anew, and it comes back as it was.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startNginx } from "../../src/dataplane/index.ts";
import { findNginx } from "../../src/dataplane/nginx/program.ts";
import { silentLogger, systemCommands } from "../../src/system/index.ts";
import { selfSigned } from "./certificates.ts";
import { send, sendBytes } from "./clients.ts";
import { eventually } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const why = await findNginx(systemCommands).then(
  () => undefined,
  (error: Error) => error.message,
);

describe.skipIf(why)(`nginx and faults${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  });
  const made = fixture((options) => startNginx({ ...options, directory, workers: 2 }));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const master = async (): Promise<number> => Number(await readFile(join(directory, "nginx.pid"), "utf8"));

  async function workers(): Promise<number[]> {
    const pid = await master();
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.trim().split(" ").map(Number).sort();
  }

  const nameOf = async (cluster: Parameters<typeof send>[0], path: string): Promise<unknown> => {
    const reply = await send(cluster, path).catch(() => undefined);
    return reply?.status === 200 ? (JSON.parse(reply.body) as { name: string }).name : reply?.status;
  };

  test("endpoints, routes and certificates change in the same workers", async () => {
    const cluster = await made.shop("a");
    const before = await workers();
    expect(before).toHaveLength(2);
    cluster.endpoints("web", [await made.backend("b")]);
    await eventually("the endpoint has changed", async () => (await nameOf(cluster, "/")) === "b");
    cluster.service("other", [await made.backend("c")]);
    cluster.secret("one", selfSigned(["shop.test"]));
    cluster.addIngress("more", {
      rules: [rule("other", { path: "/other" })],
      tls: [{ hosts: ["shop.test"], secretName: "one" }],
    });
    await cluster.served();
    expect(await nameOf(cluster, "/other")).toBe("c");
    expect((await send(cluster, "/", { tls: {} })).status).toBe(200);
    expect(await workers()).toEqual(before);
  });

  test("a master that is killed comes back with all routes, and changes go on", async () => {
    const cluster = await made.shop("a");
    const before = await master();
    process.kill(before, "SIGKILL");
    await eventually("there is another one", async () => (await master().catch(() => before)) !== before);
    await eventually("it serves", async () => (await nameOf(cluster, "/")) === "a");
    cluster.endpoints("web", [await made.backend("b")]);
    await eventually("the endpoint has changed", async () => (await nameOf(cluster, "/")) === "b");
  });

  test("what changes while there is no master is served by the next one", async () => {
    const cluster = await made.shop("a");
    const next = await made.backend("b");
    const pid = await master();
    process.kill(pid, "SIGKILL");
    cluster.endpoints("web", [next]);
    await eventually("the new endpoint is served", async () => (await nameOf(cluster, "/")) === "b");
  });

  test("a worker that is killed is followed by another one that knows all rows", async () => {
    const cluster = await made.shop("a");
    for (const pid of await workers()) process.kill(pid, "SIGKILL");
    await eventually("it serves", async () => (await nameOf(cluster, "/")) === "a");
  });

  test("a start in the same folder takes over from an nginx that was left behind", async () => {
    const first = await made.shop("a");
    const text = await readFile(join(directory, "nginx.conf"), "utf8");
    await first.stop();
    const configuration = join(directory, "left.conf");
    await writeFile(configuration, text);
    spawn("nginx", ["-p", directory, "-c", configuration], { stdio: "ignore", detached: true }).unref();
    let left = 0;
    await eventually("it runs", async () => (left = await master().catch(() => 0)) > 0);
    const second = await made.cluster();
    second.service("web", [await made.backend("b")]);
    second.addIngress("web", { rules: [rule("web")] });
    await second.served();
    expect(await master()).not.toBe(left);
    expect(() => process.kill(left, 0)).toThrow("ESRCH");
    expect(await nameOf(second, "/")).toBe("b");
  });

  test("a model without any port, and then with one again", async () => {
    const shop = await made.shop("a");
    const model = shop.ingress.current()?.model;
    await shop.stop();
    if (!model) throw new Error("there is no model");
    const stop = new AbortController();
    const dataplane = startNginx({
      directory,
      workers: 1,
      address: "127.0.0.1",
      signal: stop.signal,
      log: silentLogger,
    });
    const keyPair = () => undefined;
    const [http] = model.listeners;
    if (!http) throw new Error("there is no listener");
    for (const listeners of [[http], [], [{ ...http, name: "again" }]]) {
      await dataplane.apply({ model: { ...model, listeners }, keyPair });
      expect(dataplane.listeners().map(({ name }) => name)).toEqual(listeners.map(({ name }) => name));
    }
    const port = dataplane.listeners()[0]?.port ?? 0;
    expect(await sendBytes(port, "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")).toContain(
      '"name":"a"',
    );
    stop.abort();
    await dataplane.stopped;
  });

  test("keys and the way in are closed to all others", async () => {
    await made.shop("a");
    for (const folder of ["private", "control"]) expect((await stat(join(directory, folder))).mode & 0o077).toBe(0);
    for (const file of ["rows", "default.key"])
      expect((await stat(join(directory, "private", file))).mode & 0o077).toBe(0);
    if (process.getuid?.() !== 0) return;
    for (const pid of await workers()) {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe("0");
    }
  });
});
