import { afterAll, afterEach } from "vitest";
import { type Backend, startBackend, startCluster, type StartDataPlane, type TestCluster } from "./cluster.ts";

/** Starts clusters and backends for one test and stops them after it. */
export interface Fixture {
  cluster(options?: Parameters<typeof startCluster>[0]): Promise<TestCluster>;
  backend(...args: Parameters<typeof startBackend>): Promise<Backend>;
  /** A cluster with one backend behind `shop.test/`, already served. */
  shop(...args: Parameters<typeof startBackend>): Promise<TestCluster>;
  /** A cluster for all tests that ask for one with these options: empty for each of them, and there until the last test of the file. */
  lastingCluster(options?: Parameters<typeof startCluster>[0]): Promise<TestCluster>;
  /** The same, but one for all tests that ask for it; it stays until the last test of the file. */
  lastingShop(...args: Parameters<typeof startBackend>): Promise<TestCluster>;
}

export function fixture(start?: StartDataPlane): Fixture {
  const clean: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const each of clean.splice(0).reverse()) await each();
  });
  const last: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const each of last.reverse()) await each();
  });
  let lasting: Promise<TestCluster> | undefined;
  const clusters = new Map<string, Promise<TestCluster>>();
  const made: Fixture = {
    async cluster(options = {}) {
      const cluster = await startCluster({ ...(start ? { start } : {}), ...options });
      clean.push(() => cluster.stop());
      return cluster;
    },
    async backend(...args) {
      const backend = await startBackend(...args);
      clean.push(() => backend.close());
      return backend;
    },
    async shop(...args) {
      const backend = await made.backend(...args);
      const cluster = await made.cluster();
      cluster.service("web", [backend]);
      cluster.addIngress("web", { rules: [rule("web")] });
      await cluster.served();
      return cluster;
    },
    async lastingCluster(options = {}) {
      const key = JSON.stringify(options);
      const begin = async (): Promise<TestCluster> => {
        const cluster = await startCluster({ ...(start ? { start } : {}), ...options });
        last.push(() => cluster.stop());
        return cluster;
      };
      const started = clusters.get(key) ?? begin();
      clusters.set(key, started);
      const cluster = await started;
      clean.push(() => cluster.clear());
      return cluster;
    },
    lastingShop(...args) {
      const begin = async (): Promise<TestCluster> => {
        const backend = await startBackend(...args);
        last.push(() => backend.close());
        const cluster = await startCluster(start ? { start } : {});
        last.push(() => cluster.stop());
        cluster.service("web", [backend]);
        cluster.addIngress("web", { rules: [rule("web")] });
        await cluster.served();
        return cluster;
      };
      return (lasting ??= begin());
    },
  };
  return made;
}

/** A rule of an Ingress with one path. */
export function rule(
  service: string,
  options: { host?: string; path?: string; pathType?: string; port?: { number?: number; name?: string } } = {},
) {
  const { host = "shop.test", path = "/", pathType = "Prefix", port = { number: 80 } } = options;
  return { host, http: { paths: [{ path, pathType, backend: { service: { name: service, port } } }] } };
}
