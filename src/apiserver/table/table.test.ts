import { describe, expect, test } from "vitest";
import { decode, resources, type KubeObject } from "../../kube/index.ts";
import { tableFor } from "./table.ts";

const now = Date.UTC(2030, 0, 1, 12);
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString().replace(".000", "");

type Kind = keyof typeof resources;

function tableOf(kind: Kind, body: object, metadata: object = {}) {
  const parent = kind === "IPAddress" ? { spec: { parentRef: { resource: "services", name: "web" } } } : {};
  const given = { metadata: { name: "one", creationTimestamp: ago(300), ...metadata }, ...parent, ...body };
  const { object } = decode<KubeObject>(resources[kind], given);
  return tableFor(resources[kind], [object], { now, includeObject: "None" });
}

const cellsOf = (kind: Kind, body: object, metadata?: object) => tableOf(kind, body, metadata).rows[0]?.cells;

describe("columns", () => {
  const headings = (kind: Kind) =>
    tableOf(kind, minimal[kind] ?? {}).columnDefinitions.map((one) =>
      one.priority === 0 ? one.name : `(${one.name})`,
    );

  const minimal: Partial<Record<Kind, object>> = {
    Event: { involvedObject: {} },
    EndpointSlice: { addressType: "IPv4", endpoints: [] },
    RoleBinding: { roleRef: { kind: "Role", name: "r" } },
    ClusterRoleBinding: { roleRef: { kind: "ClusterRole", name: "r" } },
  };

  test.each<[Kind, string]>([
    ["Pod", "Name Ready Status Restarts Age (IP) (Node) (Nominated Node) (Readiness Gates)"],
    ["Service", "Name Type Cluster-IP External-IP Port(s) Age (Selector)"],
    ["Deployment", "Name Ready Up-to-date Available Age (Containers) (Images) (Selector)"],
    ["ReplicaSet", "Name Desired Current Ready Age (Containers) (Images) (Selector)"],
    [
      "Node",
      "Name Status Roles Age Version (Internal-IP) (External-IP) (OS-Image) (Kernel-Version) (Container-Runtime)",
    ],
    ["Namespace", "Name Status Age"],
    ["ConfigMap", "Name Data Age"],
    ["Secret", "Name Type Data Age"],
    ["ServiceAccount", "Name Age"],
    ["Endpoints", "Name Endpoints Age"],
    ["EndpointSlice", "Name AddressType Ports Endpoints Age"],
    ["Lease", "Name Holder Age"],
    ["Ingress", "Name Class Hosts Address Ports Age"],
    ["IngressClass", "Name Controller Parameters Age"],
    ["Event", "Last Seen Type Reason Object (Subobject) (Source) Message (First Seen) (Count) (Name)"],
    ["Role", "Name Created At"],
    ["ClusterRole", "Name Created At"],
    ["StatefulSet", "Name Ready Age (Containers) (Images)"],
    ["DaemonSet", "Name Desired Current Ready Up-to-date Available Node Selector Age (Containers) (Images) (Selector)"],
    ["Job", "Name Status Completions Duration Age (Containers) (Images) (Selector)"],
    ["CronJob", "Name Schedule Timezone Suspend Active Last Schedule Age (Containers) (Images) (Selector)"],
    ["HorizontalPodAutoscaler", "Name Reference Targets MinPods MaxPods Replicas Age"],
    ["PodDisruptionBudget", "Name Min Available Max Unavailable Allowed Disruptions Age"],
    [
      "PersistentVolumeClaim",
      "Name Status Volume Capacity Access Modes StorageClass VolumeAttributesClass Age (VolumeMode)",
    ],
    ["NetworkPolicy", "Name Pod-Selector Age"],
    ["RoleBinding", "Name Role Age (Users) (Groups) (ServiceAccounts)"],
    ["ClusterRoleBinding", "Name Role Age (Users) (Groups) (ServiceAccounts)"],
  ])("of %s", (kind, expected) => {
    expect(headings(kind).join(" ")).toBe(expected);
    const table = tableOf(kind, minimal[kind] ?? {});
    expect(table.rows[0]?.cells).toHaveLength(table.columnDefinitions.length);
    expect(table.rows[0]?.cells).not.toContain(undefined);
    expect(table.columnDefinitions.filter((one) => one.format === "name")).toHaveLength(1);
  });

  test("every kind has a table", () => {
    for (const kind of Object.keys(resources) as Kind[]) {
      const { columnDefinitions, rows } = tableOf(kind, minimal[kind] ?? {});
      expect(rows[0]?.cells, kind).toHaveLength(columnDefinitions.length);
      expect(rows[0]?.cells, kind).not.toContain(undefined);
    }
  });
});

