import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClient, createInformers, type FakeClient } from "../../../client/index.ts";
import { resources } from "../../../kube/index.ts";
import { FakeClock, silentLogger, type CommandRunner } from "../../../system/index.ts";
import { startPlugin } from "./plugin.ts";

let folder = "";
let client: FakeClient;
let clock: FakeClock;
let stop: AbortController;
/** When the reload command was run. */
let reloads: number[] = [];
let code = 0;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-plugin-"));
  clock = new FakeClock();
  client = createFakeClient({ clock });
  stop = new AbortController();
  [reloads, code] = [[], 0];
});
afterEach(async () => {
  stop.abort();
  await rm(folder, { recursive: true, force: true });
});

const commands: CommandRunner = {
  run: (file, args) => {
    expect([file, ...args]).toEqual(["sh", "-c", "reload"]);
    reloads.push(clock.now());
    return Promise.resolve({ code, stdout: "", stderr: code === 0 ? "" : "no such balancer" });
  },
};

function start() {
  const { signal } = stop;
  return startPlugin({
    client,
    informers: createInformers(client, { signal, log: silentLogger }),
    manifest: { name: "other", reloadCmd: "reload", config: join(folder, "cfg"), template: "unused" },
    template: "{{ range .services.http }}{{ .Name }}\n{{ end }}",
    commands,
    tcpServices: [],
    forwardServices: false,
    balance: "roundrobin",
    sslCert: "",
    startSyslog: false,
    signal,
    clock,
    log: silentLogger,
  });
}

function service(name: string): void {
  client.put(resources.Service, {
    metadata: { namespace: "default", name },
    spec: { type: "ClusterIP", ports: [{ port: 80, protocol: "TCP" }] },
  });
  client.put(resources.EndpointSlice, {
    metadata: { namespace: "default", name, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "", port: 80, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.1.1.1"] }],
  });
}

/** Time goes on, and files are written meanwhile. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    await clock.advance(50);
    await sleep(2);
  }
}

test("a storm of changes reloads the balancer at most twice a second, and the last of them is in its file", async () => {
  service("first");
  start();
  await pass(1_000);
  reloads = [];
  for (let i = 0; i < 60; i++) {
    service(`web-${i}`);
    await pass(50);
  }
  await pass(1_500);
  expect(reloads.length).toBeGreaterThan(1);
  // In 4.5 s of a clock that goes on while files are really written: no two of them can be held against each other.
  expect(reloads.length).toBeLessThanOrEqual(10);
  const names = (await readFile(join(folder, "cfg"), "utf8")).trim().split("\n");
  expect(names).toHaveLength(61);
  const before = reloads.length;
  await pass(2_000);
  expect(reloads).toHaveLength(before);
});

test("a reload command that fails is told and run again; then there is nothing to tell", async () => {
  code = 1;
  service("web");
  const plugin = start();
  await pass(1_000);
  expect(plugin.unserved()).toMatch(/^other: .*no such balancer/);
  const before = reloads.length;
  code = 0;
  await pass(5_000);
  expect(reloads.length).toBeGreaterThan(before);
  expect(plugin.unserved()).toBeUndefined();
});
