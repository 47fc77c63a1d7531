import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import type { ClusterRole, DaemonSet } from "../../src/kube/index.ts";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

const programs = clientPrograms();
const why = noKernel ?? (programs ? undefined : "kubectl is not installed: npm install");

const port = 6443;
const nodeAddress = "198.51.100.7";
/** Answers every request with its own port. */
const backend = (at: number) =>
  `require("node:http").createServer((q, a) => a.end("backend ${at}")).listen(${at}, "${nodeAddress}")`;

const node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "node1" },
  spec: { podCIDR: "10.42.0.0/24", podCIDRs: ["10.42.0.0/24"] },
  status: { addresses: [{ type: "InternalIP", address: nodeAddress }] },
};
const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default" },
  spec: { type: "NodePort", clusterIP: "10.96.0.80", ports: [{ port: 80, nodePort: 30_080 }] },
};
const slice = (at: number) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "web-1", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
  addressType: "IPv4",
  endpoints: [{ addresses: [nodeAddress], nodeName: "node1" }],
  ports: [{ name: "", port: at }],
});

describe.skipIf(why)(`deploy/: the proxy from its manifests${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let api: Running;
  let kubeconfig: string;
  const backends: Running[] = [];

  async function startApi(): Promise<void> {
    const program = join(repository, "fairlead");
    api = lab.start(process.execPath, [program, "test-cluster", "--dir", join(lab.dir, "api"), "--port", String(port)]);
    kubeconfig = await eventually("the API", async () => {
      const [, path] = /"kubeconfig":\s*"([^"]+)"/.exec(api.output()) ?? [];
      return path;
    });
  }
  const kubectl = async (args: readonly string[], input?: object) =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, {
        env: { KUBECONFIG: kubeconfig },
        ...(input ? { input: JSON.stringify(input) } : {}),
      }),
    );
  const helm = async (args: readonly string[]) =>
    printed(await lab.run(join(programs ?? "", "helm"), args, { env: { KUBECONFIG: kubeconfig } }));
  const curl = async (url: string): Promise<string> =>
    printed(await lab.run("curl", ["--silent", "--show-error", "--max-time", "3", url]));

  beforeAll(async () => {
    lab = await openLab("root");
    await startApi();
    for (const at of [8081, 8082]) backends.push(lab.start(process.execPath, ["-e", backend(at)]));
    await kubectl(["create", "-f", "-"], node);
    await kubectl([
      "patch",
      "node",
      "node1",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status: node.status }),
    ]);
    await kubectl(["create", "-f", "-"], service);
    await kubectl(["create", "-f", "-"], slice(8081));
  });
  afterAll(async () => {
    await Promise.all(backends.map((one) => one.stop()));
    await api?.stop();
    await lab?.close();
  });

  /** Runs what the pod of a DaemonSet would: its arguments, environment, configuration and service account, and nothing else. */
  async function startPod(name: string): Promise<Running> {
    const set = JSON.parse(await kubectl(["get", "daemonset", "-n", "kube-system", name, "-o", "json"])) as DaemonSet;
    const spec = set.spec.template.spec;
    const [container] = spec?.containers ?? [];
    if (!spec || !container) throw new Error("the DaemonSet has no container");
    const config = spec.volumes?.find((volume) => volume.name === "config")?.configMap?.name ?? "";
    const text = await kubectl([
      "get",
      "configmap",
      "-n",
      "kube-system",
      config,
      "-o",
      "jsonpath={.data.config\\.yaml}",
    ]);
    const account = spec.serviceAccountName ?? "";
    const pod = join(lab.dir, `pod-${name}`);
    await mkdir(pod);
    await writeFile(join(pod, "config.yaml"), text);
    await writeFile(join(pod, "token"), (await kubectl(["create", "token", "-n", "kube-system", account])).trim());
    await writeFile(join(pod, "namespace"), "kube-system");
    const ca = await kubectl([
      "config",
      "view",
      "--raw",
      "-o",
      "jsonpath={.clusters[0].cluster.certificate-authority-data}",
    ]);
    await writeFile(join(pod, "ca.crt"), Buffer.from(ca, "base64"));
    // A pod's file system as far as it matters: its own /run with the service account in it.
    const enter = `mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && cp "$1"/* /run/secrets/kubernetes.io/serviceaccount/ && shift && exec "$@"`;
    const args = (container.args ?? []).map((arg) =>
      arg.replace("/etc/fairlead/config.yaml", join(pod, "config.yaml")),
    );
    expect(spec.hostNetwork).toBe(true);
    expect(container.env?.[0]).toEqual({
      name: "NODE_NAME",
      valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "spec.nodeName" } },
    });
    const program = [process.execPath, join(repository, "fairlead"), ...args];
    return lab.start("unshare", ["--mount", "sh", "-c", enter, "sh", pod, ...program], {
      KUBECONFIG: "",
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(port),
      NODE_NAME: "node1",
    });
  }

  const ways: readonly (readonly [
    way: string,
    name: string,
    install: () => Promise<unknown>,
    remove: () => Promise<unknown>,
  ])[] = [
    [
      "kubectl apply -k",
      "fairlead-proxy",
      () => kubectl(["apply", "-k", join(repository, "deploy/kustomize/proxy")]),
      () => kubectl(["delete", "-k", join(repository, "deploy/kustomize/proxy")]),
    ],
    [
      "helm install",
      "services",
      () =>
        helm([
          "install",
          "services",
          join(repository, "deploy/helm/fairlead-proxy"),
          "-n",
          "kube-system",
          "--set",
          "config.proxyMode=nftables",
        ]),
      () => helm(["uninstall", "services", "-n", "kube-system"]),
    ],
  ];

  test.each(ways)(
    "%s: it serves with the rights that it is given, also while the API is away",
    async (_way, name, install, remove) => {
      await install();
      const account = `system:serviceaccount:kube-system:${name}`;
      for (const [verb, resource] of [
        ["list", "secrets"],
        ["list", "pods"],
        ["update", "services"],
        ["delete", "nodes"],
      ] as const)
        expect(
          await lab.run(join(programs ?? "", "kubectl"), ["auth", "can-i", verb, resource, "--as", account], {
            env: { KUBECONFIG: kubeconfig },
          }),
        ).toMatchObject({ stdout: "no\n" });

      // It asks for nothing that kube-proxy's own role does not have: a kubeconfig of kube-proxy will do.
      const rightsOf = async (role: string): Promise<readonly string[]> => {
        const { rules } = JSON.parse(await kubectl(["get", "clusterrole", role, "-o", "json"])) as ClusterRole;
        return (rules ?? []).flatMap(({ apiGroups = [], resources = [], verbs }) =>
          apiGroups.flatMap((group) => resources.flatMap((one) => verbs.map((verb) => `${verb} ${one} ${group}`))),
        );
      };
      expect(await rightsOf("system:node-proxier")).toEqual(expect.arrayContaining([...(await rightsOf(name))]));

      const proxy = await startPod(name);
      try {
        await eventually("ready, as its probe asks", async () =>
          (await curl("http://127.0.0.1:10256/readyz?probe=datapath")).includes('"ready":true') ? true : undefined,
        ).catch((error: unknown) => {
          throw new Error(`${String(error)}: ${proxy.output()}`);
        });
        expect(await curl("http://127.0.0.1:10249/proxyMode")).toBe("nftables");
        expect(await curl("http://10.96.0.80/")).toBe("backend 8081");
        expect(await curl(`http://${nodeAddress}:30080/`)).toBe("backend 8081");

        await api.stop();
        expect(await curl("http://10.96.0.80/")).toBe("backend 8081");
        expect(await curl("http://127.0.0.1:10256/healthz")).toContain("nodeEligible");
        await startApi();
        await kubectl(["replace", "-f", "-"], slice(8082));
        await eventually("the change to be in force", async () =>
          (await curl("http://10.96.0.80/")) === "backend 8082" ? true : undefined,
        );
        expect(proxy.output()).not.toMatch(/"level":50/);
        expect(proxy.output()).not.toContain("Forbidden");
      } finally {
        await proxy.stop();
        // The rules serve on without it.
        expect(await curl("http://10.96.0.80/")).toBe("backend 8082");
        const cleaned = await lab.run(process.execPath, [join(repository, "fairlead"), "proxy", "--cleanup"]);
        expect(cleaned.code).toBe(0);
        expect((await lab.run("nft", ["list", "ruleset"])).stdout).not.toContain("fairlead");
        await kubectl(["replace", "-f", "-"], slice(8081));
        await remove();
      }
    },
  );
});