describe("rows of workloads", () => {
  test.each<[Kind, object, object, unknown[]]>([
    [
      "Job",
      { spec: { completions: 3 }, status: { startTime: ago(90), succeeded: 1 } },
      {},
      ["one", "Running", "1/3", "90s", "5m", "", "", "<none>"],
    ],
    [
      "HorizontalPodAutoscaler",
      {
        spec: {
          scaleTargetRef: { kind: "Deployment", name: "web" },
          minReplicas: 1,
          maxReplicas: 5,
          metrics: [{ type: "Resource", resource: { name: "cpu", target: { averageUtilization: 80 } } }],
        },
        status: {
          currentMetrics: [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: 7 } } }],
        },
      },
      {},
      ["one", "Deployment/web", "cpu: 7%/80%", "1", 5, 0, "5m"],
    ],
    ["IPAddress", {}, {}, ["one", "services/web", "5m"]],
    [
      "PersistentVolumeClaim",
      {
        spec: { volumeName: "v", storageClassName: "fast", volumeMode: "Filesystem" },
        status: { phase: "Bound", capacity: { storage: "1Gi" }, accessModes: ["ReadWriteOnce"] },
      },
      {},
      ["one", "Bound", "v", "1Gi", "RWO", "fast", "<unset>", "5m", "Filesystem"],
    ],
    [
      "ResourceQuota",
      { status: { hard: { pods: "5", "limits.cpu": "2" }, used: { pods: "1" } } },
      {},
      ["one", "pods: 1/5", "limits.cpu: 0/2", "5m"],
    ],
  ])("%s", (kind, body, metadata, cells) => {
    expect(cellsOf(kind, body, metadata)).toEqual(cells);
  });
});

describe("rows", () => {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", uid: "u" }, spec: { containers: [] } };

  test.each([
    ["None", null],
    ["Metadata", { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: { name: "p", uid: "u" } }],
    ["Object", pod],
  ] as const)("carry with %s what was asked for", (includeObject, expected) => {
    expect(tableFor(resources.Pod, [pod], { now, includeObject }).rows[0]?.object).toEqual(expected);
  });

  test("without objects the columns are there", () => {
    const table = tableFor(resources.Pod, [], { now, includeObject: "None" });
    expect(table).toMatchObject({ kind: "Table", apiVersion: "meta.k8s.io/v1", rows: [] });
    expect(table.columnDefinitions).toHaveLength(9);
  });

  test.each([
    ["Succeeded", [{ type: "Completed", status: "True", reason: "Succeeded" }]],
    ["Failed", [{ type: "Completed", status: "True", reason: "Failed" }]],
  ])("of a pod that is %s say so", (phase, conditions) => {
    expect(tableOf("Pod", { status: { phase } }).rows[0]).toMatchObject({ conditions });
    expect(tableOf("Pod", { status: { phase: "Running" } }).rows[0]).not.toHaveProperty("conditions");
  });
});

