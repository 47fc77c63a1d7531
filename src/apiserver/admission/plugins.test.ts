import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { UserInfo } from "../handler.ts";
import { mergePatch, startTestApi, type TestApi, type TestAnswer } from "../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const pods = "/api/v1/namespaces/default/pods";
const spec = (more: object = {}, container: object = {}): object => ({
  containers: [{ name: "c", image: "i", ...container }],
  ...more,
});
const createPod = (name: string, more: object = {}, container: object = {}, url = pods): Promise<TestAnswer> =>
  api.call("POST", url, { metadata: { name }, spec: spec(more, container) });
const create = async (url: string, body: object): Promise<TestAnswer> => {
  const answer = await api.call("POST", url, body);
  expect(answer.status, answer.text).toBe(201);
  return answer;
};
const message = ({ status, body }: TestAnswer): [number, string] => [status, body.message];

describe("the account of a pod", () => {
  test("is default, with a token in each container", async () => {
    const { body } = await createPod("p", { initContainers: [{ name: "i", image: "i" }] });
    expect(body.spec.serviceAccountName).toBe("default");
    const [volume] = body.spec.volumes;
    expect(volume.name).toMatch(/^kube-api-access-[a-z0-9]{5}$/);
    const mount = { mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", name: volume.name, readOnly: true };
    expect(body.spec.containers[0].volumeMounts).toEqual([mount]);
    expect(body.spec.initContainers[0].volumeMounts).toEqual([mount]);
    expect(volume.projected).toEqual({
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        {
          downwardAPI: {
            items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
          },
        },
      ],
    });
  });

  test("default is made when it is not there yet, but not by a dry run", async () => {
    const account = "/api/v1/namespaces/default/serviceaccounts/default";
    expect((await createPod("p", {}, {}, `${pods}?dryRun=All`)).body.spec.serviceAccountName).toBe("default");
    expect((await api.call("GET", account)).status).toBe(404);
    await createPod("p");
    expect((await api.call("GET", account)).status).toBe(200);
  });

  test("must exist", async () => {
    expect(message(await createPod("p", { serviceAccountName: "robot" }))).toEqual([
      403,
      'pods "p" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found',
    ]);
  });

  test("gives its secrets to pull images, and no token when it or the pod say so", async () => {
    await create("/api/v1/namespaces/default/serviceaccounts", {
      metadata: { name: "robot" },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: "registry" }],
    });
    const robot = await createPod("p", { serviceAccountName: "robot" });
    expect(robot.body.spec.volumes).toBeUndefined();
    expect(robot.body.spec.imagePullSecrets).toEqual([{ name: "registry" }]);
    const wants = await createPod("q", { serviceAccountName: "robot", automountServiceAccountToken: true });
    expect(wants.body.spec.volumes).toHaveLength(1);
    const own = { volumeMounts: [{ name: "v", mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }] };
    const has = await createPod("r", { volumes: [{ name: "v", emptyDir: {} }] }, own);
    expect(has.body.spec.volumes.map(({ name }: { name: string }) => name)).toEqual(["v"]);
  });

  test("lets only its own secrets be mounted, if it says so", async () => {
    await create("/api/v1/namespaces/default/serviceaccounts", {
      metadata: { name: "robot", annotations: { "kubernetes.io/enforce-mountable-secrets": "true" } },
      secrets: [{ name: "mine" }],
    });
    const volumes = [{ name: "v", secret: { secretName: "yours" } }];
    expect(message(await createPod("p", { serviceAccountName: "robot", volumes }))).toEqual([
      403,
      'pods "p" is forbidden: volume with secret.secretName="yours" is not allowed because service account robot does not reference that secret',
    ]);
  });
});

