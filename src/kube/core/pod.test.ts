import { describe, expect, it } from "vitest";
import type { Pod } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { strategyFor } from "../strategies.ts";
import { create, update } from "../testing.ts";

const { Pod: kind } = resources;
const container = { name: "web", image: "nginx:1" };
const pod = (spec: object) => create(kind, { spec: { containers: [container], ...spec } });
const withContainer = (fields: object, spec: object = {}) =>
  pod({ ...spec, containers: [{ ...container, ...fields }] });

it("fills in everything that kubectl shows", () => {
  const probe = { httpGet: { port: 80 } };
  const { object } = create(kind, {
    spec: {
      containers: [
        {
          name: "web",
          image: "nginx",
          ports: [{ containerPort: 80 }],
          readinessProbe: probe,
          resources: { limits: { cpu: "1", memory: "1Gi" } },
          env: [{ name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } }],
        },
      ],
      volumes: [{ name: "a" }, { name: "b", configMap: { name: "c" } }],
    },
  });
  expect(object).toEqual({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "x", namespace: "default", generation: 1 },
    spec: {
      containers: [
        {
          name: "web",
          image: "nginx",
          imagePullPolicy: "Always",
          ports: [{ containerPort: 80, protocol: "TCP" }],
          readinessProbe: {
            httpGet: { port: 80, path: "/", scheme: "HTTP" },
            timeoutSeconds: 1,
            periodSeconds: 10,
            successThreshold: 1,
            failureThreshold: 3,
          },
          resources: { limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1", memory: "1Gi" } },
          env: [{ name: "IP", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "status.podIP" } } }],
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
        },
      ],
      volumes: [
        { name: "a", emptyDir: {} },
        { name: "b", configMap: { name: "c", defaultMode: 420 } },
      ],
      dnsPolicy: "ClusterFirst",
      enableServiceLinks: true,
      restartPolicy: "Always",
      schedulerName: "default-scheduler",
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    },
    status: { phase: "Pending", qosClass: "Guaranteed" },
  });
});

it.each([
  [{}, "BestEffort"],
  [{ requests: { cpu: "1" } }, "Burstable"],
  [{ limits: { cpu: "1", memory: "1" }, requests: { cpu: "1000m", memory: "1" } }, "Guaranteed"],
  [{ limits: { cpu: "1" } }, "Burstable"],
  [{ limits: { "example.com/gpu": "1" } }, "BestEffort"],
])("quality of service of %j is %s", (resourceFields, expected) => {
  expect((withContainer({ resources: resourceFields }).object as Pod).status?.qosClass).toBe(expected);
});