describe("Pod", () => {
  const two = { containers: [{ name: "a" }, { name: "b" }] };
  const running = { ready: true, restartCount: 0, state: { running: {} } };
  const state = (state: object, more: object = {}) => ({ name: "a", ready: false, restartCount: 0, state, ...more });
  const waiting = (reason: string) => state({ waiting: { reason } });
  const terminated = (end: object) => state({ terminated: { exitCode: 0, ...end } });
  const firstFive = (spec: object, status: object, metadata?: object) => {
    return cellsOf("Pod", { spec, status }, metadata)?.slice(1, 4).join(" ");
  };

  test.each<[string, object, object, string]>([
    ["not yet scheduled", two, { phase: "Pending" }, "0/2 Pending 0"],
    [
      "held back by a gate",
      two,
      { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }] },
      "0/2 SchedulingGated 0",
    ],
    ["running", two, { phase: "Running", containerStatuses: [running, running] }, "2/2 Running 0"],
    [
      "half ready",
      two,
      { phase: "Running", containerStatuses: [running, { ...running, ready: false }] },
      "1/2 Running 0",
    ],
    [
      "being created",
      two,
      { phase: "Pending", containerStatuses: [waiting("ContainerCreating"), waiting("ContainerCreating")] },
      "0/2 ContainerCreating 0",
    ],
    [
      "crashing",
      two,
      {
        phase: "Running",
        containerStatuses: [
          state(
            { waiting: { reason: "CrashLoopBackOff" } },
            { restartCount: 4, lastState: { terminated: { exitCode: 1, finishedAt: ago(125) } } },
          ),
          running,
        ],
      },
      "1/2 CrashLoopBackOff 4 (2m5s ago)",
    ],
    [
      "restarted, without knowing when",
      two,
      { phase: "Running", containerStatuses: [{ ...running, restartCount: 2 }, running] },
      "2/2 Running 2",
    ],
    ["without its image", two, { containerStatuses: [waiting("ImagePullBackOff")] }, "0/2 ImagePullBackOff 0"],
    ["done", two, { phase: "Succeeded", containerStatuses: [terminated({ reason: "Completed" })] }, "0/2 Completed 0"],
    [
      "failed",
      two,
      { phase: "Failed", containerStatuses: [terminated({ reason: "Error", exitCode: 1 })] },
      "0/2 Error 0",
    ],
    ["ended by a code", two, { containerStatuses: [terminated({ exitCode: 3 })] }, "0/2 ExitCode:3 0"],
    ["ended by a signal", two, { containerStatuses: [terminated({ exitCode: 137, signal: 9 })] }, "0/2 Signal:9 0"],
    ["evicted", two, { phase: "Failed", reason: "Evicted" }, "0/2 Evicted 0"],
    [
      "half done and not ready",
      two,
      { phase: "Running", containerStatuses: [terminated({ reason: "Completed" }), running] },
      "1/2 NotReady 0",
    ],
    [
      "half done and ready",
      two,
      {
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
        containerStatuses: [terminated({ reason: "Completed" }), running],
      },
      "1/2 Running 0",
    ],
  ])("%s", (_, spec, status, expected) => {
    expect(firstFive(spec, status)).toBe(expected);
  });

  const withInit = { containers: [{ name: "a" }], initContainers: [{ name: "i" }, { name: "j" }] };
  const blocked = [waiting("PodInitializing")];
  const init = (...statuses: object[]) => ({
    phase: "Pending",
    initContainerStatuses: statuses.map((status, i) => ({ ...status, name: i === 0 ? "i" : "j" })),
    containerStatuses: blocked,
  });

  test.each<[string, object, string]>([
    ["the first runs", init(state({ running: {} }), waiting("PodInitializing")), "0/1 Init:0/2 0"],
    ["the second runs", init(terminated({}), state({ running: {} })), "0/1 Init:1/2 0"],
    ["the first fails", init(terminated({ exitCode: 1, reason: "Error" })), "0/1 Init:Error 0"],
    ["the first ends by a code", init(terminated({ exitCode: 2 })), "0/1 Init:ExitCode:2 0"],
    ["the first ends by a signal", init(terminated({ exitCode: 137, signal: 9 })), "0/1 Init:Signal:9 0"],
    [
      "the first crashes",
      init(
        state(
          { waiting: { reason: "CrashLoopBackOff" } },
          { restartCount: 3, lastState: { terminated: { finishedAt: ago(30) } } },
        ),
      ),
      "0/1 Init:CrashLoopBackOff 3 (30s ago)",
    ],
    ["both are through", init(terminated({}), terminated({})), "0/1 PodInitializing 0"],
    [
      "restarts of init containers do not count any more",
      { ...init({ ...terminated({}), restartCount: 5 }), containerStatuses: [running] },
      "1/1 Pending 0",
    ],
  ])("init containers: %s", (_, status, expected) => {
    expect(firstFive(withInit, status)).toBe(expected);
  });

  test("a sidecar counts as a container, and so do its restarts", () => {
    const spec = { containers: [{ name: "a" }], initContainers: [{ name: "s", restartPolicy: "Always" }] };
    const sidecar = { ...running, name: "s", started: true, restartCount: 1 };
    const status = { phase: "Running", initContainerStatuses: [sidecar], containerStatuses: [running] };
    expect(firstFive(spec, status)).toBe("2/2 Running 1");
    const starting = { ...status, initContainerStatuses: [{ ...sidecar, started: false, ready: false }] };
    expect(firstFive(spec, { ...starting, containerStatuses: blocked })).toBe("0/2 Init:0/1 1");
  });

  test.each<[object, string]>([
    [{ phase: "Running" }, "Terminating"],
    [{ phase: "Succeeded" }, "Succeeded"],
    [{ phase: "Running", reason: "NodeLost" }, "Unknown"],
  ])("that is being deleted in %j is %s", (status, expected) => {
    expect(cellsOf("Pod", { spec: two, status }, { deletionTimestamp: ago(1) })?.[2]).toBe(expected);
  });

  test("wide", () => {
    const status = {
      phase: "Running",
      podIPs: [{ ip: "10.42.0.7" }],
      conditions: [{ type: "example.com/one", status: "True" }],
    };
    const gates = [{ conditionType: "example.com/one" }, { conditionType: "example.com/two" }];
    const spec = { ...two, nodeName: "node-1", readinessGates: gates };
    expect(cellsOf("Pod", { spec, status })?.slice(4)).toEqual(["5m", "10.42.0.7", "node-1", "<none>", "1/2"]);
    expect(cellsOf("Pod", { spec: two })?.slice(4)).toEqual(["5m", "<none>", "<none>", "<none>", "<none>"]);
  });
});

