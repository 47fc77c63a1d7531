import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resources } from "../../src/kube/index.ts";
import { buildPrograms } from "./built.ts";
import { isReady, startTestNode, type TestNode } from "./cluster.ts";
import { kubeletGet } from "./https.ts";

const sh = (script: string): { image: string; command: string[] } => ({ image: "sh", command: ["sh", "-c", script] });

describe("pods as processes on loopback addresses", () => {
  const programs = buildPrograms();
  let node: TestNode;

  beforeAll(async () => {
    node = await startTestNode({ programs, podCIDR: "127.42.9.0/24" });
  });
  afterAll(() => node.close());

  test("the node registers itself, with its lease", async () => {
    const { status } = await node.client.get(resources.Node, { name: "n1" });
    expect(status?.conditions?.map(({ type, status }) => [type, status])).toEqual([
      ["MemoryPressure", "False"],
      ["DiskPressure", "False"],
      ["PIDPressure", "False"],
      ["Ready", "True"],
    ]);
    expect(status?.nodeInfo?.kubeletVersion).toBe("v1.35.0+fairlead");
    const lease = await node.client.get(resources.Lease, { namespace: "kube-node-lease", name: "n1" });
    expect(lease.spec).toMatchObject({ holderIdentity: "n1", leaseDurationSeconds: 40 });
  });

  test("an echo pod becomes ready, answers on its own address, survives its kubelet, and goes when deleted", async () => {
    node.pod("echo", {
      containers: [
        {
          name: "web",
          image: "fairlead.dev/echo:v1",
          ports: [{ containerPort: 8080 }],
          readinessProbe: { httpGet: { path: "/readyz", port: 8080 }, periodSeconds: 1 },
          env: [{ name: "DRAIN_SECONDS", value: "0" }],
        },
      ],
    });
    const pod = await node.until("echo", isReady);
    const address = pod.status?.podIP ?? "";
    expect(pod.status).toMatchObject({ phase: "Running", hostIP: "127.0.0.1", qosClass: "BestEffort" });
    expect(address).toMatch(/^127\.42\.9\./);
    const ask = async (): Promise<object> =>
      (await (await fetch(`http://${address}:8080/some/path?x=1`)).json()) as object;
    expect(await ask()).toMatchObject({
      pod: "echo",
      namespace: "default",
      node: "n1",
      path: "/some/path?x=1",
      address,
    });

    await node.stopKubelet();
    expect(await ask()).toMatchObject({ pod: "echo" });
    await node.startKubelet();
    const after = await node.until("echo", isReady);
    expect(after.status?.containerStatuses?.[0]).toEqual(pod.status?.containerStatuses?.[0]);
    expect(after.status?.podIP).toBe(address);

    await node.client.delete(resources.Pod, { namespace: "default", name: "echo" });
    await node.untilGone("echo");
    await expect(ask()).rejects.toThrow();
    expect((await node.runtime.list()).sandboxes).toEqual([]);
    expect(await node.events("echo")).toEqual(
      expect.arrayContaining([
        'Pulled: Container image "fairlead.dev/echo:v1" already present on machine',
        "Created: Created container: web",
        "Started: Started container web",
        "Killing: Stopping container web",
      ]),
    );
  });

  test("init containers run in order, then the main one with what they left, and the pod succeeds", async () => {
    node.pod("job", {
      restartPolicy: "Never",
      volumes: [{ name: "work", emptyDir: {} }],
      initContainers: [
        {
          name: "one",
          ...sh("echo one > $FAIRLEAD_VOLUMES/work/log"),
          volumeMounts: [{ name: "work", mountPath: "/w" }],
        },
        {
          name: "two",
          ...sh("echo two >> $FAIRLEAD_VOLUMES/work/log"),
          volumeMounts: [{ name: "work", mountPath: "/w" }],
        },
      ],
      containers: [
        { name: "main", ...sh("cat $FAIRLEAD_VOLUMES/work/log"), volumeMounts: [{ name: "work", mountPath: "/w" }] },
      ],
    });
    const pod = await node.until("job", ({ status }) => status?.phase === "Succeeded");
    expect(pod.status?.initContainerStatuses?.map(({ ready }) => ready)).toEqual([true, true]);
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
    expect(await kubeletGet(node, "/containerLogs/default/job/main")).toEqual({ status: 200, body: "one\ntwo\n" });
    await node.client.delete(resources.Pod, { namespace: "default", name: "job" });
    await node.untilGone("job");
  });

  test("a container that ends again and again is restarted at once, then waits", async () => {
    node.pod("crash", { containers: [{ name: "main", ...sh("echo try; exit 3") }] });
    const pod = await node.until("crash", ({ status }) => {
      return status?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff";
    });
    const status = pod.status?.containerStatuses?.[0];
    expect(status).toMatchObject({
      restartCount: 1,
      ready: false,
      lastState: { terminated: { exitCode: 3, reason: "Error" } },
    });
    expect(status?.state?.waiting?.message).toMatch(
      /^back-off 10s restarting failed container=main pod=crash_default\(/,
    );
    expect(pod.status?.phase).toBe("Running");
    expect(await kubeletGet(node, "/containerLogs/default/crash/main?previous=true")).toEqual({
      status: 200,
      body: "try\n",
    });
    await node.client.delete(resources.Pod, { namespace: "default", name: "crash" }, { gracePeriodSeconds: 0 });
    await node.untilGone("crash");
  });

  test("an image without a command says what to do", async () => {
    node.pod("nginx", { containers: [{ name: "main", image: "nginx:1.25" }] });
    const pod = await node.until(
      "nginx",
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === "ErrImageNeverPull",
    );
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      'image "nginx:1.25" is not mapped to a command on this node: start with --image nginx=COMMAND',
    );
    expect(pod.status?.phase).toBe("Pending");
    await node.client.delete(resources.Pod, { namespace: "default", name: "nginx" });
    await node.untilGone("nginx");
  });

  test("a failed liveness probe restarts the container, after its grace", async () => {
    node.pod("sick", {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "main",
          ...sh("trap '' TERM; while :; do sleep 0.1; done"),
          livenessProbe: { exec: { command: ["false"] }, periodSeconds: 1, failureThreshold: 1 },
        },
      ],
    });
    const pod = await node.until("sick", ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
    expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({ exitCode: 137, signal: 9 });
    expect(await node.events("sick")).toContain("Killing: Container main failed liveness probe, will be restarted");
    await node.client.delete(resources.Pod, { namespace: "default", name: "sick" }, { gracePeriodSeconds: 1 });
    await node.untilGone("sick");
  });

  test("logs follow a container to its end, and only those who may read them", async () => {
    node.pod("talk", {
      restartPolicy: "Never",
      containers: [{ name: "main", ...sh("for i in 1 2 3 4; do echo line $i; sleep 0.3; done; printf end") }],
    });
    await node.until("talk", ({ status }) => status?.containerStatuses?.[0]?.state?.running !== undefined);
    expect(await kubeletGet(node, "/containerLogs/default/talk/main?follow=true")).toEqual({
      status: 200,
      body: "line 1\nline 2\nline 3\nline 4\nend",
    });
    expect((await kubeletGet(node, "/containerLogs/default/talk/main?tailLines=2")).body).toBe("line 4\nend");
    expect((await kubeletGet(node, "/containerLogs/default/talk/main?limitBytes=6")).body).toBe("line 1");
    expect((await kubeletGet(node, "/containerLogs/default/talk/main?timestamps=true&tailLines=1")).body).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z end$/,
    );
    expect(await kubeletGet(node, "/containerLogs/default/talk/other")).toMatchObject({ status: 404 });
    expect(await kubeletGet(node, "/containerLogs/default/talk/main?tailLines=x")).toMatchObject({ status: 400 });
    expect(await kubeletGet(node, "/pods", node.pki.stranger)).toMatchObject({ status: 403 });
    expect(await kubeletGet(node, "/healthz", "anonymous")).toMatchObject({ status: 401 });
    await node.client.delete(resources.Pod, { namespace: "default", name: "talk" });
    await node.untilGone("talk");
  });

  test("a supervisor that was killed takes its containers along; they are restarted", async () => {
    node.pod("held", { containers: [{ name: "main", ...sh("while :; do echo alive; sleep 0.2; done") }] });
    const before = await node.until("held", isReady);
    const pid = await node.supervisorPid();
    process.kill(pid, "SIGKILL");
    const after = await node.until(
      "held",
      (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.restartCount === 1,
    );
    expect(after.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      exitCode: 137,
      reason: "ContainerStatusUnknown",
    });
    expect(after.status?.podIP).toBe(before.status?.podIP);
    await node.client.delete(resources.Pod, { namespace: "default", name: "held" }, { gracePeriodSeconds: 1 });
    await node.untilGone("held");
  });

  test("a pod deleted while the kubelet was away is ended when it comes back", async () => {
    node.pod("orphan", { containers: [{ name: "main", ...sh("while :; do sleep 0.2; done") }] });
    await node.until("orphan", isReady);
    await node.stopKubelet();
    node.client.remove(resources.Pod, { namespace: "default", name: "orphan" });
    await node.startKubelet();
    await expect.poll(async () => (await node.runtime.list()).containers, { timeout: 10_000 }).toEqual([]);
  });
});
