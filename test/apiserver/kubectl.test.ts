import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import {
  createApiServer,
  createKubeletClient,
  openPki,
  serveHttps,
  writeKubeconfig,
} from "../../src/apiserver/index.ts";
import { createMemoryStore } from "../../src/store/index.ts";
import { type CommandResult, silentLogger, systemClock, systemCommands } from "../../src/system/index.ts";

const programs = clientPrograms();
const why = programs ? "" : " (skipped: kubectl is not installed: npm install)";

const manifests = (image: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { colour: blue }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: "${image}", ports: [{ containerPort: 80 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80, nodePort: 30080 }] }
`;

describe.skipIf(!programs)(`kubectl against the API server alone${why}`, () => {
  const ended = new AbortController();
  const dir = mkdtempSync(join(tmpdir(), "apiserver-kubectl-"));
  let stopped: Promise<unknown>;

  const kubectl = (args: readonly string[], input = "", signal?: AbortSignal): Promise<CommandResult> =>
    systemCommands.run(join(programs ?? "", "kubectl"), ["--kubeconfig", join(dir, "kubeconfig"), ...args], {
      input,
      env: { HOME: dir },
      ...(signal ? { signal } : {}),
    });
  /** What kubectl prints; fails with what it complains of. */
  const prints = async (line: string, input?: string): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(line.split(" "), input);
    expect(code, stderr).toBe(0);
    return stdout;
  };

  beforeAll(async () => {
    const pki = await openPki(join(dir, "pki"), systemClock);
    const server = await pki.server("server", { name: "server", hosts: ["127.0.0.1"] });
    const client = await pki.client("admin", { user: "admin", groups: ["system:masters"] });
    const store = createMemoryStore();
    const api = createApiServer({
      store,
      clock: systemClock,
      log: silentLogger,
      signal: ended.signal,
      serviceCidrs: ["10.96.0.0/16"],
      advertise: { address: "192.0.2.1", port: 6443 },
      kubelet: createKubeletClient({ ca: pki.ca, ...client }),
    });
    const served = await serveHttps(api.handler, {
      host: "127.0.0.1",
      port: 0,
      ...server,
      clientCa: pki.ca,
      signal: ended.signal,
      log: silentLogger,
    });
    await api.ready;
    const address = `https://127.0.0.1:${served.port}`;
    await writeKubeconfig(join(dir, "kubeconfig"), {
      cluster: "test",
      server: address,
      ca: pki.ca,
      user: "admin",
      client,
    });
    stopped = Promise.all([served.stopped, api.stopped]);
  });
  afterAll(async () => {
    ended.abort();
    await stopped;
    rmSync(dir, { recursive: true, force: true });
  });

  it("finds out what is served", async () => {
    expect(await prints("version")).toMatch(/^Server Version: v1\.35\./m);
    expect(await prints("api-resources")).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m);
    expect(await prints("explain service.spec.ports.nodePort")).toMatch(/^FIELD: nodePort <integer>$/m);
    expect(await prints("explain deployment --recursive")).toContain("containers\t<[]Container> -required-");
  });

  it("creates from flags, in protobuf", async () => {
    expect(await prints("create deployment made --image=made:1 --replicas=0")).toBe("deployment.apps/made created\n");
    expect(await prints("get deployment made")).toMatch(/^made +0\/0 +0 +0 +\d+s$/m);
    expect(await prints("expose deployment made --port=80")).toBe("service/made exposed\n");
    expect(await prints("get service made -o jsonpath={.spec.clusterIP}")).toMatch(/^10\.96\.\d+\.\d+$/);
  });

  it("applies, says when nothing changes, and shows what would", async () => {
    expect(await prints("apply -f -", manifests("web:1"))).toContain("deployment.apps/web created");
    expect(await prints("apply -f -", manifests("web:1"))).toBe(
      "configmap/settings unchanged\ndeployment.apps/web unchanged\nservice/web unchanged\n",
    );
    const diff = await kubectl(["diff", "-f", "-"], manifests("web:2"));
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(/^-\s+- image: web:1\n\+\s+- image: web:2$/m);
    expect(await prints("apply -f -", manifests("web:2"))).toContain("deployment.apps/web configured");
    expect(await prints("get deployment web -o jsonpath={.spec.template.spec.containers[*].image}")).toBe("web:2");
  });

  it("refuses a field that does not exist", async () => {
    const { code, stderr } = await kubectl(["apply", "-f", "-"], manifests("web:2").replace("replicas:", "replica:"));
    expect(code).toBe(1);
    expect(stderr).toContain('strict decoding error: unknown field "spec.replica"');
  });

  it("patches in three ways, scales, labels", async () => {
    await prints('patch deployment web -p {"spec":{"minReadySeconds":1}}');
    await prints('patch deployment web --type=merge -p {"spec":{"minReadySeconds":2}}');
    await prints('patch deployment web --type=json -p [{"op":"replace","path":"/spec/minReadySeconds","value":3}]');
    await prints("scale deployment web --replicas=5");
    await prints("label deployment web tier=front");
    await prints("set image deployment/web web=web:3");
    const found = "get deployment web -o jsonpath={.spec.minReadySeconds},{.spec.replicas},{.metadata.labels.tier}";
    expect(await prints(found)).toBe("3,5,front");
  });

  it("is told who has a port already", async () => {
    const { stderr } = await kubectl("create service nodeport other --tcp=80:80 --node-port=30080".split(" "));
    expect(stderr).toContain("spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated");
  });

  it("follows changes", async () => {
    const watching = new AbortController();
    const watch = kubectl(["get", "configmaps", "-w", "-o", "name", "--request-timeout=5s"], "", watching.signal);
    const seen = watch.then(({ stdout }) => stdout);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await prints("create configmap followed");
    await prints("delete configmap followed");
    const lines = (await seen).split("\n").filter((line) => line.endsWith("/followed"));
    expect(lines).toEqual(["configmap/followed", "configmap/followed"]);
  });

  it("deletes, waits, and finds nothing after", async () => {
    await prints("run one --image=one:1");
    expect(await prints("get pods")).toMatch(/^one +0\/1 +Pending +0 +\d+s$/m);
    expect(await prints("delete pod one --timeout=10s")).toContain('pod "one" deleted');
    expect((await kubectl(["get", "pod", "one"])).stderr).toBe('Error from server (NotFound): pods "one" not found\n');
    expect(await prints("delete deployment,service -l tier=front")).toContain('deployment.apps "web" deleted');
  });

  it("asks who it is and what it may do", async () => {
    expect(await prints("auth whoami")).toMatch(/Groups +\[system:masters system:authenticated\]/);
    expect(await prints("auth can-i delete nodes")).toBe("yes\n");
  });
});