describe("Service", () => {
  const port = { port: 80, protocol: "TCP" };
  test.each<[string, object, object, (string | number)[]]>([
    [
      "ClusterIP",
      {
        type: "ClusterIP",
        clusterIPs: ["10.96.1.1"],
        ports: [port, { port: 53, protocol: "UDP" }],
        selector: { b: "2", a: "1" },
      },
      {},
      ["ClusterIP", "10.96.1.1", "<none>", "80/TCP,53/UDP", "5m", "a=1,b=2"],
    ],
    [
      "headless without ports",
      { type: "ClusterIP", clusterIPs: ["None"] },
      {},
      ["ClusterIP", "None", "<none>", "<none>", "5m", "<none>"],
    ],
    [
      "NodePort with external addresses",
      {
        type: "NodePort",
        clusterIPs: ["10.96.1.2"],
        externalIPs: ["192.0.2.1", "192.0.2.2"],
        ports: [{ ...port, nodePort: 30080 }],
      },
      {},
      ["NodePort", "10.96.1.2", "192.0.2.1,192.0.2.2", "80:30080/TCP", "5m", "<none>"],
    ],
    [
      "LoadBalancer that waits",
      { type: "LoadBalancer", clusterIPs: ["10.96.1.3"], ports: [port] },
      {},
      ["LoadBalancer", "10.96.1.3", "<pending>", "80/TCP", "5m", "<none>"],
    ],
    [
      "LoadBalancer with addresses, not cut short",
      { type: "LoadBalancer", clusterIPs: ["10.96.1.3"], ports: [port], externalIPs: ["192.0.2.1"] },
      { loadBalancer: { ingress: [{ ip: "10.97.0.2" }, { hostname: "lb.example.com" }, { ip: "10.97.0.1" }] } },
      ["LoadBalancer", "10.96.1.3", "10.97.0.1,10.97.0.2,lb.example.com,192.0.2.1", "80/TCP", "5m", "<none>"],
    ],
    [
      "ExternalName",
      { type: "ExternalName", externalName: "example.com" },
      {},
      ["ExternalName", "<none>", "example.com", "<none>", "5m", "<none>"],
    ],
  ])("%s", (_, spec, status, expected) => {
    expect(cellsOf("Service", { spec, status })).toEqual(["one", ...expected]);
  });
});

