import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
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
/** When the reload command was run, and what it found in the balancer's file. */
let reloads: { at: number; text: string }[] = [];
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
    reloads.push({ at: clock.now(), text: readFileSync(join(folder, "cfg"), "utf8") });
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

/** Time goes on, and files are written meanwhile: how many of them is the machine's affair, so nothing may depend on it. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    await clock.advance(50);
    await sleep(2);
  }
}

/** Time goes on until it is so. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pass(50);
}

const servicesOf = (text: string) => text.trim().split("\n").length;

test("a storm of changes reloads the balancer at most twice a second, and the last of them is in its file", async () => {
  service("first");
  start();
  await until(() => reloads.length > 0);
  for (let i = 0; i < 60; i++) {
    service(`web-${i}`);
    await pass(50);
  }
  await until(() => servicesOf(reloads.at(-1)?.text ?? "") === 61);
  const gaps = reloads.slice(1).map(({ at }, i) => at - (reloads[i]?.at ?? 0));
  expect(gaps.length).toBeGreaterThan(1);
  expect(gaps.filter((gap) => gap < 500)).toEqual([]);
  const before = reloads.length;
  await pass(2_000);
  expect(reloads).toHaveLength(before);
});

test("a reload command that fails is told and run again; then there is nothing to tell", async () => {
  code = 1;
  service("web");
  const plugin = start();
  await until(() => reloads.length > 5);
  expect(plugin.unserved()).toMatch(/^other: .*no such balancer/);
  const gaps = reloads.slice(1).map(({ at }, i) => at - (reloads[i]?.at ?? 0));
  expect(gaps.filter((gap) => gap < 500)).toEqual([]);
  code = 0;
  await until(() => plugin.unserved() === undefined);
  const before = reloads.length;
  await pass(5_000);
  expect(reloads).toHaveLength(before);
});
