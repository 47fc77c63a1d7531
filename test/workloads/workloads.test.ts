import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";

const why = clientPrograms() ? undefined : "kubectl is not installed: npm install";

describe.skipIf(why)(`workloads through kubectl${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab, ["--image", "sh=/bin/sh"]);
  });
  afterAll(() => tearDown(lab, cluster));

  /** What kubectl prints; arguments may stand in single quotes. */
  const k = async (line: string, input?: object): Promise<string> =>
    printed(await cluster.kubectl(words(line), input === undefined ? {} : { input: JSON.stringify(input) }));
  const apply = (object: object) => k("apply -f -", object);
  const path = (what: string, jsonpath: string) => k(`get ${what} -o jsonpath={${jsonpath}}`);
  const becomes = (what: string, jsonpath: string, wanted: string) =>
    eventually(`${what} ${jsonpath} is ${wanted}`, async () =>
      (await path(what, jsonpath)) === wanted ? wanted : undefined,
    );

  const labels = (app: string) => ({ metadata: { labels: { app } }, selector: { matchLabels: { app } } });
  /** A workload whose pods serve, stamped with a version. */
  const serving = (kind: string, name: string, version: string, spec: object = {}) => ({
    apiVersion: "apps/v1",
    kind,
    metadata: { name },
    spec: {
      selector: labels(name).selector,
      template: {
        metadata: labels(name).metadata,
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: "c",
              image: "fairlead.dev/echo",
              env: [
                { name: "VERSION", value: version },
                { name: "DRAIN_SECONDS", value: "0" },
              ],
            },
          ],
        },
      },
      ...spec,
    },
  });
  const job = (name: string, script: string, spec: object = {}, restartPolicy = "Never") => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name },
    spec: {
      template: {
        spec: { restartPolicy, containers: [{ name: "c", image: "sh", command: ["/bin/sh", "-c", script] }] },
      },
      ...spec,
    },
  });

  describe("rollouts", () => {
    it.each([
      ["StatefulSet", { replicas: 2, serviceName: "none" }, "partitioned roll out complete|rolling update complete"],
      ["DaemonSet", {}, "successfully rolled out"],
      ["Deployment", { replicas: 1 }, "successfully rolled out"],
    ])("%s: status, history, undo, restart", async (kind, spec, done) => {
      const name = kind.toLowerCase();
      const target = `${name}/${name}`;
      await apply(serving(kind, name, "one", spec));
      expect(await k(`rollout status ${target} --timeout=60s`)).toMatch(new RegExp(done));
      await apply(serving(kind, name, "two", spec));
      await k(`rollout status ${target} --timeout=60s`);
      expect(await k(`rollout history ${target}`)).toMatch(/^1 .*\n2 /m);
      expect(await k(`rollout history ${target} --revision=1`)).toMatch(/VERSION:\s+one/);
      expect(await k(`rollout undo ${target}`)).toMatch(/rolled back/);
      await k(`rollout status ${target} --timeout=60s`);
      expect(await path(target, ".spec.template.spec.containers[0].env[0].value")).toBe("one");
      expect(await k(`rollout history ${target}`)).toMatch(/^2 .*\n3 /m);
      expect(await k(`rollout restart ${target}`)).toMatch(/restarted/);
      await k(`rollout status ${target} --timeout=60s`);
      expect(await k(`get pods -l app=${name} -o jsonpath={.items[*].spec.containers[0].env[0].value}`)).toMatch(
        /^one( one)*$/,
      );
    });

    it("the pods of a StatefulSet keep their names", async () => {
      const names = await k("get pods -l app=statefulset -o jsonpath={.items[*].metadata.name}");
      expect(names).toBe("statefulset-0 statefulset-1");
      await k("scale sts/statefulset --replicas=1");
      await becomes("sts/statefulset", ".status.replicas", "1");
    });

    it("what a DaemonSet owns goes with it", async () => {
      await k("delete ds/daemonset --cascade=foreground --timeout=60s");
      expect(await k("get pods,controllerrevisions -l app=daemonset -o name")).toBe("");
    });
  });

  describe("Jobs", () => {
    it("run to their end: kubectl wait sees it, and nothing holds the pods afterwards", async () => {
      await apply(job("three", "exit 0", { completions: 3, parallelism: 2 }));
      await k("wait --for=condition=complete job/three --timeout=60s");
      expect(await path("job/three", ".status.succeeded")).toBe("3");
      expect(await k("get pods -l job-name=three -o jsonpath={.items[*].status.phase}")).toBe(
        "Succeeded Succeeded Succeeded",
      );
      expect(await k("get pods -l job-name=three -o jsonpath={.items[*].metadata.finalizers}")).toBe("");
      expect(await k("get job/three")).toMatch(/three +Complete +3\/3/);
      await k("delete job/three --timeout=60s");
      await eventually("its pods are gone", async () =>
        (await k("get pods -l job-name=three -o name")) === "" ? true : undefined,
      );
    });

    it("fail at their limit, and say why", async () => {
      await apply(job("bad", "exit 3", { backoffLimit: 0 }));
      await k("wait --for=condition=failed job/bad --timeout=60s");
      expect(await k("describe job/bad")).toMatch(/BackoffLimitExceeded.*Job has reached the specified backoff limit/);
      expect(await k("get pods -l job-name=bad -o jsonpath={.items[*].status.phase}")).toBe("Failed");
    });

    it("with OnFailure the container is started again in its pod", async () => {
      const script = 'test -e "$0" || { touch "$0"; exit 1; }';
      const again = job("again", script, {}, "OnFailure");
      const container = again.spec.template.spec.containers[0];
      container?.command.push(`${lab.dir}/again`);
      await apply(again);
      await k("wait --for=condition=complete job/again --timeout=90s");
      const pod = "get pods -l job-name=again -o jsonpath=";
      expect(await k(`${pod}{.items[*].status.containerStatuses[0].restartCount}`)).toBe("1");
    });

    it("an indexed one gives each pod its index", async () => {
      const spec = { completions: 2, parallelism: 2, completionMode: "Indexed" };
      await apply(job("indexed", "echo index $JOB_COMPLETION_INDEX on $HOSTNAME", spec));
      await k("wait --for=condition=complete job/indexed --timeout=60s");
      expect(await path("job/indexed", ".status.completedIndexes")).toBe("0,1");
      const logs = await k("logs -l job-name=indexed --tail=-1");
      expect(logs).toMatch(/index 0/);
      expect(logs).toMatch(/index 1/);
    });

    it("a suspended one waits, and a finished one goes when its time has come", async () => {
      await apply(job("later", "exit 0", { suspend: true, ttlSecondsAfterFinished: 1 }));
      await k("wait --for=condition=suspended job/later --timeout=30s");
      await k('patch job/later --type=merge -p {"spec":{"suspend":false}}');
      await k("wait --for=delete job/later --timeout=60s");
    });

    it("are made from a CronJob, also by hand", async () => {
      const { spec } = job("", "exit 0");
      const cron = { schedule: "0 0 1 1 *", timeZone: "Europe/Berlin", jobTemplate: { spec } };
      await apply({ apiVersion: "batch/v1", kind: "CronJob", metadata: { name: "yearly" }, spec: cron });
      expect(await k("create job by-hand --from=cronjob/yearly")).toBe("job.batch/by-hand created\n");
      await k("wait --for=condition=complete job/by-hand --timeout=60s");
      expect(await path("job/by-hand", ".metadata.ownerReferences[0].kind")).toBe("CronJob");
      await apply({
        apiVersion: "batch/v1",
        kind: "CronJob",
        metadata: { name: "often" },
        spec: { ...cron, schedule: "@every 2s" },
      });
      await eventually("a run of its own has ended", async () =>
        (await path("cronjob/often", ".status.lastSuccessfulTime")) ? true : undefined,
      );
      await k("delete cronjob often yearly --timeout=60s");
    });
  });

  describe("disruptions", () => {
    it("kubectl drain waits for a budget, and goes on when it allows", async () => {
      await apply(serving("Deployment", "kept", "one", { replicas: 1 }));
      await k("rollout status deployment/kept --timeout=60s");
      await k("create pdb kept --selector=app=kept --min-available=1");
      await becomes("pdb/kept", ".status.currentHealthy", "1");
      expect(await k("get pdb kept")).toMatch(/kept +1 +N\/A +0 /);
      const node = await k("get nodes -o jsonpath={.items[0].metadata.name}");
      const drain = `drain ${node} --ignore-daemonsets --delete-emptydir-data --force --pod-selector=app=kept`;
      const refused = await cluster.kubectl(words(`${drain} --timeout=3s`));
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/Cannot evict pod as it would violate the pod's disruption budget/);
      await k('patch pdb/kept --type=merge -p {"spec":{"minAvailable":0}}');
      await becomes("pdb/kept", ".status.disruptionsAllowed", "1");
      expect(await k(`${drain} --timeout=60s`)).toMatch(/drained/);
      await k(`uncordon ${node}`);
      await k("rollout status deployment/kept --timeout=60s");
    });
  });

  describe("volumes of claims", () => {
    const claim = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const keeper = (script: string) => ({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "keeper" },
      spec: {
        replicas: 1,
        serviceName: "none",
        selector: labels("keeper").selector,
        template: {
          metadata: labels("keeper").metadata,
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: "c",
                image: "sh",
                // Without root there are no mounts: volumes are found by name.
                command: [
                  "/bin/sh",
                  "-c",
                  `cd "\${FAIRLEAD_VOLUMES:-/fairlead-test}/data" && ${script}; exec sleep 1000`,
                ],
                volumeMounts: [{ name: "data", mountPath: "/fairlead-test/data" }],
              },
            ],
          },
        },
        volumeClaimTemplates: [{ metadata: { name: "data" }, spec: claim }],
      },
    });

    it("outlive their pods on the default class, and go with their claims", async () => {
      expect(await k("get storageclass")).toMatch(
        /local-path \(default\) +fairlead.dev\/local-path +Delete +WaitForFirst/,
      );
      await apply(keeper("echo $HOSTNAME >> visits; cat visits"));
      await k("rollout status sts/keeper --timeout=60s");
      await becomes("pvc/data-keeper-0", ".status.phase", "Bound");
      await k("delete pod/keeper-0 --timeout=60s");
      await k("rollout status sts/keeper --timeout=60s");
      await eventually("it finds what the first one left", async () =>
        (await k("logs keeper-0")) === "keeper-0\nkeeper-0\n" ? true : undefined,
      );
      const volume = await path("pvc/data-keeper-0", ".spec.volumeName");
      const directory = await path(`pv/${volume}`, ".spec.local.path");
      expect(existsSync(join(directory, "visits"))).toBe(true);
      await k("delete sts/keeper --cascade=foreground --timeout=60s");
      expect(existsSync(directory)).toBe(true);
      await k("delete pvc/data-keeper-0 --timeout=60s");
      await k(`wait --for=delete pv/${volume} --timeout=60s`);
      expect(existsSync(directory)).toBe(false);
    });

    it("a pod whose claim is missing waits for it, and says so", async () => {
      const volumes = [{ name: "v", persistentVolumeClaim: { claimName: "late" } }];
      const containers = [{ name: "c", image: "sh", command: ["/bin/sh", "-c", "exit 0"] }];
      const spec = { restartPolicy: "Never", volumes, containers };
      await apply({ apiVersion: "v1", kind: "Pod", metadata: { name: "early" }, spec });
      await eventually("it says so", async () =>
        (await k("describe pod early")).includes('persistentvolumeclaim "late" not found') ? true : undefined,
      );
      await apply({ apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "late" }, spec: claim });
      await k("wait --for=jsonpath={.status.phase}=Succeeded pod/early --timeout=60s");
      await k("delete pod/early pvc/late --timeout=60s");
    });
  });

  it("a pod of a higher PriorityClass gets the place of one of a lower", async () => {
    const cpu = await k("get nodes -o jsonpath={.items[0].status.allocatable.cpu}");
    const spec = (priorityClassName: string) => ({
      priorityClassName,
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: "c", image: "fairlead.dev/echo", resources: { requests: { cpu: `${Number(cpu) * 600}m` } } },
      ],
    });
    const kind = { apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass" };
    await apply({ ...kind, metadata: { name: "low" }, value: 10 });
    await apply({ ...kind, metadata: { name: "high" }, value: 20 });
    await apply({ apiVersion: "v1", kind: "Pod", metadata: { name: "lower" }, spec: spec("low") });
    await k("wait --for=condition=ready pod/lower --timeout=60s");
    await apply({ apiVersion: "v1", kind: "Pod", metadata: { name: "higher" }, spec: spec("high") });
    await k("wait --for=condition=ready pod/higher --timeout=60s");
    expect(await k("get pods -o name")).not.toContain("pod/lower");
    expect(await k("get events --field-selector=reason=Preempted")).toMatch(/pod\/lower +Preempted by pod \S+ on node/);
    expect(await path("pod/higher", ".status.nominatedNodeName")).toBe("");
    await k("delete pod/higher --timeout=60s");
  });

  it("kubectl autoscale: more pods for what uses more than it asks for", async () => {
    const busy = serving("Deployment", "busy", "one", { replicas: 1 });
    const [container] = busy.spec.template.spec.containers;
    const command = ["/bin/sh", "-c", "while :; do :; done"];
    Object.assign(container ?? {}, { image: "sh", command, resources: { requests: { cpu: "10m" } } });
    await apply(busy);
    await k("rollout status deployment/busy --timeout=60s");
    expect(await k("autoscale deployment/busy --min=1 --max=2 --cpu=50%")).toMatch(/autoscaled/);
    await eventually(
      "there are two",
      async () => (await path("deployment/busy", ".spec.replicas")) === "2" || undefined,
      60,
    );
    expect(await k("describe hpa/busy")).toMatch(/SuccessfulRescale +.*New size: 2; reason: cpu resource utilization/);
    await k("delete hpa/busy deployment/busy --timeout=60s");
  });

  it("a ReplicationController keeps its pods", async () => {
    const { spec, ...rest } = serving("ReplicationController", "old", "one");
    await apply({ ...rest, apiVersion: "v1", spec: { ...spec, replicas: 2, selector: { app: "old" } } });
    await becomes("rc/old", ".status.readyReplicas", "2");
    await k("delete rc/old --timeout=60s");
  });

  it("a Deployment that a custom resource owns goes with it, when its finalizers are gone", async () => {
    const names = { kind: "Widget", plural: "widgets", singular: "widget" };
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    await apply({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "widgets.acme.io" },
      spec: {
        group: "acme.io",
        scope: "Namespaced",
        names,
        versions: [{ name: "v1", served: true, storage: true, schema }],
      },
    });
    await k("wait --for=condition=established crd/widgets.acme.io --timeout=30s");
    await apply({
      apiVersion: "acme.io/v1",
      kind: "Widget",
      metadata: { name: "w", finalizers: ["acme.io/held"] },
    });
    const uid = await path("widget/w", ".metadata.uid");
    const owned = serving("Deployment", "owned", "one", { replicas: 1 });
    const ownerReferences = [{ apiVersion: "acme.io/v1", kind: "Widget", name: "w", uid, controller: true }];
    await apply({ ...owned, metadata: { ...owned.metadata, ownerReferences } });
    await k("rollout status deployment/owned --timeout=60s");
    await k("delete widget/w --wait=false");
    expect(await k("get deployment/owned -o name")).toBe("deployment.apps/owned\n");
    await k('patch widget/w --type=merge -p {"metadata":{"finalizers":null}}');
    await k("wait --for=delete deployment/owned --timeout=60s");
    await eventually("its pods are gone too", async () =>
      (await k("get pods -l app=owned -o name")) === "" ? true : undefined,
    );
  });
});

/** Splits at blanks; what stands in single quotes stays together. */
const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
