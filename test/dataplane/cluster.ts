import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createEventRecorder, createFakeClient, createInformers, type FakeClient } from "../../src/client/index.ts";
import {
  type BoundListener,
  type DataPlane,
  type EmbeddedOptions,
  type Ingress,
  type Limits,
  startEmbedded,
  startIngress,
} from "../../src/dataplane/index.ts";
import { type IngressSpec, type KubeObject, resources } from "../../src/kube/index.ts";
import type { Pool, StreamServices } from "../../src/routing/index.ts";
import { createMetrics, type Metrics, silentLogger, systemClock } from "../../src/system/index.ts";

/** A backend on loopback. */
export interface Backend {
  readonly port: number;
  readonly server: Server;
  close(): Promise<void>;
}

/** Answers with what `handler` says; by default with its name and what it received, as JSON. */
export async function startBackend(
  name: string,
  handler?: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Backend> {
  const echo = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({
          name,
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
  };
  const server = createServer(handler ?? echo);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type StartDataPlane = (options: EmbeddedOptions) => DataPlane;

/** A cluster's objects in memory, served by a real data plane on loopback. */
export interface TestCluster {
  readonly client: FakeClient;
  readonly dataplane: DataPlane;
  readonly ingress: Ingress;
  readonly metrics: Metrics;
  /** Whether the data plane has confirmed a ready endpoint with this port, and nothing since that has none. */
  sendsTo(port: number): boolean;
  /** Port that answers for a listener. */
  port(name: "http" | "https"): number;
  service(
    name: string,
    backends: readonly Endpoint[],
    ports?: readonly { name?: string; port: number; appProtocol?: string }[],
    protocol?: "TCP" | "UDP",
  ): void;
  endpoints(
    name: string,
    backends: readonly Endpoint[],
    portNames?: readonly (string | undefined)[],
    protocol?: "TCP" | "UDP",
  ): void;
  addIngress(name: string, spec: IngressSpec, annotations?: Readonly<Record<string, string>>): void;
  secret(name: string, data: Record<string, string>): void;
  configMap(name: string, data: Record<string, string>): void;
  /** Settles when the data plane serves what the objects say now. */
  served(): Promise<void>;
  /** Takes all objects away. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

export interface Endpoint {
  readonly port: number;
  readonly ready?: boolean;
  readonly terminating?: boolean;
}

const namespace = "shop";

export async function startCluster(
  options: {
    start?: StartDataPlane;
    limits?: Partial<Limits>;
    trustedForwarders?: string[];
    nginxOptions?: Record<string, string>;
    streams?: () => readonly StreamServices[];
    /** As clients see them. */
    ports?: { http: number; https: number };
    onServed?: () => void;
  } = {},
): Promise<TestCluster> {
  const stop = new AbortController();
  const { signal } = stop;
  const log = silentLogger;
  const clock = systemClock;
  const client = createFakeClient();
  const metrics = createMetrics();
  const { start = startEmbedded, nginxOptions = {}, streams = () => [], ports, onServed = () => {}, ...more } = options;
  const started = start({ address: "127.0.0.1", metrics, signal, log, ...more });
  const confirmed = new Map<string, Pool>();
  const confirm = (pools: Iterable<Pool>): void => {
    for (const pool of pools) confirmed.set(pool.key, pool);
  };
  const dataplane: DataPlane = {
    ...started,
    async apply(configuration) {
      const realised = await started.apply(configuration);
      confirm(configuration.model.pools.values());
      return realised;
    },
    async updatePools(pools) {
      await started.updatePools(pools);
      confirm(pools);
    },
  };
  const informers = createInformers(client, { signal, log });
  const ingress = startIngress({
    client,
    informers,
    dataplane,
    addresses: () => ["127.0.0.1"],
    // 0: any free port.
    ports: { http: 0, https: 0 },
    ...(ports ? { ports, bindPorts: { http: 0, https: 0 } } : {}),
    nginx: {
      controllers: ["k8s.io/ingress-nginx"],
      options: () => nginxOptions,
      streams,
      configMaps: informers.of(resources.ConfigMap),
    },
    onServed,
    signal,
    clock,
    log,
    events: createEventRecorder(client, { component: "ingress", log }),
  });
  await ingress.ready;

  let markers = 0;
  const sliceCounts = new Map<string, number>();
  const cluster: TestCluster = {
    client,
    dataplane,
    ingress,
    metrics,
    sendsTo: (port) =>
      [...confirmed.values()].some(({ endpoints }) => endpoints.some((each) => each.port === port && each.ready)),
    port: (name) => portOf(dataplane.listeners(), name),
    service(name, backends, ports = [{ port: 80 }], protocol = "TCP") {
      client.put(resources.Service, {
        metadata: { name, namespace },
        spec: { type: "ClusterIP", ports: ports.map((port) => ({ protocol, ...port })) },
      });
      cluster.endpoints(
        name,
        backends,
        ports.map((port) => port.name),
        protocol,
      );
    },
    endpoints(name, backends, portNames = [undefined], protocol = "TCP") {
      for (const [index, backend] of backends.entries())
        client.put(resources.EndpointSlice, {
          metadata: { name: `${name}-${index}`, namespace, labels: { "kubernetes.io/service-name": name } },
          addressType: "IPv4",
          ports: portNames.map((portName) => ({ name: portName ?? "", port: backend.port, protocol })),
          endpoints: [
            {
              addresses: ["127.0.0.1"],
              conditions: {
                ready: backend.ready ?? !backend.terminating,
                serving: backend.ready ?? true,
                terminating: backend.terminating ?? false,
              },
            },
          ],
        });
      for (let index = backends.length; index < (sliceCounts.get(name) ?? 0); index++)
        client.remove(resources.EndpointSlice, { namespace, name: `${name}-${index}` });
      sliceCounts.set(name, backends.length);
    },
    addIngress: (name, spec, annotations = {}) =>
      void client.put(resources.Ingress, {
        metadata: { name, namespace, annotations: { ...annotations } },
        spec: { ingressClassName: "fairlead", ...spec },
      }),
    secret: (name, data) =>
      void client.put(resources.Secret, {
        metadata: { name, namespace },
        type: "kubernetes.io/tls",
        data: Object.fromEntries(
          Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
        ),
      }),
    configMap: (name, data) => void client.put(resources.ConfigMap, { metadata: { name, namespace }, data }),
    async served() {
      const marker = `marker-${++markers}.test`;
      cluster.addIngress("marker", { ingressClassName: "fairlead", rules: [{ host: marker }] });
      await eventually("the objects are served", () => {
        const server = ingress.current()?.model.listeners[0]?.servers.get("");
        return server?.kind === "http" && server.hosts.exact.has(marker);
      });
    },
    async clear() {
      const { Ingress, EndpointSlice, Service, Secret, ConfigMap } = resources;
      for (const resource of [Ingress, EndpointSlice, Service, Secret, ConfigMap]) {
        const { items } = await client.list<KubeObject>(resource);
        for (const { metadata } of items)
          client.remove(resource, { namespace: metadata.namespace ?? namespace, name: metadata.name });
      }
      sliceCounts.clear();
    },
    async stop() {
      stop.abort();
      await Promise.all([dataplane.stopped, ingress.stopped]);
    },
  };
  return cluster;
}

function portOf(listeners: readonly BoundListener[], name: string): number {
  const port = listeners.find((listener) => listener.name === name)?.port;
  if (port === undefined) throw new Error(`no listener ${name}: ${JSON.stringify(listeners)}`);
  return port;
}

/** Polls until `condition` is true, and says what was waited for when it never is. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 3_000; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain: ${what}`);
}
