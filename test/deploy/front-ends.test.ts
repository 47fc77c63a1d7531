import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, openLab, repository, type Running } from "../support/lab.ts";
import { startManifestPod, type ManifestLab, type ManifestPod } from "../support/manifest-pod.ts";
import { noVipLab } from "../support/vip-lab.ts";
import { accessKey, secretKey } from "../loadbalancer/rancher/server.mjs";

const programs = clientPrograms();
const why =
  noVipLab ??
  (spawnSync("haproxy", ["-v"]).error ? "needs haproxy" : undefined) ??
  (programs ? undefined : "kubectl is not installed: npm install");

const port = 6443;
const node = { name: "node1", address: "198.51.100.7" };
const echoPort = 18_081;
const rancherPort = 18_082;

// Each part from its manifests, with the rights that these give and no others.
describe.skipIf(why)(`deploy/: the front ends from their manifests${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let api: Running;
  let kubeconfig: string;
  let on: ManifestLab;
  const others: Running[] = [];

  const kubectl = async (args: readonly string[], input?: object) =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, {
        env: { KUBECONFIG: kubeconfig },
        ...(input ? { input: JSON.stringify(input) } : {}),
      }),
    );
  const create = (object: object) => kubectl(["create", "-f", "-"], object);
  const support = (file: string) => join(repository, "test/support", file);
  const base = (part: string) => join(repository, "deploy/kustomize", part);
  const curl = async (...args: string[]) => (await lab.run("curl", ["-s", "-m", "10", ...args])).stdout;
  const serve = (...args: string[]) => others.push(lab.start(process.execPath, args));

  beforeAll(async () => {
    lab = await openLab("root");
    const program = join(repository, "fairlead");
    api = lab.start(process.execPath, [program, "test-cluster", "--dir", join(lab.dir, "api"), "--port", String(port)]);
    kubeconfig = await eventually("the API", async () => {
      const [, path] = /"kubeconfig":\s*"([^"]+)"/.exec(api.output()) ?? [];
      return path;
    });
    on = { lab, kubectl, port, node };
    await create({ apiVersion: "v1", kind: "Node", metadata: { name: node.name, labels: { type: "loadbalancer" } } });
    const status = {
      addresses: [{ type: "InternalIP", address: node.address }],
      conditions: [{ type: "Ready", status: "True", reason: "Lab", message: "" }],
    };
    await kubectl([
      "patch",
      "node",
      node.name,
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status }),
    ]);
    await kubectl(["label", "node", node.name, "kubernetes.io/os=linux", "--overwrite"]);
    serve(support("tcp-tell.mjs"), "echo", node.address, "3306");
    serve(support("http-tell.mjs"), "web", node.address, String(echoPort));
    for (const [name, number, target] of [
      ["echo", 80, 3306],
      ["web", 80, echoPort],
    ] as const) {
      const metadata = { name, namespace: "default" };
      await create({
        apiVersion: "v1",
        kind: "Service",
        metadata,
        spec: { ports: [{ port: number, targetPort: target }] },
      });
      await create({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { ...metadata, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        endpoints: [{ addresses: [node.address] }],
        ports: [{ name: "", port: target }],
      });
    }
  });
  afterAll(async () => {
    await Promise.all(others.map((one) => one.stop()));
    await api?.stop();
    await lab?.close();
  });

  async function mayNot(account: string, ...rights: readonly (readonly string[])[]): Promise<void> {
    for (const right of rights) {
      const asked = ["auth", "can-i", ...right, "--as", `system:serviceaccount:kube-system:${account}`];
      const { stdout } = await lab.run(join(programs ?? "", "kubectl"), asked, { env: { KUBECONFIG: kubeconfig } });
      expect([account, ...right, stdout.trim()]).toEqual([account, ...right, "no"]);
    }
  }

  /** Applies a part, runs its pods, does `work`, and looks that nothing was asked for that is not given. */
  async function withPart(
    part: string,
    pods: readonly (readonly [kind: string, name: string])[],
    work: (said: () => string) => Promise<void>,
    namespace = "kube-system",
  ): Promise<void> {
    await kubectl(["apply", "-k", base(part)]);
    const running: ManifestPod[] = [];
    const said = () => running.map((pod) => pod.output()).join("\n---\n");
    try {
      for (const [kind, name] of pods) running.push(await startManifestPod(on, kind, namespace, name));
      await work(said).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${said().slice(-4_000)}`);
      });
      for (const pod of running)
        for (const which of ["livenessProbe", "readinessProbe"] as const)
          expect([which, await pod.probe(which)]).toEqual([which, "ok"]);
      expect(said()).not.toMatch(/forbidden|EROFS|EACCES|EPERM|"level":50/i);
    } finally {
      for (const pod of running) await pod.stop();
      await kubectl(["delete", "-k", base(part), "--ignore-not-found"]);
    }
  }

  const held = async (address: string) => (await lab.run("ip", ["-o", "address", "show", "to", address])).stdout !== "";

  test(
    "keepalived-vip: an address alone and one by PROXY, of the ConfigMap that was there before",
    { timeout: 120_000 },
    async () => {
      const [alone, proxied] = ["198.51.100.50", "198.51.100.51"];
      await create({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "vip-configmap", namespace: "default" },
        data: { [alone]: "", [proxied]: "default/echo:PROXY" },
      });
      await withPart("keepalived-vip", [["daemonset", "fairlead-keepalived-vip"]], async () => {
        await eventually(
          "both are held",
          async () => ((await held(alone)) && (await held(proxied)) ? true : undefined),
          60,
        );
        const ask = () => lab.run(process.execPath, [support("tcp-ask.mjs"), proxied, "80"]);
        await eventually(
          "PROXY serves",
          async () => ((await ask()).stdout.startsWith('echo "PROXY TCP4 ') ? true : undefined),
          60,
        );
        const told = [
          "get",
          "configmap",
          "vip-configmap",
          "-o",
          "jsonpath={.metadata.annotations.fairlead\\.dev/vip-status}",
        ];
        await eventually("the ConfigMap is told", async () =>
          (await kubectl(told)).includes("Serving") ? true : undefined,
        );
        await mayNot(
          "fairlead-keepalived-vip",
          ["list", "secrets"],
          ["list", "configmaps"],
          ["patch", "configmaps/another", "-n", "default"],
          ["update", "nodes"],
          ["create", "pods"],
        );
      });
      expect(await held(alone)).toBe(false);
    },
  );

  test("hp-loadbalancer: a ConfigMap is told an address, which the daemon holds", { timeout: 120_000 }, async () => {
    const pods = [
      ["deployment", "fairlead-hp-loadbalancer"],
      ["daemonset", "fairlead-hp-loadbalancer-daemon"],
    ] as const;
    await withPart("hp-loadbalancer", pods, async () => {
      const metadata = { name: "configmap-echo", namespace: "default", labels: { app: "loadbalancer" } };
      const data = { namespace: "default", "target-service-name": "echo" };
      await create({ apiVersion: "v1", kind: "ConfigMap", metadata, data });
      const bound = ["get", "configmap", "configmap-echo", "-o", "jsonpath={.data.status} {.data.bind-ip}"];
      await eventually(
        "it is told",
        async () => ((await kubectl(bound)) === "SUCCESS 10.0.0.10" ? true : undefined),
        60,
      );
      await eventually("it is held", async () => ((await held("10.0.0.10")) ? true : undefined), 60);
      await mayNot("fairlead-hp-loadbalancer", ["list", "secrets"], ["update", "nodes"], ["create", "pods"]);
      await mayNot(
        "fairlead-hp-loadbalancer-daemon",
        ["list", "secrets"],
        ["list", "configmaps"],
        ["update", "services"],
      );
      await kubectl(["delete", "configmap", "configmap-echo"]);
      await eventually("it goes", async () => ((await held("10.0.0.10")) ? undefined : true), 60);
    });
  });

  test("service-loadbalancer: a Service at its path, on the ports of the original", { timeout: 120_000 }, async () => {
    await withPart(
      "service-loadbalancer",
      [["deployment", "fairlead-service-loadbalancer"]],
      async () => {
        await eventually("it serves", async () =>
          (await curl(`http://${node.address}/web/a?b=c`)) === `web ${node.address} /a?b=c\n` ? true : undefined,
        );
        await eventually("it says what it serves", async () =>
          (await curl(`http://${node.address}:1936/`)).includes("default/web:80") ? true : undefined,
        );
      },
      "default",
    );
  });

  const ingress = (name: string, annotations: Record<string, string> = {}) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace: "default", annotations: { "kubernetes.io/ingress.class": "rancher", ...annotations } },
    spec: {
      rules: [
        {
          host: `${name}.test`,
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
          },
        },
      ],
    },
  });
  const addressOf = (name: string) =>
    kubectl(["get", "ingress", name, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"]);

  test("lb-controller: an Ingress is served on the node, which its status names", { timeout: 120_000 }, async () => {
    await create(ingress("shop"));
    await withPart("lb-controller", [["deployment", "fairlead-lb-controller"]], async () => {
      const ask = () => curl("-H", "Host: shop.test", `http://${node.address}/x`);
      await eventually("it serves", async () => ((await ask()) === "web shop.test /x\n" ? true : undefined));
      await eventually("its status says so", async () =>
        (await addressOf("shop")) === node.address ? true : undefined,
      );
      await mayNot(
        "fairlead-lb-controller",
        ["update", "secrets"],
        ["update", "ingresses"],
        ["list", "nodes"],
        ["list", "pods"],
      );
    });
    await kubectl(["delete", "ingress", "shop"]);
  });

  test(
    "lb-controller-rancher: an Ingress becomes a load balancer of Rancher's, and goes with it",
    { timeout: 120_000 },
    async () => {
      const folder = join(lab.dir, "rancher");
      await mkdir(folder);
      serve(join(repository, "test/loadbalancer/rancher/server.mjs"), String(rancherPort), folder);
      const url = `http://127.0.0.1:${rancherPort}`;
      const uid = await kubectl(["get", "service", "web", "-o", "jsonpath={.metadata.uid}"]);
      const services = JSON.stringify([{ namespace: "default", name: "web", uid, addresses: [node.address] }]);
      await eventually("Rancher knows the Service", async () => {
        const { code } = await lab.run("curl", ["-s", "-X", "POST", "-d", services, `${url}/_test/services`]);
        return code === 0 ? true : undefined;
      });
      const stringData = { CATTLE_URL: `${url}/v2-beta`, CATTLE_ACCESS_KEY: accessKey, CATTLE_SECRET_KEY: secretKey };
      await create({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "rancher-api", namespace: "kube-system" },
        stringData,
      });
      await create(ingress("edge", { "http.port": "7080", "io.rancher.scheduler.affinity.host_label": "in=lb" }));
      await withPart("lb-controller-rancher", [["deployment", "fairlead-lb-controller-rancher"]], async (said) => {
        await eventually(
          "its status has Rancher's host",
          async () => ((await addressOf("edge")) === "127.98.0.1" ? true : undefined),
          60,
        );
        const ask = () => curl("-H", "Host: edge.test", "http://127.98.0.1:7080/x");
        // The Service's port leads to the pods' by its targetPort.
        await eventually(
          "Rancher's load balancer serves",
          async () => ((await ask()) === "web edge.test /x\n" ? true : undefined),
          60,
        );
        await mayNot(
          "fairlead-lb-controller-rancher",
          ["update", "secrets"],
          ["delete", "ingresses"],
          ["list", "pods"],
        );
        await kubectl(["delete", "ingress", "edge", "--timeout=60s"]);
        expect(said()).not.toContain(secretKey);
      });
    },
  );
});