describe("a pod", () => {
  test("bears a lost node for five minutes, unless it says otherwise", async () => {
    const { body } = await createPod("p");
    expect(body.spec.tolerations).toEqual(
      ["not-ready", "unreachable"].map((name) => ({
        key: `node.kubernetes.io/${name}`,
        operator: "Exists",
        effect: "NoExecute",
        tolerationSeconds: 300,
      })),
    );
    const all = [{ operator: "Exists" }];
    expect((await createPod("q", { tolerations: all })).body.spec.tolerations).toEqual(all);
  });

  test("has the priority of its class, or of the default one", async () => {
    const classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    await create(classes, { metadata: { name: "high" }, value: 1000, preemptionPolicy: "Never" });
    const { body } = await createPod("a", { priorityClassName: "high" });
    expect([body.spec.priority, body.spec.preemptionPolicy]).toEqual([1000, "Never"]);
    expect((await createPod("b")).body.spec.priority).toBe(0);
    await create(classes, { metadata: { name: "usual" }, value: 7, globalDefault: true });
    const usual = await createPod("c");
    expect([usual.body.spec.priorityClassName, usual.body.spec.priority]).toEqual(["usual", 7]);
    expect(message(await createPod("d", { priorityClassName: "none" }))).toEqual([
      403,
      'pods "d" is forbidden: no PriorityClass with name none was found',
    ]);
    expect((await createPod("e", { priority: 8 })).body.message).toContain(
      "the integer value of priority (8) must not be provided in pod spec",
    );
    const second = await api.call("POST", classes, { metadata: { name: "other" }, value: 8, globalDefault: true });
    expect(second.body.message).toContain(
      "PriorityClass usual is already marked as default. Only one default can exist",
    );
    expect(
      (await createPod("f", { priorityClassName: "system-node-critical" }, {}, "/api/v1/namespaces/kube-system/pods"))
        .body.spec.priority,
    ).toBe(2_000_001_000);
  });

  test("takes over what its runtime class says", async () => {
    await create("/apis/node.k8s.io/v1/runtimeclasses", {
      metadata: { name: "vm" },
      handler: "vm",
      overhead: { podFixed: { cpu: "100m" } },
      scheduling: { nodeSelector: { vm: "yes" } },
    });
    const { body } = await createPod("p", { runtimeClassName: "vm" });
    expect([body.spec.overhead, body.spec.nodeSelector]).toEqual([{ cpu: "100m" }, { vm: "yes" }]);
    expect(message(await createPod("q", { runtimeClassName: "none" }))[1]).toBe(
      'pods "q" is forbidden: pod rejected: RuntimeClass "none" not found',
    );
  });
});

describe("limit ranges", () => {
  const ranges = "/api/v1/namespaces/default/limitranges";
  const range = (...limits: object[]): Promise<TestAnswer> =>
    create(ranges, { metadata: { name: "l" }, spec: { limits } });

  test("give what containers do not say", async () => {
    await range({ type: "Container", default: { cpu: "2" }, defaultRequest: { cpu: "1", memory: "1Gi" } });
    const { body } = await createPod("p", {}, { resources: { limits: { memory: "2Gi" } } });
    expect(body.spec.containers[0].resources).toEqual({
      limits: { cpu: "2", memory: "2Gi" },
      requests: { cpu: "1", memory: "2Gi" },
    });
    expect(body.metadata.annotations["kubernetes.io/limit-ranger"]).toBe(
      "LimitRanger plugin set: cpu request for container c; cpu limit for container c",
    );
  });

  test.each<[string, object, object]>([
    [
      "minimum cpu usage per Container is 100m, but request is 50m",
      { type: "Container", min: { cpu: "100m" } },
      { requests: { cpu: "50m" } },
    ],
    [
      "minimum cpu usage per Pod is 100m.  No request is specified",
      { type: "Pod", min: { cpu: "100m" } },
      { requests: { memory: "1" } },
    ],
    [
      "maximum cpu usage per Container is 1, but limit is 2",
      { type: "Container", max: { cpu: "1" } },
      { limits: { cpu: "2" } },
    ],
    [
      "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
      { type: "Pod", max: { memory: "1Gi" } },
      { limits: { memory: "2Gi" } },
    ],
    [
      "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
      { type: "Container", maxLimitRequestRatio: { cpu: "2" } },
      { requests: { cpu: "1" }, limits: { cpu: "4" } },
    ],
  ])("say: %s", async (text, limit, own) => {
    await range(limit);
    // The range's own defaults would hide what is not said.
    const { status, body } = await createPod("p", {}, { resources: own });
    expect([status, body.message]).toEqual([403, `pods "p" is forbidden: ${text}`]);
  });

  test("bound claims", async () => {
    await range({ type: "PersistentVolumeClaim", min: { storage: "1Gi" }, max: { storage: "5Gi" } });
    const claim = (storage: string): Promise<TestAnswer> =>
      api.call("POST", "/api/v1/namespaces/default/persistentvolumeclaims", {
        metadata: { name: "c" },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
      });
    expect(message(await claim("6Gi"))[1]).toBe(
      'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi',
    );
    expect((await claim("2Gi")).status).toBe(201);
  });
});

