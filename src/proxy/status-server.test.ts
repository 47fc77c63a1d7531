import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createMetrics, FakeClock, freePort, silentLogger, systemClock, type Logger } from "../system/index.ts";
import type { ProxyMode } from "./backend.ts";
import { createProxyFigures, told } from "./figures.ts";
import type { Health } from "./progress.ts";
import { serveStatus } from "./status-server.ts";

let ports: { metrics: { address: string; port: number }; health: { address: string; port: number } };
let stop: AbortController;
beforeEach(async () => {
  stop = new AbortController();
  const free = async () => ({ address: "127.0.0.1", port: await freePort() });
  ports = { metrics: await free(), health: await free() };
});
afterEach(() => stop.abort());

function serve(
  more: {
    health?: () => Health;
    nodeEligible?: () => boolean;
    unready?: () => string | undefined;
    probeDatapath?: () => Promise<string | undefined>;
    log?: Logger;
  } = {},
) {
  const clock = new FakeClock(Date.UTC(2030, 0, 1));
  const metrics = createMetrics();
  const figures = createProxyFigures(metrics, clock, "IPv4");
  const health = () => ({ healthy: true, lastUpdated: clock.now() });
  const { signal } = stop;
  const own = { ports, mode: (): ProxyMode => "userspace", metrics, figures, signal, clock: systemClock };
  const well = { health, nodeEligible: () => true, unready: () => undefined, probeDatapath: async () => undefined };
  serveStatus({ ...own, ...well, log: silentLogger, ...more });
  return { clock, metrics, figures };
}

async function ask(port: number, path: string): Promise<{ status: number; type: string | null; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, type: response.headers.get("content-type"), body: await response.text() };
}
const listening = (port: number) =>
  expect
    .poll(() =>
      ask(port, "/healthz").then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);

test("the port of figures answers what kube-proxy's does", async () => {
  const { figures, clock } = serve();
  await listening(ports.metrics.port);
  expect(await ask(ports.metrics.port, "/proxyMode")).toMatchObject({ status: 200, body: "userspace" });
  expect(await ask(ports.metrics.port, "/healthz")).toMatchObject({ status: 200, body: "ok" });
  expect((await ask(ports.metrics.port, "/configz")).status).toBe(404);
  const slice = (at: number) => ({
    metadata: { annotations: { "endpoints.kubernetes.io/last-change-trigger-time": new Date(at).toISOString() } },
  });
  const changed = (from: number, to: number) =>
    figures.programming(slice(from) as never, slice(to) as never, Promise.resolve());
  const start = clock.now();
  await clock.advance(2_500);
  changed(start - 9_000, start + 500);
  // What was triggered before the start, or by this version's predecessor, is no delay of ours.
  changed(start - 9_000, start - 8_000);
  changed(start + 500, start + 500);
  figures.syncs.done(0.003, false);
  const { type, body } = await ask(ports.metrics.port, "/metrics");
  expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(body).toContain('kubeproxy_network_programming_duration_seconds_sum{ip_family="IPv4"} 2\n');
  expect(body).toContain('kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1\n');
  expect(body).toContain('fairlead_proxy_change_duration_seconds_count{ip_family="IPv4"} 3\n');
  expect(body).toContain('kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 1\n');
  expect(body).toContain(`kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} ${clock.now() / 1000}\n`);
});

test("the port of health tells whether rules keep up, and whether the node should get new connections", async () => {
  let healthy = true;
  let eligible = true;
  const lastUpdated = Date.UTC(2030, 0, 1);
  const { metrics } = serve({ health: () => ({ healthy, lastUpdated }), nodeEligible: () => eligible });
  await listening(ports.health.port);
  const both = async () => {
    const [healthz, livez] = [await ask(ports.health.port, "/healthz"), await ask(ports.health.port, "/livez")];
    return [healthz.status, livez.status];
  };
  const { body } = await ask(ports.health.port, "/healthz");
  expect(JSON.parse(body)).toEqual({
    lastUpdated: "2030-01-01T00:00:00.000Z",
    currentTime: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    nodeEligible: true,
  });
  expect(Object.keys(JSON.parse((await ask(ports.health.port, "/livez")).body) as object)).toEqual([
    "lastUpdated",
    "currentTime",
  ]);
  expect(await both()).toEqual([200, 200]);
  eligible = false;
  expect(await both()).toEqual([503, 200]);
  healthy = false;
  expect(await both()).toEqual([503, 503]);
  expect((await ask(ports.health.port, "/metrics")).status).toBe(404);
  const text = await metrics.text();
  expect(text).toContain('kubeproxy_proxy_healthz_total{code="503"} 2\n');
  expect(text).toContain('kubeproxy_proxy_livez_total{code="503"} 1\n');
});

test("a port that another program has is told once, and taken when it is free", async () => {
  const other = createServer().listen(ports.health.port, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const said: string[] = [];
  serve({ log: { ...silentLogger, warn: ({ problem }) => said.push(String(problem)) } });
  await listening(ports.metrics.port);
  await expect.poll(() => said).toEqual([`127.0.0.1:${ports.health.port} cannot be opened: EADDRINUSE`]);
  await new Promise((resolve) => other.close(resolve));
  await expect
    .poll(() => ask(ports.health.port, "/livez").catch(() => undefined), { timeout: 10_000 })
    .toMatchObject({ status: 200 });
});

test("transactions that the kernel refuses are counted apart from those it took", async () => {
  const metrics = createMetrics();
  const { syncs } = createProxyFigures(metrics, new FakeClock(), "IPv4");
  let fails = true;
  const program = told(
    { apply: () => (fails ? Promise.reject(new Error("busy")) : Promise.resolve([])) },
    syncs,
    "nftables",
  );
  await expect(program.apply({ reset: true, remove: [], add: [] })).rejects.toThrow("busy");
  fails = false;
  await program.apply({ reset: true, remove: [], add: [] });
  const text = await metrics.text();
  expect(text).toContain('kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 1\n');
  expect(text).toContain('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1\n');
  expect(text).toContain('kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1\n');
  expect(text).toContain('kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"} 0\n');
});

test("readiness asks for a packet only where it is wanted, and tells why it did not come through", async () => {
  let unready: string | undefined = "not yet";
  let probes = 0;
  const probeDatapath = async () => {
    probes++;
    return probes > 1 ? "no answer" : undefined;
  };
  serve({ unready: () => unready, probeDatapath });
  await listening(ports.health.port);
  const asked = async (path: string) => {
    const { status, body } = await ask(ports.health.port, path);
    return { status, ...(JSON.parse(body) as object) };
  };
  expect(await asked("/readyz?probe=datapath")).toEqual({
    status: 503,
    ready: false,
    mode: "userspace",
    reason: "not yet",
  });
  unready = undefined;
  expect(await asked("/readyz")).toEqual({ status: 200, ready: true, mode: "userspace" });
  expect(probes).toBe(0);
  expect(await asked("/readyz?probe=datapath")).toEqual({ status: 200, ready: true, mode: "userspace" });
  expect(await asked("/readyz?probe=datapath")).toMatchObject({ status: 503, reason: "no answer" });
  expect((await ask(ports.health.port, "/readyz?probe=other")).status).toBe(400);
});