describe("the other kinds", () => {
  const template = {
    spec: {
      containers: [
        { name: "a", image: "x:1" },
        { name: "b", image: "y:2" },
      ],
    },
  };
  const addresses = (...ips: string[]) => ips.map((ip) => ({ ip }));

  test.each<[Kind, object, (string | number)[]]>([
    [
      "Deployment",
      {
        spec: {
          replicas: 3,
          template,
          selector: {
            matchLabels: { app: "web" },
            matchExpressions: [
              { key: "tier", operator: "In", values: ["front", "edge"] },
              { key: "aged", operator: "DoesNotExist" },
              { key: "zone", operator: "NotIn", values: ["z"] },
              { key: "kept", operator: "Exists" },
            ],
          },
        },
        status: { readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2 },
      },
      ["one", "2/3", 1, 2, "5m", "a,b", "x:1,y:2", "!aged,app=web,kept,tier in (edge,front),zone notin (z)"],
    ],
    [
      "ReplicaSet",
      { spec: { replicas: 3, template, selector: {} }, status: { replicas: 2, readyReplicas: 1 } },
      ["one", 3, 2, 1, "5m", "a,b", "x:1,y:2", "<none>"],
    ],
    ["Namespace", { status: { phase: "Active" } }, ["one", "Active", "5m"]],
    ["ConfigMap", { data: { a: "1", b: "2" }, binaryData: { c: "Mw==" } }, ["one", 3, "5m"]],
    ["Secret", { type: "Opaque", data: { a: "MQ==" } }, ["one", "Opaque", 1, "5m"]],
    ["ServiceAccount", {}, ["one", "5m"]],
    ["Lease", { spec: { holderIdentity: "node-1" } }, ["one", "node-1", "5m"]],
    ["Endpoints", { subsets: [] }, ["one", "<none>", "5m"]],
    [
      "Endpoints",
      { subsets: [{ addresses: addresses("10.0.0.1", "10.0.0.2"), ports: [{ port: 80 }, { port: 443 }] }] },
      ["one", "10.0.0.1:80,10.0.0.2:80,10.0.0.1:443 + 1 more...", "5m"],
    ],
    [
      "Endpoints",
      { subsets: [{ addresses: addresses("fd00::1"), ports: [{ port: 80 }] }] },
      ["one", "[fd00::1]:80", "5m"],
    ],
    ["Endpoints", { subsets: [{ addresses: addresses("10.0.0.1") }] }, ["one", "10.0.0.1", "5m"]],
    ["EndpointSlice", { addressType: "IPv4", endpoints: [] }, ["one", "IPv4", "<unset>", "<unset>", "5m"]],
    [
      "EndpointSlice",
      {
        addressType: "IPv4",
        ports: [{ port: 80 }, { name: "any" }, {}, { port: 81 }],
        endpoints: [{ addresses: ["10.0.0.1"] }, { addresses: ["10.0.0.2"] }],
      },
      ["one", "IPv4", "80,any,* + 1 more...", "10.0.0.1,10.0.0.2", "5m"],
    ],
    ["Ingress", { spec: {} }, ["one", "<none>", "*", "", "80", "5m"]],
    [
      "Ingress",
      {
        spec: { ingressClassName: "fairlead", tls: [{}], rules: ["a", "b", "c", "d"].map((host) => ({ host })) },
        status: { loadBalancer: { ingress: [{ ip: "10.97.0.1" }] } },
      },
      ["one", "fairlead", "a,b,c + 1 more...", "10.97.0.1", "80, 443", "5m"],
    ],
    [
      "IngressClass",
      {
        spec: {
          controller: "fairlead.dev/ingress",
          parameters: { apiGroup: "example.com", kind: "Settings", name: "s" },
        },
      },
      ["one", "fairlead.dev/ingress", "Settings.example.com/s", "5m"],
    ],
    ["Role", {}, ["one", ago(300)]],
    [
      "ClusterRoleBinding",
      {
        roleRef: { kind: "ClusterRole", name: "admin" },
        subjects: [
          { kind: "User", name: "ann" },
          { kind: "User", name: "bob" },
          { kind: "Group", name: "ops" },
          { kind: "ServiceAccount", namespace: "ns", name: "sa" },
        ],
      },
      ["one", "ClusterRole/admin", "5m", "ann, bob", "ops", "ns/sa"],
    ],
  ])("%s", (kind, body, expected) => {
    expect(cellsOf(kind, body)).toEqual(expected);
  });

  test("the default IngressClass is marked", () => {
    const annotations = { "ingressclass.kubernetes.io/is-default-class": "true" };
    expect(cellsOf("IngressClass", {}, { annotations })?.[0]).toBe("one (default)");
  });

  test("Node", () => {
    const status = {
      conditions: [{ type: "Ready", status: "True" }],
      addresses: [
        { type: "Hostname", address: "n" },
        { type: "InternalIP", address: "10.41.0.1" },
      ],
      nodeInfo: {
        kubeletVersion: "v1.35.0",
        osImage: "Debian",
        kernelVersion: "6.18",
        containerRuntimeVersion: "process://1",
      },
    };
    const labels = {
      "node-role.kubernetes.io/worker": "",
      "node-role.kubernetes.io/control-plane": "",
      "kubernetes.io/role": "",
    };
    expect(cellsOf("Node", { status }, { labels })).toEqual([
      "one",
      "Ready",
      "control-plane,worker",
      "5m",
      "v1.35.0",
      "10.41.0.1",
      "<none>",
      "Debian",
      "6.18",
      "process://1",
    ]);
    const notReady = { spec: { unschedulable: true }, status: { conditions: [{ type: "Ready", status: "Unknown" }] } };
    expect(cellsOf("Node", notReady)?.slice(1, 3)).toEqual(["NotReady,SchedulingDisabled", "<none>"]);
    expect(cellsOf("Node", {})?.slice(1)).toEqual([
      "Unknown",
      "<none>",
      "5m",
      "",
      "<none>",
      "<none>",
      "<unknown>",
      "<unknown>",
      "<unknown>",
    ]);
  });

  test("APIService: local, and answered by a Service", () => {
    expect(cellsOf("APIService", { spec: {} })?.slice(1)).toEqual(["Local", "Unknown", "5m"]);
    const conditions = [{ type: "Available", status: "False", reason: "MissingEndpoints" }];
    const spec = { service: { namespace: "kube-system", name: "metrics" } };
    expect(cellsOf("APIService", { spec, status: { conditions } })?.slice(1, 3)).toEqual([
      "kube-system/metrics",
      "False (MissingEndpoints)",
    ]);
  });

  describe("Event", () => {
    const base = { type: "Normal", reason: "Started", message: " it started\n" };
    const about = { involvedObject: { kind: "Pod", name: "p", fieldPath: "spec.containers{a}" } };

    test("of core/v1", () => {
      const source = { component: "kubelet", host: "node-1" };
      const times = { firstTimestamp: ago(600), lastTimestamp: ago(60), count: 3 };
      expect(cellsOf("Event", { ...base, ...about, source, ...times })).toEqual([
        "60s",
        "Normal",
        "Started",
        "pod/p",
        "spec.containers{a}",
        "kubelet, node-1",
        "it started",
        "10m",
        3,
        "one",
      ]);
    });

    test("of events.k8s.io, single and in a series", () => {
      const event = { ...base, ...about, eventTime: ago(600), reportingComponent: "scheduler" };
      const single = cellsOf("Event", event);
      expect([single?.[0], single?.[5], single?.[7], single?.[8]]).toEqual(["10m", "scheduler", "10m", 1]);
      const series = cellsOf("Event", { ...event, series: { count: 9, lastObservedTime: ago(5) } });
      expect([series?.[0], series?.[7], series?.[8]]).toEqual(["5s", "10m", 9]);
    });

    test("without an object's name", () => {
      expect(cellsOf("Event", { ...base, involvedObject: { kind: "Node" } })?.[3]).toBe("node");
    });
  });
});
