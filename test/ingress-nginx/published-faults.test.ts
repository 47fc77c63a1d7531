// Published faults of ingress-nginx and, for every string of an Ingress, values of the same kinds: the configuration that a program reads
// stays what it was, rows keep their form, and neighbours are served.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startDataPlane } from "../../src/dataplane/index.ts";
import { type IngressSpec, resources } from "../../src/kube/index.ts";
import { annotations as known } from "../../src/routing/ingress-nginx/annotations.ts";
import { send } from "../dataplane/clients.ts";
import { eventually, type TestCluster } from "../dataplane/cluster.ts";
import { fixture, rule } from "../dataplane/suite.ts";
import { embeddedProgram } from "../support/embedded-program.ts";
import { prefix } from "./fixture.ts";
import { mark, publishedFaults } from "./published-faults.ts";

/** Each place with each kind of value in each form; else each kind in one of them. */
const full = process.env["FAULTS"] === "full";

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

    if (name !== "embedded")
      test("every string of an Ingress, each with every kind of value", { timeout: 60_000 }, async () => {
        const { cluster, before } = await begin();
        const kinds = [
          '"',
          "'",
          "\n",
          "\r\n",
          "\0",
          ";",
          "}",
          "#",
          "$",
          "%[env(PATH)]",
          "\\",
          " ",
          "\u0001",
          "<<\n",
          "é𝒳",
          "{{ .X }}",
          "]]",
        ];
        cluster.secret("faulty", { auth: "user:x" });
        // Three rounds of one kind give an annotation each form of a value.
        for (const [round, kind] of kinds.flatMap((each, at) =>
          (full ? [0, 1, 2] : [at]).map((form) => [form, each] as const),
        ))
          await withAll(`a${kind}${mark}`, round);

        async function withAll(value: string, round: number): Promise<void> {
          for (const [index, { annotations, ...spec }] of everywhere(value, round).entries())
            cluster.addIngress(`at-${index}`, { ingressClassName: "nginx", ...spec }, prefixed(annotations));
          await serves(cluster);
          await check(before);
        }
      });
  });
}

/** What must be there for an annotation to be looked at at all. */
const companions: readonly (readonly [RegExp, Readonly<Record<string, string>>])[] = [
  [/^auth-(?:realm|secret|secret-type|type)$/, { "auth-type": "basic", "auth-secret": "faulty" }],
  [/^auth-tls-/, { "auth-tls-secret": "shop/faulty" }],
  [/^auth-(?!tls-|realm$|secret|type$)/, { "auth-url": "http://x.test/" }],
  [/^canary-/, { canary: "true" }],
  [/^cors-/, { "enable-cors": "true" }],
  [/^(?:session-cookie|affinity)/, { affinity: "cookie" }],
  [/^proxy-ssl-/, { "proxy-ssl-secret": "shop/faulty", "backend-protocol": "HTTPS" }],
  [/^mirror-/, { "mirror-target": "http://x.test/" }],
  [/^rewrite-target$/, { "use-regex": "true" }],
];

/** Ingresses that each have a value in another place: every string that a rule, a certificate and an annotation has. */
function everywhere(value: string, round: number): (IngressSpec & { annotations?: Record<string, string> })[] {
  // Each with a host of its own: of those that say the same, one alone would be looked at.
  let hosts = 0;
  const one = (options: Parameters<typeof rule>[1] = {}, service = "web") =>
    rule(service, { host: `h${hosts++}.test`, ...options });
  const forms = [value, `/${value}`, `http://x.test/${value}`];
  return [
    { ingressClassName: value, rules: [one()] },
    { rules: [one({ host: value })] },
    ...["Exact", "Prefix", "ImplementationSpecific", value].map((pathType) => ({
      rules: [one({ path: `/${value}`, pathType })],
    })),
    { rules: [one({}, value)] },
    { rules: [one({ port: { name: value } })] },
    { defaultBackend: { service: { name: value, port: { name: value } } }, rules: [one()] },
    { defaultBackend: { resource: { apiGroup: value, kind: value, name: value } }, rules: [one()] },
    { tls: [{ hosts: [value], secretName: value }], rules: [one()] },
    ...Object.keys(known).map((name, index) => ({
      rules: [one()],
      annotations: {
        ...companions.find(([names]) => names.test(name))?.[1],
        [name]: forms[(index + round) % forms.length] ?? value,
      },
    })),
  ];
}
