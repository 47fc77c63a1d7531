import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "../../src/testing/index.ts";
import { startKubectl, withoutKubectl, type Kubectl } from "../support/kubectl.ts";

const why = withoutKubectl ? ` (skipped: ${withoutKubectl})` : "";

describe.skipIf(withoutKubectl !== undefined)(`what admission does, through kubectl${why}`, () => {
  let cluster: TestCluster;
  let kubectl: Kubectl;
  beforeAll(async () => {
    cluster = await startTestCluster();
    kubectl = await startKubectl(cluster.kubeconfigFile);
  });
  afterAll(async () => {
    await kubectl.stop();
    await cluster.stop();
  });

  const used = async (): Promise<string> =>
    (await kubectl.prints("get quota -n full q -o jsonpath={.status.used.count/configmaps}")).trim();

  it("a quota is full when it is, and takes in again what goes", async () => {
    await kubectl.prints("create namespace full");
    // The namespace's own map is counted, too.
    await kubectl.prints("wait --for=create --timeout=20s -n full configmap/kube-root-ca.crt");
    await kubectl.prints("create quota -n full q --hard=count/configmaps=4");
    const made = await Promise.all(Array.from({ length: 6 }, (_, i) => kubectl.run(`create configmap -n full m${i}`)));
    expect(made.filter(({ code }) => code === 0)).toHaveLength(3);
    const refused = made.find(({ code }) => code !== 0);
    expect(refused?.stderr).toContain(
      "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=4, limited: count/configmaps=4",
    );
    expect(await used()).toBe("4");
    await kubectl.prints("delete configmap -n full --ignore-not-found m0 m1 m2 m3 m4 m5");
    await expect.poll(used, { timeout: 10_000 }).toBe("1");
    await kubectl.prints("create configmap -n full again");
  });

  it("a strict namespace takes no pod that asks for the host, and says why", async () => {
    await kubectl.prints("create namespace strict");
    await kubectl.prints("label namespace strict pod-security.kubernetes.io/enforce=restricted");
    expect(await kubectl.complains("run -n strict p --image=busybox")).toContain(
      'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "p" must set securityContext.allowPrivilegeEscalation=false)',
    );
    const { stderr } = await kubectl.run("create deployment -n strict d --image=busybox");
    expect(stderr).toContain('Warning: would violate PodSecurity "restricted:latest"');
  });

  it("the first pod of a namespace has its account and a token", async () => {
    await kubectl.prints("create namespace fresh");
    await kubectl.prints("run -n fresh p --image=busybox");
    const mounts = await kubectl.prints(
      "get pod -n fresh p -o jsonpath={.spec.containers[0].volumeMounts[*].mountPath}",
    );
    expect(mounts).toBe("/var/run/secrets/kubernetes.io/serviceaccount");
    expect(
      await kubectl.complains('run -n fresh q --image=busybox --overrides={"spec":{"serviceAccountName":"robot"}}'),
    ).toContain('error looking up service account fresh/robot: serviceaccount "robot" not found');
  });

  it("a claim that nothing uses goes when it is deleted", async () => {
    await kubectl.prints(
      "apply -f -",
      `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: c }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
`,
    );
    expect(await kubectl.prints("get pvc c -o jsonpath={.metadata.finalizers[0]}")).toBe(
      "kubernetes.io/pvc-protection",
    );
    await kubectl.prints("delete pvc c --timeout=20s");
    expect(await kubectl.complains("get pvc c")).toContain("not found");
  });
});
