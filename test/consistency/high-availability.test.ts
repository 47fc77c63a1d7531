import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Etcd, noEtcd, startEtcd } from "../support/etcd.ts";
import { type Lab, openLab, repository, type Running } from "../support/lab.ts";
import { allocateWhile, checkAllocations } from "./allocations.ts";
import { check } from "./checker.ts";
import { configMapApi, connectHttp, type HttpClient } from "./http-api.ts";
import { runWorkload } from "./workload.ts";

const controllers = "kube-controller-manager";

/** One server of the cluster, from outside of its network. */
interface Server {
  readonly client: HttpClient;
  readonly forward: Running;
}

describe.skipIf(noEtcd)(`fairlead up and two of fairlead apiserver, one etcd${noEtcd ? ` (${noEtcd})` : ""}`, () => {
  let lab: Lab;
  let etcd: Etcd | undefined;
  let cluster: TestCluster | undefined;
  let further: Running[] = [];
  let servers: Server[] = [];

  beforeAll(async () => {
    lab = await openLab("root");
    etcd = await startEtcd({ members: 3, within: lab });
    const store = ["--etcd-servers", etcd.endpoints.join(",")];
    cluster = await upCluster(lab, ["--rootless", "--store", "etcd", ...store]);
    const { dir } = cluster;
    further = [6444, 6445].map((port) =>
      lab.start(process.execPath, [
        join(repository, "fairlead"),
        "apiserver",
        `--dir=${join(lab.dir, `server-${port}`)}`,
        `--pki-dir=${join(dir, "pki")}`,
        "--advertise-address=127.0.0.1",
        `--api-port=${port}`,
        ...store,
      ]),
    );
    for (const server of further)
      await eventually("a further API server answers", async () => server.output().includes("answers") || undefined);
    const tls = await adminOf(cluster.kubeconfig);
    servers = await Promise.all(
      [6443, 6444, 6445].map(async (port) => {
        const socketPath = join(lab.dir, `api-${port}.sock`);
        const script = join(repository, "test/support/vip-forward.mjs");
        const forward = lab.start(process.execPath, [script, socketPath, "127.0.0.1", String(port)]);
        await eventually("the way into the lab", async () => forward.output().includes("ready") || undefined);
        return { client: connectHttp(`https://127.0.0.1:${port}`, { ...tls, socketPath }), forward };
      }),
    );
  });

  afterAll(async () => {
    for (const { client } of servers) client.close();
    await Promise.all([...further, ...servers.map(({ forward }) => forward)].map((program) => program.stop("SIGKILL")));
    try {
      await cluster?.down();
    } finally {
      await etcd?.stop();
      await tearDown(lab, undefined);
    }
  });

  /** Which of the servers runs the controllers, by its own word. */
  const leaders = async (): Promise<number[]> => {
    const told = await Promise.all(servers.map(({ client }) => client.text("/metrics").catch(() => "")));
    return told.flatMap((text, i) =>
      text.includes(`leader_election_master_status{name="${controllers}"} 1`) ? [i] : [],
    );
  };

  it("goes on when the leader and a member of etcd are killed: nothing is lost, given twice or left out of a watch", async () => {
    if (!cluster || !etcd) throw new Error("the cluster is up");
    const { kubectl } = cluster;
    const [up, ...others] = servers.map(({ client }) => client);
    if (!up) throw new Error("there are three servers");
    printed(await kubectl(["create", "deployment", "web", "--image=fairlead.dev/echo", "--replicas=1"]));
    expect(await eventually("somebody leads", async () => (await leaders())[0])).toBe(0);
    const pid = await cluster.pid();

    const faults = async (): Promise<void> => {
      process.kill(pid, "SIGKILL");
      const replicas = { spec: { replicas: 3 } };
      await etcd?.members[0]?.end();
      const [second] = others;
      const path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
      await eventually("the Deployment is scaled through another server", async () => {
        const { body } = (await second?.call("GET", path)) ?? {};
        const answer = await second?.call("PUT", path, { ...body, ...replicas });
        return answer?.status === 200 || undefined;
      });
      // The others wait until the lease has been silent for its 15 seconds.
      const next = await eventually("another leads", async () => (await leaders()).find((i) => i !== 0), 60);
      expect(next).toBeGreaterThan(0);
      await etcd?.members[0]?.start();
      await cluster?.up();
    };
    const killed = faults();
    const [history, made] = await Promise.all([
      runWorkload({
        apis: [up, ...others, ...others].map(configMapApi),
        watchers: 3,
        keys: 8,
        seed: 7,
        until: killed,
        pause: 20,
      }),
      allocateWhile([...others, ...others], killed),
    ]);
    expect(check(history)).toEqual([]);
    expect(history.operations.filter(({ outcome }) => outcome.type !== "unknown").length).toBeGreaterThan(40);
    expect(made.size).toBeGreaterThan(8);
    for (const { client } of servers) expect(await checkAllocations(client, made)).toEqual([]);
    // Who leads now has done what was asked for while nobody did; the pods of before go on.
    await eventually("one of them leads", async () => (await leaders()).length === 1 || undefined, 60);
    printed(await kubectl(["rollout", "status", "deployment/web", "--timeout=110s"]));
    expect(printed(await kubectl(["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"]))).toBe("3");
  });
});

async function adminOf(kubeconfig: string): Promise<{ ca: string; cert: string; key: string }> {
  const config = parse(await readFile(kubeconfig, "utf8")) as {
    clusters: { cluster: Record<string, string> }[];
    users: { user: Record<string, string> }[];
  };
  const text = (data: string | undefined) => Buffer.from(data ?? "", "base64").toString();
  const [cluster, user] = [config.clusters[0]?.cluster ?? {}, config.users[0]?.user ?? {}];
  return {
    ca: text(cluster["certificate-authority-data"]),
    cert: text(user["client-certificate-data"]),
    key: text(user["client-key-data"]),
  };
}
