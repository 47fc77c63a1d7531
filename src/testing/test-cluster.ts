import { mkdtemp, rm } from "node:fs/promises";
import { setMaxListeners } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  accountKeys,
  createApiServer,
  createKubeletClient,
  frontProxyName,
  kubeconfigText,
  openPki,
  serveHttps,
  writeKubeconfig,
  type AccountKeys,
} from "../apiserver/index.ts";
import { createInformers, createLocalClient } from "../client/index.ts";
import { createMemoryStore, openLmdbStore } from "../store/index.ts";
import { createMetrics, freePort, type Logger, silentLogger, systemClock } from "../system/index.ts";

export interface TestClusterOptions {
  /** Keep the cluster's state in this directory. Absent: it is in memory, and gone when the cluster stops. */
  readonly dir?: string;
  /**
   * With `dir`: acknowledge writes before they are on disk. FOR TESTS ONLY: a machine that stops loses what was acknowledged.
   * Default false.
   */
  readonly noFsync?: boolean;
  /** Port on 127.0.0.1. Default 0: any that is free, so that several clusters run beside each other. */
  readonly port?: number;
  /**
   * Run the controllers: namespaces end, owned objects go with their owners, Deployments make Pods (which nothing runs).
   * Default true; false is the API alone, as envtest has it.
   */
  readonly controllers?: boolean;
  /** Told of what goes wrong inside. Absent: nobody is. */
  readonly log?: Logger;
}

/** A Kubernetes API for tests. */
export interface TestCluster {
  /** `https://127.0.0.1:PORT`. */
  readonly server: string;
  /** What a client needs to be its administrator. */
  readonly kubeconfig: string;
  /** A file with the kubeconfig, which goes with the cluster. */
  readonly kubeconfigFile: string;
  /** Ends the cluster. Settles when nothing of it is left but `dir`. */
  stop(): Promise<void>;
}

const serviceCidrs = ["10.96.0.0/16"];
const admin = { user: "kubernetes-admin", groups: ["system:masters"] };

/**
 * Starts an API server in this process that clients can not tell apart from Kubernetes': RBAC, admission, custom resources and webhooks
 * included. Settles when it answers. Throws what the store or the socket throws when it can not start.
 */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { dir, noFsync = false, controllers = true, log = silentLogger } = options;
  const port = options.port || (await freePort());
  const files = await mkdtemp(join(tmpdir(), "fairlead-test-cluster-"));
  const clock = systemClock;
  const metrics = createMetrics();
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const store = dir === undefined ? createMemoryStore() : await openLmdbStore({ path: join(dir, "store"), noFsync });
  const pki = await openPki(join(dir ?? files, "pki"), clock);
  const [frontProxy, serving, kubeletClient, user] = await Promise.all([
    pki.frontProxy(),
    pki.server("apiserver", { name: "kube-apiserver", hosts: ["localhost", "127.0.0.1", "kubernetes.default.svc"] }),
    pki.client("apiserver-kubelet-client", { user: "kube-apiserver-kubelet-client", groups: [] }),
    pki.client("admin", admin),
  ]);
  let keys: Promise<AccountKeys> | undefined;
  const apiserver = createApiServer({
    store,
    clock,
    log,
    signal,
    metrics,
    serviceCidrs,
    advertise: { address: "127.0.0.1", port },
    allowLoopback: true,
    authentication: { accountKeys: () => (keys ??= readKeys()) },
    aggregation: {
      clientCa: pki.ca,
      frontProxyCa: frontProxy.ca,
      client: () => frontProxy.client("front-proxy-client", { user: frontProxyName, groups: [] }),
    },
    kubelet: createKubeletClient({ ca: pki.ca, ...kubeletClient }),
  });
  const served = await serveHttps(apiserver.handler, {
    host: "127.0.0.1",
    port,
    ...serving,
    clientCa: pki.ca,
    frontProxyCa: frontProxy.ca,
    authenticator: apiserver.authenticator,
    signal,
    log,
  });
  await apiserver.ready;
  const server = `https://127.0.0.1:${served.port}`;
  const config = { cluster: "fairlead-test", server, ca: pki.ca, user: admin.user, client: user };
  const kubeconfigFile = join(files, "kubeconfig");
  await writeKubeconfig(kubeconfigFile, config);
  const parts = controllers ? [runControllers()] : [];
  return {
    server,
    kubeconfig: await kubeconfigText(config),
    kubeconfigFile,
    async stop() {
      stop.abort(new Error("the test cluster is stopped"));
      await Promise.all([apiserver.stopped, served.stopped, ...parts]);
      await store.close();
      await rm(files, { recursive: true, force: true });
    },
  };

  async function readKeys(): Promise<AccountKeys> {
    const { signingKey, publicKeys } = await pki.accountKeys();
    return accountKeys(signingKey, publicKeys);
  }

  async function runControllers(): Promise<void> {
    const { startControllers } = await import("../controllers/index.ts");
    const groups = ["system:authenticated"];
    const client = createLocalClient(
      apiserver.inBackground,
      { name: "system:kube-controller-manager", groups },
      { fieldManager: "kube-controller-manager" },
    );
    const informers = createInformers(client, { signal, log });
    const all = { client, informers, metrics, signal, clock, log, clusterCIDRs: ["10.42.0.0/16"], rootCA: pki.ca };
    await startControllers(all).stopped;
  }
}
