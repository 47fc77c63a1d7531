import { readdir, readFile, readlink } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { missingFor, startHaproxy } from "../../src/dataplane/index.ts";
import { selfSigned } from "./certificates.ts";
import { send } from "./clients.ts";
import { eventually } from "./cluster.ts";
import { fixture, rule } from "./suite.ts";

const why = await missingFor("haproxy");

/** Process ids of this process's children that are HAProxy. */
async function processes(): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    const [, name, state, parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(stat) ?? [];
    if (name === "haproxy" && state !== "Z" && Number(parent) === process.pid) found.push(Number(entry));
  }
  return found;
}

describe.skipIf(why !== undefined)(`HAProxy${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  const made = fixture(startHaproxy);

  test("one process takes every change of endpoints, routes and certificates", async () => {
    const cluster = await made.shop("a");
    const before = await processes();
    expect(before).toHaveLength(1);
    for (let round = 0; round < 10; round++) {
      const name = `s${round}`;
      cluster.service(name, [await made.backend(name)]);
      cluster.secret(name, selfSigned([`${name}.test`]));
      cluster.addIngress(name, {
        rules: [rule(name, { host: `${name}.test` }), rule(name, { host: `*.${name}.test`, path: "/x" })],
        tls: [{ hosts: [`${name}.test`], secretName: name }],
      });
      await cluster.served();
      expect((await send(cluster, "/", { host: `${name}.test`, tls: {} })).status).toBe(200);
      expect((await send(cluster, "/x", { host: `www.${name}.test` })).status).toBe(200);
      cluster.endpoints(name, []);
      await eventually(
        "it has no endpoint",
        async () => (await send(cluster, "/", { host: `${name}.test` })).status === 503,
      );
    }
    expect(await processes()).toEqual(before);
  });

  test("killed at any moment, it is back with the same state, and nobody is refused", async () => {
    const cluster = await made.shop("a");
    cluster.service("late", [await made.backend("late")]);
    cluster.addIngress("late", { rules: [rule("late", { host: "late.test" })] });
    await cluster.served();
    for (let round = 0; round < 3; round++) {
      const [pid] = await processes();
      if (pid === undefined) throw new Error("there is no process");
      process.kill(pid, "SIGKILL");
      await eventually("it is gone", async () => !(await processes()).includes(pid));
      // Connected while there is no process, or just when there is one again.
      const replies = await Promise.all(["shop.test", "late.test"].map((host) => send(cluster, "/", { host })));
      expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    }
  });

  test.skipIf(process.getuid?.() !== 0)("it is never root, and reads no file of ours but its own", async () => {
    await made.shop("a");
    const [pid] = await processes();
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    expect(/^Uid:\s+(\d+)\s+(\d+)/m.exec(status)?.slice(1)).not.toContain("0");
    expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toMatch(/^0+$/);
    const environment = await readFile(`/proc/${pid}/environ`, "utf8");
    expect(environment).not.toContain("HOME");
    const files = await Promise.all(
      (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")),
    );
    expect(files.filter((file) => file.includes("/.fairlead"))).toEqual([]);
  });
});
