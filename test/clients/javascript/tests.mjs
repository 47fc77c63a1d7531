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
      // How the client tells of its own stop().
      if (error?.name !== "AbortError") throw error;
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

  async "watch with bookmarks"() {
    const seen = [];
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const query = { allowWatchBookmarks: true, sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" };
    let ended;
    const controller = await new k8s.Watch(config).watch(
      path,
      query,
      (type, object) => seen.push([type, object.metadata?.annotations?.["k8s.io/initial-events-end"]]),
      (error) => (ended = error ?? "ended"),
    );
    await eventually("the bookmark after what is there", () => seen.some(([, end]) => end === "true"));
    controller.abort();
    await eventually("its end", () => ended !== undefined);
  },

  async "custom resources"() {
    const group = `${namespace}.example.com`;
    const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
    const name = `things.${group}`;
    const schema = {
      type: "object",
      properties: { spec: { type: "object", properties: { size: { type: "integer" } } } },
    };
    await extensions.createCustomResourceDefinition({
      body: {
        metadata: { name },
        spec: {
          group,
          scope: "Namespaced",
          names: { plural: "things", singular: "thing", kind: "Thing" },
          versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }],
        },
      },
    });
    try {
      const custom = config.makeApiClient(k8s.CustomObjectsApi);
      const where = { group, version: "v1", namespace, plural: "things" };
      const body = { apiVersion: `${group}/v1`, kind: "Thing", metadata: { name: "a" }, spec: { size: 3 } };
      await eventually("it is served", () =>
        custom.listNamespacedCustomObject(where).then(
          () => true,
          () => false,
        ),
      );
      await custom.createNamespacedCustomObject({ ...where, body });
      const bad = { ...body, metadata: { name: "b" }, spec: { size: "big" } };
      await assert.rejects(custom.createNamespacedCustomObject({ ...where, body: bad }), { code: 422 });
      const patched = await custom.patchNamespacedCustomObject(
        { ...where, name: "a", body: [{ op: "replace", path: "/spec/size", value: 4 }] },
        k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.JsonPatch),
      );
      assert.equal(patched.spec.size, 4);
    } finally {
      await extensions.deleteCustomResourceDefinition({ name });
    }
  },

  async "patch types"() {
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "p" }, data: { a: "1", b: "2" } } });
    const patch = (body, strategy, more = {}) =>
      core.patchNamespacedConfigMap(
        { namespace, name: "p", body, ...more },
        k8s.setHeaderOptions("Content-Type", strategy),
      );
    const { JsonPatch, MergePatch, StrategicMergePatch, ServerSideApply } = k8s.PatchStrategy;
    assert.deepEqual((await patch([{ op: "remove", path: "/data/a" }], JsonPatch)).data, { b: "2" });
    assert.deepEqual((await patch({ data: { b: null, c: "3" } }, MergePatch)).data, { c: "3" });
    assert.deepEqual((await patch({ data: { d: "4" } }, StrategicMergePatch)).data, { c: "3", d: "4" });
    const applied = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "p" }, data: { c: "5" } };
    await assert.rejects(patch(applied, ServerSideApply, { fieldManager: "node" }), { code: 409 });
    const forced = await patch(applied, ServerSideApply, { fieldManager: "node", force: true });
    assert.equal(forced.data?.c, "5");
    await assert.rejects(patch([{ op: "test", path: "/data/c", value: "0" }], JsonPatch), { code: 422 });
  },

  async pages() {
    for (let n = 0; n < 12; n++)
      await core.createNamespacedConfigMap({
        namespace,
        body: { metadata: { name: `page-${n}`, labels: { p: "1" } } },
      });
    let [names, _continue] = [[], undefined];
    do {
      const page = await core.listNamespacedConfigMap({ namespace, labelSelector: "p=1", limit: 5, _continue });
      names = [...names, ...page.items.map(({ metadata }) => metadata.name)];
      _continue = page.metadata?._continue;
    } while (_continue);
    assert.equal(new Set(names).size, 12);
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: "p=1" });
    assert.equal((await core.listNamespacedConfigMap({ namespace, labelSelector: "p=1" })).items.length, 0);
  },

  async impersonation() {
    const eva = new k8s.KubeConfig();
    eva.loadFromString(config.exportConfig());
    const users = eva.users.map((user) => ({ ...user, impersonateUser: "eva" }));
    const { clusters, contexts, currentContext } = eva;
    eva.loadFromOptions({ clusters, contexts, currentContext, users });
    const asked = eva.makeApiClient(k8s.AuthenticationV1Api).createSelfSubjectReview({ body: {} });
    assert.equal((await asked).status?.userInfo?.username, "eva");
    await assert.rejects(eva.makeApiClient(k8s.CoreV1Api).listNamespacedSecret({ namespace }), { code: 403 });
  },

  async tokens() {
    await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: "robot" } } });
    const made = await core.createNamespacedServiceAccountToken({
      namespace,
      name: "robot",
      body: { spec: { audiences: [], expirationSeconds: 600 } },
    });
    const robot = new k8s.KubeConfig();
    robot.loadFromClusterAndUser(config.getCurrentCluster(), { name: "robot", token: made.status.token });
    const review = await robot.makeApiClient(k8s.AuthenticationV1Api).createSelfSubjectReview({ body: {} });
    assert.equal(review.status?.userInfo?.username, `system:serviceaccount:${namespace}:robot`);
    await assert.rejects(robot.makeApiClient(k8s.CoreV1Api).listNamespacedPod({ namespace }), { code: 403 });
  },

  async "deployment and scale"() {
    const apps = config.makeApiClient(k8s.AppsV1Api);
    const labels = { app: "web" };
    const spec = {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "echo", image: "fairlead.dev/echo" }] } },
    };
    await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: "web" }, spec } });
    const ready = async () => (await apps.readNamespacedDeploymentStatus({ namespace, name: "web" })).status;
    await eventually("one is ready", async () => (await ready())?.readyReplicas === 1);
    const scale = await apps.readNamespacedDeploymentScale({ namespace, name: "web" });
    scale.spec.replicas = 0;
    await apps.replaceNamespacedDeploymentScale({ namespace, name: "web", body: scale });
    await eventually("none is left", async () => !(await ready())?.replicas);
  },

  async "exec with a terminal"() {
    await runPod();
    const [out, input] = [new PassThrough(), new PassThrough()];
    let text = "";
    out.on("data", (chunk) => (text += chunk));
    const socket = await new k8s.Exec(config).exec(namespace, "echo", "echo", ["sh"], out, null, input, true);
    input.write("test -t 0 && echo terminal-$((1 + 1)); exit\n");
    await eventually("the shell answers", () => text.includes("terminal-2"));
    socket.close();
  },

  async discovery() {
    const version = await config.makeApiClient(k8s.VersionApi).getCode();
    assert.match(version.gitVersion, /^v1\.\d+/);
    const groups = await config.makeApiClient(k8s.ApisApi).getAPIVersions();
    assert.ok(groups.groups.some(({ name }) => name === "gateway.networking.k8s.io"));
    const resources = await core.getAPIResources();
    assert.ok(resources.resources.some(({ name }) => name === "pods/exec"));
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