describe("validation", () => {
  it.each<[object, ...string[]]>([
    [{ containers: [] }, "spec.containers: Required value"],
    [{ containers: [{}] }, "spec.containers[0].name: Required value", "spec.containers[0].image: Required value"],
    [
      { containers: [{ name: "A", image: "a" }] },
      "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ],
    [{ containers: [container, container] }, 'spec.containers[1].name: Duplicate value: "web"'],
    [{ initContainers: [container] }, 'spec.initContainers[0].name: Duplicate value: "web"'],
    [
      { initContainers: [{ name: "i", image: "a", readinessProbe: { exec: { command: ["x"] } } }] },
      "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ],
    [
      { restartPolicy: "Sometimes" },
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [{ dnsPolicy: "None" }, "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    [
      { activeDeadlineSeconds: 0 },
      "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
    ],
    [
      {
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "a", emptyDir: {} },
        ],
      },
      'spec.volumes[1].name: Duplicate value: "a"',
    ],
    [
      { volumes: [{ name: "a", emptyDir: {}, secret: { secretName: "s" } }] },
      "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
    ],
    [{ volumes: [{ name: "a", configMap: {} }] }, "spec.volumes[0].configMap.name: Required value"],
    [
      { volumes: [{ name: "a", secret: { secretName: "s", items: [{ key: "k", path: "../x" }] } }] },
      "spec.volumes[0].secret.items[0].path: Invalid value: \"../x\": must not contain '..'",
    ],
    [
      { tolerations: [{ key: "a", operator: "Near" }] },
      'spec.tolerations[0].operator: Unsupported value: "Near": supported values: "Equal", "Exists"',
    ],
    [
      { schedulingGates: [{ name: "a" }], nodeName: "n" },
      "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ],
    [
      { securityContext: { runAsUser: -1 } },
      "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ],
    [
      { ephemeralContainers: [{ name: "d", image: "a" }] },
      "spec.ephemeralContainers: Forbidden: cannot be set on create",
    ],
    [
      { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: {} } } },
      "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node selector term",
    ],
  ])("%j", (spec, ...expected) => {
    expect(pod(spec).faults).toEqual(expected);
  });

  it.each<[object, ...string[]]>([
    [
      { image: " nginx" },
      'spec.containers[0].image: Invalid value: " nginx": must not have leading or trailing whitespace',
    ],
    [{ ports: [{}] }, "spec.containers[0].ports[0].containerPort: Required value"],
    [
      { ports: [{ containerPort: 70_000 }] },
      "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
    ],
    [
      {
        ports: [
          { containerPort: 80, name: "a" },
          { containerPort: 81, name: "a" },
        ],
      },
      'spec.containers[0].ports[1].name: Duplicate value: "a"',
    ],
    [
      {
        ports: [
          { containerPort: 80, hostPort: 80 },
          { containerPort: 81, hostPort: 80 },
        ],
      },
      'spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"',
    ],
    [{ env: [{ name: "" }] }, "spec.containers[0].env[0].name: Required value"],
    [
      { env: [{ name: "A=B" }] },
      "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
    ],
    [
      { env: [{ name: "A", value: "x", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] },
      'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ],
    [
      { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.foo" } } }] },
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: field label not supported: spec.foo',
    ],
    [{ volumeMounts: [{ name: "a", mountPath: "/a" }] }, 'spec.containers[0].volumeMounts[0].name: Not found: "a"'],
    [
      { resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } },
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [
      { resources: { limits: { cpu: "-1" } } },
      'spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
      'spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [{ livenessProbe: {} }, "spec.containers[0].livenessProbe: Required value: must specify a handler type"],
    [
      { livenessProbe: { exec: { command: ["a"] }, tcpSocket: { port: 80 } } },
      "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    ],
    [
      { livenessProbe: { tcpSocket: { port: 80 }, successThreshold: 2 } },
      "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ],
    [
      { readinessProbe: { tcpSocket: { port: 80 }, terminationGracePeriodSeconds: 5 } },
      "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
    ],
    [
      { livenessProbe: { httpGet: { port: 80, scheme: "FTP" } } },
      'spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
    ],
    [
      { lifecycle: { preStop: { sleep: { seconds: 60 } } } },
      "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than terminationGracePeriodSeconds (30)",
    ],
    [
      { imagePullPolicy: "Maybe" },
      'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", "Never"',
    ],
  ])("a container with %j", (fields, ...expected) => {
    expect(withContainer(fields).faults).toEqual(expected);
  });

  it("with the host's network a port is a port of the host", () => {
    const spec = { hostNetwork: true };
    expect(withContainer({ ports: [{ containerPort: 80 }] }, spec).faults).toEqual([]);
    expect(withContainer({ ports: [{ containerPort: 80, hostPort: 81 }] }, spec).faults).toEqual([
      "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
    ]);
  });
});

describe("update", () => {
  const tolerations = [{ key: "node.kubernetes.io/not-ready", operator: "Exists" }];
  const old = pod({ activeDeadlineSeconds: 100, tolerations }).object as Pod;
  const rest =
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

  it("may change image, deadline and labels, and add tolerations", () => {
    const { object, faults } = update(kind, old, (draft: Pod) => {
      draft.metadata.labels = { a: "b" };
      draft.spec.containers[0]!.image = "nginx:2";
      draft.spec.activeDeadlineSeconds = 50;
      draft.spec.tolerations?.push({ key: "a", operator: "Exists" });
    });
    expect(faults).toEqual([]);
    expect(object.metadata.generation).toBe(2);
  });

  it("does not raise the generation for labels", () => {
    const { object } = update(kind, old, (draft: Pod) => {
      draft.metadata.labels = { a: "b" };
    });
    expect(object.metadata.generation).toBe(1);
  });

  it.each<[string, (draft: Pod) => void, string]>([
    [
      "a container",
      (draft) => draft.spec.containers.push({ name: "b", image: "b" }),
      "spec.containers: Forbidden: pod updates may not add or remove containers",
    ],
    [
      "an environment variable",
      (draft) => {
        draft.spec.containers[0]!.env = [{ name: "A", value: "1" }];
      },
      `${rest}- spec.containers[0].env: null\n+ spec.containers[0].env: [{"name":"A","value":"1"}]\n`,
    ],
    [
      "a longer deadline",
      (draft) => {
        draft.spec.activeDeadlineSeconds = 200;
      },
      "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value",
    ],
    [
      "no deadline",
      (draft) => {
        delete draft.spec.activeDeadlineSeconds;
      },
      "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
    ],
    [
      "fewer tolerations",
      (draft) => {
        draft.spec.tolerations?.pop();
      },
      "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
    ],
  ])("may not have %s", (_, change, expected) => {
    expect(update(kind, old, change).faults).toEqual([expected]);
  });

  it("a binding sets the node", () => {
    const { faults } = update(
      kind,
      old,
      (draft: Pod) => {
        draft.spec.nodeName = "node-1";
      },
      { subresource: "binding" },
    );
    expect(faults).toEqual([]);
  });
});

describe("status", () => {
  const old = pod({}).object as Pod;
  const write = (status: object, before = old) =>
    update(
      kind,
      before,
      (draft: { status: object; spec: { nodeName?: string } }) => {
        draft.status = status;
        draft.spec.nodeName = "elsewhere";
      },
      { subresource: "status" },
    );

  it("is written apart from the spec, and keeps its class", () => {
    const { object, faults } = write({ phase: "Running", podIP: "10.42.0.5" });
    expect(faults).toEqual([]);
    expect((object as Pod).spec).toEqual(old.spec);
    expect((object as Pod).status).toEqual({
      phase: "Running",
      podIP: "10.42.0.5",
      podIPs: [{ ip: "10.42.0.5" }],
      qosClass: "BestEffort",
    });
  });

  it.each<[object, string]>([
    [{ qosClass: "Guaranteed" }, 'status.qosClass: Invalid value: "Guaranteed": field is immutable'],
    [
      { podIPs: [{ ip: "x" }] },
      'status.podIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      { hostIP: "10.0.0.1", hostIPs: [{ ip: "10.0.0.2" }] },
      'status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`',
    ],
    [
      { podIPs: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }] },
      'status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more than one IP for each IP family',
    ],
  ])("%j", (status, expected) => {
    expect(write(status).faults).toEqual([expected]);
  });
});

it("has the fields that can be selected by", () => {
  const strategy = strategyFor(kind);
  expect(strategy.selectableFields(pod({ nodeName: "n", serviceAccountName: "robot" }).object)).toMatchObject({
    "spec.nodeName": "n",
    "status.phase": "Pending",
    "spec.serviceAccountName": "robot",
  });
});

it.each([
  [{ nodeName: "n" }, undefined, 30],
  [{}, undefined, 0],
  [{ nodeName: "n", terminationGracePeriodSeconds: 5 }, undefined, 5],
  [{ nodeName: "n", terminationGracePeriodSeconds: -5 }, undefined, 1],
  [{ nodeName: "n" }, "Succeeded", 0],
])("a delete of %j in phase %s waits %i seconds", (spec, phase, expected) => {
  const object = pod(spec).object as Pod;
  if (phase) object.status = { phase };
  expect(strategyFor(kind).gracePeriodSeconds(object)).toBe(expected);
});

it("warns of what is hardly meant so", () => {
  const { object } = withContainer(
    {
      env: [{ name: "A" }, { name: "A" }],
      ports: [{ containerPort: 80 }, { containerPort: 80, name: "b" }],
      resources: { requests: { memory: "100m" } },
    },
    { terminationGracePeriodSeconds: -1 },
  );
  const at = "spec.containers[0]";
  expect(strategyFor(kind).warnings(object)).toEqual([
    `${at}.resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`,
    `${at}.env[1]: hides previous definition of "A", which may be dropped when using apply`,
    `${at}.ports[1]: duplicate port definition with ${at}.ports[0]`,
    "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
  ]);
});