test("a claim without a class gets the default one", async () => {
  const annotations = { "storageclass.kubernetes.io/is-default-class": "true" };
  await create("/apis/storage.k8s.io/v1/storageclasses", { metadata: { name: "fast", annotations }, provisioner: "p" });
  const { body } = await create("/api/v1/namespaces/default/persistentvolumeclaims", {
    metadata: { name: "c" },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
  });
  expect(body.spec.storageClassName).toBe("fast");
  expect(body.metadata.finalizers).toEqual(["kubernetes.io/pvc-protection"]);
  const grown = { spec: { resources: { requests: { storage: "2Gi" } } } };
  const answer = await api.call("PATCH", "/api/v1/namespaces/default/persistentvolumeclaims/c", grown, mergePatch);
  expect(answer.status).not.toBe(200);
});

describe("a namespace", () => {
  test("that every cluster has is not deleted; one that goes takes nothing in", async () => {
    expect(message(await api.call("DELETE", "/api/v1/namespaces/default"))).toEqual([
      403,
      'namespaces "default" is forbidden: this namespace may not be deleted',
    ]);
    expect(message(await createPod("p", {}, {}, "/api/v1/namespaces/none/pods"))).toEqual([
      404,
      'namespaces "none" not found',
    ]);
    await create("/api/v1/namespaces", { metadata: { name: "going" } });
    await api.call("DELETE", "/api/v1/namespaces/going");
    const { status, body } = await createPod("p", {}, {}, "/api/v1/namespaces/going/pods");
    expect([status, body.message]).toEqual([
      403,
      'pods "p" is forbidden: unable to create new content in namespace going because it is being terminated',
    ]);
    expect(body.details.causes[0].reason).toBe("NamespaceTerminating");
  });
});

describe("a kubelet", () => {
  const user: UserInfo = { name: "system:node:n1", groups: ["system:nodes", "system:authenticated", "system:masters"] };
  const label = (name: string, key: string): Promise<TestAnswer> =>
    api.call("PATCH", `/api/v1/nodes/${name}`, { metadata: { labels: { [key]: "x" } } }, { user, ...mergePatch });

  test("changes only its own node, and not what others rely on", async () => {
    for (const name of ["n1", "n2"]) await create("/api/v1/nodes", { metadata: { name } });
    expect((await label("n1", "topology.kubernetes.io/zone")).status).toBe(200);
    expect(message(await label("n2", "a"))).toEqual([
      403,
      'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    ]);
    expect(message(await label("n1", "node-restriction.kubernetes.io/team"))[1]).toBe(
      'nodes "n1" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/team',
    );
  });

  test("deletes only its own pods, and makes none", async () => {
    await createPod("p", { nodeName: "n2" });
    expect(message(await api.call("DELETE", `${pods}/p`, undefined, { user }))[1]).toBe(
      'pods "p" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself',
    );
    const made = await api.call("POST", pods, { metadata: { name: "q" }, spec: spec({ nodeName: "n1" }) }, { user });
    expect(message(made)[1]).toContain('node "n1" can only create mirror pods');
  });
});

test("a new node takes no pods before it is ready", async () => {
  const { body } = await create("/api/v1/nodes", { metadata: { name: "n" } });
  expect(body.spec.taints).toEqual([{ key: "node.kubernetes.io/not-ready", effect: "NoSchedule" }]);
});
