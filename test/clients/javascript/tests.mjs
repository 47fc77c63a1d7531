// `@kubernetes/client-node` against the cluster that KUBECONFIG names, with its default settings.
// Usage: node tests.mjs NAME
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import * as k8s from "@kubernetes/client-node";

const patience = 60_000;
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = `node-${randomUUID().slice(0, 8)}`;

async function eventually(what, probe) {
  const until = Date.now() + patience;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < until, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function runPod() {
  const spec = { containers: [{ name: "echo", image: "fairlead.dev/echo" }] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: "echo" }, spec } });
  await eventually("the pod runs", async () => {
    const pod = await core.readNamespacedPod({ namespace, name: "echo" });
    return pod.status?.phase === "Running";
  });
}

/** Runs a command in the pod; what it printed and how it ended. */
async function execute(command, input) {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const printed = ["", ""];
  out.on("data", (chunk) => (printed[0] += chunk));
  err.on("data", (chunk) => (printed[1] += chunk));
  const status = await new Promise((resolve, reject) => {
    const stdin = input === undefined ? null : Readable.from([input]);
    new k8s.Exec(config)
      .exec(namespace, "echo", "echo", command, out, err, stdin, false, resolve)
      .then((socket) => socket.on("error", reject), reject);
  });
  return { out: printed[0], err: printed[1], status };
}

const tests = {
  async objects() {
    const body = { metadata: { name: "a", labels: { x: "y" } }, data: { k: "v" } };
    const made = await core.createNamespacedConfigMap({ namespace, body });
    assert.ok(made.metadata?.creationTimestamp instanceof Date);
    made.data = { k: "w" };
    await core.replaceNamespacedConfigMap({ namespace, name: "a", body: made });
    await assert.rejects(core.replaceNamespacedConfigMap({ namespace, name: "a", body: made }), { code: 409 });
    const patched = await core.patchNamespacedConfigMap(
      { namespace, name: "a", body: { data: { l: "m" } } },
      k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.StrategicMergePatch),
    );
    assert.deepEqual(patched.data, { k: "w", l: "m" });
    const applied = await core.patchNamespacedConfigMap(
      {
        namespace,
        name: "b",
        fieldManager: "node",
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "b" }, data: { own: "ed" } },
      },
      k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.ServerSideApply),
    );
    assert.equal(applied.metadata?.managedFields?.[0]?.manager, "node");
    await core.deleteNamespacedConfigMap({ namespace, name: "a" });
    await assert.rejects(core.readNamespacedConfigMap({ namespace, name: "a" }), { code: 404 });
  },

  async informer() {
    const list = () => core.listNamespacedConfigMap({ namespace });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
    const seen = [];
    for (const verb of ["add", "update", "delete"])
      informer.on(verb, (object) => object.metadata?.name === "a" && seen.push(verb));
    informer.on("error", (error) => {
      throw error;
    });
    await informer.start();
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "a" } } });
    await eventually("it is added", () => seen.includes("add"));
    await core.patchNamespacedConfigMap(
      { namespace, name: "a", body: { data: { k: "v" } } },
      k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.MergePatch),
    );
    await eventually("it is updated", () => seen.includes("update"));
    await core.deleteNamespacedConfigMap({ namespace, name: "a" });
    await eventually("it is deleted", () => seen.includes("delete"));
    await informer.stop();
    assert.deepEqual(seen, ["add", "update", "delete"]);
  },

  async "object api"() {
    const objects = k8s.KubernetesObjectApi.makeApiClient(config);
    const [map] = k8s.loadAllYaml(`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y, namespace: ${namespace}}\n`);
    await objects.create(map);
    const read = await objects.read(map);
    assert.equal(read.metadata?.name, "y");
    await objects.delete(map);
  },

  async exec() {
    await runPod();
    const plain = await execute(["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert.deepEqual([plain.out, plain.err], ["out\n", "err\n"]);
    assert.equal(plain.status.details?.causes?.[0]?.message, "7");
    const fed = await execute(["cat"], "fed");
    assert.equal(fed.out, "fed");
    assert.equal(fed.status.status, "Success");
  },

  async "log and attach"() {
    await runPod();
    const stream = new PassThrough();
    let text = "";
    stream.on("data", (chunk) => (text += chunk));
    const abort = await new k8s.Log(config).log(namespace, "echo", "echo", stream, { follow: true });
    await eventually("a line", () => /answers HTTP/.test(text));
    abort.abort();
    const socket = await new k8s.Attach(config).attach(namespace, "echo", "echo", stream, stream, null, false);
    socket.close();
  },

  async cp() {
    await runPod();
    const folder = await mkdtemp(join(tmpdir(), "fairlead-cp-"));
    const [here, there] = ["here", "there"].map((name) => join(folder, name));
    try {
      await mkdir(here);
      await writeFile(join(here, "file"), "content");
      await execute(["mkdir", there]);
      const cp = new k8s.Cp(config);
      // The client gives no sign of the end of either.
      await cp.cpToPod(namespace, "echo", "echo", here, there);
      await eventually(
        "the file is there",
        async () => (await execute(["cat", join(there, "file")])).out === "content",
      );
      const { out } = await execute(["tar", "cf", "-", "-C", there, "file"]);
      assert.match(out, /content/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },

  async "port-forward"() {
    await runPod();
    const forward = new k8s.PortForward(config);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      void forward.portForward(namespace, "echo", [8080], socket, null, socket);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    /** One attempt: the pod may run and not listen yet. */
    const ask = () =>
      new Promise((resolve) => {
        const socket = connect(server.address().port, "127.0.0.1");
        const timer = setTimeout(() => socket.destroy(), 1000);
        let answer = "";
        socket.write("GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n");
        socket.on("data", (chunk) => {
          answer += chunk;
          if (answer.startsWith("HTTP/1.1 200")) socket.destroy();
        });
        socket.on("error", () => {});
        socket.on("close", () => {
          clearTimeout(timer);
          resolve(answer.startsWith("HTTP/1.1 200"));
        });
      });
    await eventually("an answer", ask);
    server.close();
  },

  async metrics() {
    const figures = await eventually("figures of the node", async () => {
      const nodes = await new k8s.Metrics(config).getNodeMetrics().catch(() => undefined);
      return nodes?.items.length ? nodes : undefined;
    });
    assert.match(figures.items[0].usage.memory, /^\d+(Ki|Mi)?$/);
  },
};

const run = tests[process.argv[2]];
if (!run) throw new Error(`no test ${process.argv[2]}: one of ${Object.keys(tests).join(", ")}`);
await core.createNamespace({ body: { metadata: { name: namespace } } });
try {
  await run();
} finally {
  await core.deleteNamespace({ name: namespace });
}
process.exit(0);
