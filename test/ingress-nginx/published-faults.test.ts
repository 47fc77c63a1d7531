// Published faults of ingress-nginx: the configuration that a program reads stays what it was, rows keep their form, and neighbours are
// served. Every string of every object: test/dataplane/injection/.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startDataPlane } from "../../src/dataplane/index.ts";
import { resources } from "../../src/kube/index.ts";
import { send } from "../dataplane/clients.ts";
import { eventually, type TestCluster } from "../dataplane/cluster.ts";
import { fixture, rule } from "../dataplane/suite.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { prefix } from "./fixture.ts";
import { mark, publishedFaults } from "./published-faults.ts";

const program = await embeddedProgram();
const root = mkdtempSync(join(tmpdir(), "fairlead-faults-"));
// Programs do not run as root, and must get to their files.
chmodSync(root, 0o755);
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** All that is beneath a folder, by path. Sockets and what is still being written are left out. */
function filesIn(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const file = join(folder, name);
    try {
      if (statSync(file).isFile()) found.set(name, readFileSync(file, "latin1"));
    } catch {
      // Gone meanwhile.
    }
  }
  return found;
}

/** What the program itself reads as its language: no value of a user's may ever be in there. */
const isProgram = (name: string): boolean => /\.(?:conf|cfg|lua|http)$/.test(name);

const prefixed = (annotations: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(annotations).map(([key, value]) => [prefix + key, value]));

/** HAProxy's maps: a key and a value on each line, of harmless bytes. */
const row = /^[A-Za-z0-9._~/*:=|?%-]+ [A-Za-z0-9._~/*:=|?()% -]*$/;

/** All rows of the maps that the process in this folder has, as it says itself: what is on disk is what it began with. */
async function rowsInHaproxy(folder: string): Promise<string[]> {
  const sockets = readdirSync(join(folder, "run")).filter((file) => file.endsWith(".sock"));
  const newest = Math.max(...sockets.map((file) => Number(file.replace(".sock", ""))));
  const ask = (command: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(join(folder, "run", `${newest}.sock`), () => socket.write(`${command}\n`));
      let text = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
      socket.on("end", () => resolve(text)).on("error", reject);
    });
  const maps = [...(await ask("show map")).matchAll(/^(\d+) \((\/[^)]*\.map)\)/gm)].map(([, id]) => id);
  expect(maps.length).toBeGreaterThan(2);
  const rows = await Promise.all(maps.map((id) => ask(`show map #${id}`)));
  // Each begins with where it is in memory.
  return rows.flatMap((text) => text.split("\n").filter(Boolean)).map((line) => line.replace(/^0x[0-9a-f]+ /, ""));
}

for (const name of ["haproxy", "nginx", "embedded"] satisfies DataPlaneName[]) {
  const why = await missingFor(name);
  describe.skipIf(why !== undefined)(`on ${name}${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
    let count = 0;
    const folder = (): string => join(root, `${name[0]}${count}`);
    const made = fixture((options) => {
      count++;
      return startDataPlane(name, { ...options, embeddedProgram: program, processes: 1, directory: folder() });
    });

    async function check(before: ReadonlyMap<string, string>): Promise<void> {
      if (name === "embedded") return;
      for (const [file, text] of filesIn(folder()))
        if (isProgram(file)) expect(text === before.get(file), file).toBe(true);
      if (name === "haproxy") for (const line of await rowsInHaproxy(folder())) expect(line).toMatch(row);
    }

    async function begin(): Promise<{ cluster: TestCluster; before: Map<string, string> }> {
      const cluster = await made.lastingCluster();
      cluster.client.put(resources.IngressClass, {
        metadata: { name: "nginx" },
        spec: { controller: "k8s.io/ingress-nginx" },
      });
      cluster.service("web", [await made.backend("web")]);
      cluster.addIngress("neighbour", { rules: [rule("web", { host: "neighbour.test" })] });
      // What ingress-nginx asks of every Ingress by itself (the first limit of bodies) is in nginx's configuration from now on.
      cluster.addIngress("other", { ingressClassName: "nginx", rules: [rule("web", { host: "other.test" })] });
      await cluster.served();
      for (const host of ["neighbour.test", "other.test"])
        await eventually(host, async () => (await send(cluster, "/", { host })).status === 200);
      return { cluster, before: name === "embedded" ? new Map() : filesIn(folder()) };
    }

    const serves = async (cluster: TestCluster): Promise<void> => {
      await cluster.served();
      await eventually(
        "the neighbour is served",
        async () => (await send(cluster, "/", { host: "neighbour.test" })).status === 200,
      );
    };

    test.for(publishedFaults)("$name: $what", { timeout: 30_000 }, async (fault) => {
      const { cluster, before } = await begin();
      const { annotations = {}, paths = [{ path: "/" }], more = {}, secret, configMap, uid } = fault;
      if (secret) cluster.secret("faulty", secret);
      if (configMap)
        cluster.client.put(resources.ConfigMap, { metadata: { name: "faulty", namespace: "shop" }, data: configMap });
      cluster.client.put(resources.Ingress, {
        metadata: {
          name: "faulty",
          namespace: "shop",
          ...(uid === undefined ? {} : { uid }),
          annotations: prefixed(annotations),
        },
        spec: {
          ingressClassName: "nginx",
          rules: paths.map(({ path = "/", pathType = "Prefix" }) =>
            rule("web", { host: "faulty.test", path, pathType }),
          ),
          ...more,
        },
      });
      await serves(cluster);
      await check(before);
      // Nothing that it wanted to say is there to be asked for.
      for (const host of ["faulty.test", mark, "neighbour.test"]) {
        const reply = await send(cluster, `/${mark}`, { host });
        expect(reply.body.trim()).not.toBe(mark);
        expect(JSON.stringify(reply.headers)).not.toMatch(/fl_evil[^"]*(?:root:|\beyJ)/);
      }
    });
  });
}
