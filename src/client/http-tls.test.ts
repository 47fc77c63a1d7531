import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createApiServer, openPki, type Pki, serveHttps } from "../apiserver/index.ts";
import { resources } from "../kube/index.ts";
import { createMemoryStore } from "../store/index.ts";
import { silentLogger as log, systemClock as clock } from "../system/index.ts";
import type { Client } from "./client.ts";
import type { ClientConfig } from "./config.ts";
import { createHttpClient } from "./http.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import { startInformer } from "./start-informer.ts";

// The real API over TLS, with client certificates.

const stop = new AbortController();
const { signal } = stop;
let folder = "";
let pki: Pki;
let config: ClientConfig;
let client: Client;
let stopped: Promise<unknown>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "client-"));
  pki = await openPki(join(folder, "pki"), clock);
  const serving = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
  const api = createApiServer({
    store: createMemoryStore(),
    clock,
    log,
    signal,
    serviceCidrs: ["10.96.0.0/16"],
    advertise: { address: "192.0.2.1", port: 6443 },
    kubelet: { open: () => Promise.reject(new Error("there is no kubelet")) },
  });
  const served = await serveHttps(api.handler, {
    host: "127.0.0.1",
    port: 0,
    ...serving,
    clientCa: pki.ca,
    signal,
    log,
  });
  await api.ready;
  stopped = Promise.all([served.stopped, api.stopped]);
  const { cert, key } = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  await writeFile(
    join(folder, "kubeconfig"),
    JSON.stringify({
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
      clusters: [
        {
          name: "x",
          cluster: { server: `https://127.0.0.1:${served.port}`, "certificate-authority-data": base64(pki.ca) },
        },
      ],
      users: [{ name: "x", user: { "client-certificate-data": base64(cert), "client-key-data": base64(key) } }],
    }),
  );
  config = await loadKubeconfig({ path: join(folder, "kubeconfig") });
  client = createHttpClient(config);
});
afterAll(async () => {
  stop.abort();
  await stopped;
  await rm(folder, { recursive: true });
});

const map = (name: string) => ({ metadata: { namespace: "default", name }, data: { k: "ü" } });

test("an informer follows over the network: objects, changes and the end", async () => {
  await client.create(resources.ConfigMap, map("one"));
  const own = new AbortController();
  const informer = startInformer(client, resources.ConfigMap, { namespace: "default", signal: own.signal, log });
  const seen: string[] = [];
  informer.onChange(({ before, after }) =>
    seen.push(`${before ? "-" : ""}${after ? "+" : ""} ${(after ?? before)?.metadata.name}`),
  );
  await informer.synced;
  const one = informer.get({ namespace: "default", name: "one" });
  expect(one).toMatchObject({ apiVersion: "v1", kind: "ConfigMap", data: { k: "ü" } });
  await client.create(resources.ConfigMap, map("two"));
  await client.patch(
    resources.ConfigMap,
    { namespace: "default", name: "two" },
    { type: "strategic", body: { data: { k: "2" } } },
  );
  await client.delete(resources.ConfigMap, { namespace: "default", name: "two" });
  await vi.waitFor(() => expect(seen).toEqual(["+ one", "+ two", "-+ two", "- two"]), { timeout: 10_000 });
  own.abort();
});

test("refusals are Kubernetes' own", async () => {
  await expect(client.get(resources.ConfigMap, { namespace: "default", name: "none" })).rejects.toMatchObject({
    reason: "NotFound",
    message: 'configmaps "none" not found',
  });
  const wrong = { metadata: { namespace: "default", name: "Wrong Name" } };
  await expect(client.create(resources.ConfigMap, wrong)).rejects.toMatchObject({ code: 422, reason: "Invalid" });
  const expired = client.watch(resources.ConfigMap, { resourceVersion: "1000000", signal });
  await expect(expired[Symbol.asyncIterator]().next()).rejects.toMatchObject({ name: "StatusError" });
});

test("lists come in pages, apply and dry run work", async () => {
  for (let i = 0; i < 7; i++)
    await client.apply(resources.Secret, { metadata: { namespace: "default", name: `s${i}` } });
  const first = await client.list(resources.Secret, { namespace: "default", limit: 5 });
  const rest = await client.list(resources.Secret, { namespace: "default", limit: 5, continue: first.continue ?? "" });
  expect([first.items.length, rest.items.length, rest.continue]).toEqual([5, 2, undefined]);
  await client.create(resources.ConfigMap, map("dry"), { dryRun: true });
  await expect(client.get(resources.ConfigMap, { namespace: "default", name: "dry" })).rejects.toMatchObject({
    reason: "NotFound",
  });
});

test("who is not known by the CA is not let in, and a server that isn't is not trusted", async () => {
  const { ca: _, ...untrusting } = config;
  const read = (other: ClientConfig) => createHttpClient(other).get(resources.Namespace, { name: "default" });
  await expect(read(untrusting)).rejects.toMatchObject({ name: "ClientError", code: "TLS" });
  expect((await read({ ...untrusting, insecure: true })).metadata.name).toBe("default");
  await expect(read({ ...config, credentials: {} })).rejects.toMatchObject({ name: "StatusError", code: 403 });
  await expect(read({ ...config, credentials: { token: "wrong" } })).rejects.toMatchObject({
    name: "StatusError",
    code: 401,
  });
});
