import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import type { DaemonSet } from "../../src/kube/index.ts";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, openLab, repository, type Running } from "../support/lab.ts";
import { noSpeaker } from "../support/bgp-lab.ts";
import { noVipLab } from "../support/vip-lab.ts";

const programs = clientPrograms();
const why = noVipLab ?? (programs ? undefined : "kubectl is not installed: npm install");

const port = 6443;
const node = "node1";
const address = "198.51.100.7";

describe.skipIf(why)(`deploy/: addresses from their manifests${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let api: Running;
  let kubeconfig: string;
  const program = join(repository, "fairlead");

  const kubectl = async (args: readonly string[], input?: object) =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, {
        env: { KUBECONFIG: kubeconfig },
        ...(input ? { input: JSON.stringify(input) } : {}),
      }),
    );
  const helm = async (args: readonly string[]) =>
    printed(await lab.run(join(programs ?? "", "helm"), args, { env: { KUBECONFIG: kubeconfig } }));

  beforeAll(async () => {
    lab = await openLab("root");
    api = lab.start(process.execPath, [program, "test-cluster", "--dir", join(lab.dir, "api"), "--port", String(port)]);
    kubeconfig = await eventually("the API", async () => {
      const [, path] = /"kubeconfig":\s*"([^"]+)"/.exec(api.output()) ?? [];
      return path;
    });
    await kubectl(["create", "-f", "-"], { apiVersion: "v1", kind: "Node", metadata: { name: node } });
    const status = {
      addresses: [{ type: "InternalIP", address }],
      conditions: [{ type: "Ready", status: "True", reason: "Lab", message: "" }],
    };
    await kubectl(["patch", "node", node, "--subresource=status", "--type=merge", "-p", JSON.stringify({ status })]);
  });
  afterAll(async () => {
    await api?.stop();
    await lab?.close();
  });

  /** Runs what a pod of a workload would: its arguments, user, capabilities and service account, and nothing else. */
  async function startPod(kind: string, name: string): Promise<Running> {
    const workload = JSON.parse(await kubectl(["get", kind, "-n", "kube-system", name, "-o", "json"])) as DaemonSet;
    const spec = workload.spec.template.spec;
    const [container] = spec?.containers ?? [];
    if (!spec || !container) throw new Error(`${kind} ${name} has no container`);
    expect(spec.hostNetwork).toBe(true);
    expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } });
    const pod = join(lab.dir, `pod-${name}`);
    await mkdir(pod);
    const token = await kubectl(["create", "token", "-n", "kube-system", spec.serviceAccountName ?? ""]);
    await writeFile(join(pod, "token"), token.trim());
    await writeFile(join(pod, "namespace"), "kube-system");
    const authority = "{.clusters[0].cluster.certificate-authority-data}";
    const ca = await kubectl(["config", "view", "--raw", "-o", `jsonpath=${authority}`]);
    await writeFile(join(pod, "ca.crt"), Buffer.from(ca, "base64"));
    const enter = `mount -t tmpfs -o mode=755 none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && cp "$1"/* /run/secrets/kubernetes.io/serviceaccount/ && chmod -R a+rX /run/secrets && mkdir -p /var/lib && mount -t tmpfs none /var/lib && shift && exec "$@"`;
    const user = String(container.securityContext?.runAsUser);
    const add = (container.securityContext?.capabilities?.add ?? []).map((one) => `+${one.toLowerCase()}`);
    const bounding = `--bounding-set=${["-all", ...add].join(",")}`;
    const drop = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--no-new-privs", bounding];
    return lab.start(
      "unshare",
      ["--mount", "sh", "-c", enter, "sh", pod, ...drop, process.execPath, program, ...(container.args ?? [])],
      {
        KUBECONFIG: "",
        KUBERNETES_SERVICE_HOST: "127.0.0.1",
        KUBERNETES_SERVICE_PORT: String(port),
        NODE_NAME: node,
        POD_NAMESPACE: "kube-system",
        HOME: "/nonexistent",
      },
    );
  }

  const chart = join(repository, "deploy/helm/fairlead-addresses");
  const base = join(repository, "deploy/kustomize/addresses");
  const ways: readonly (readonly [
    way: string,
    names: string,
    pool: string,
    install: () => Promise<unknown>,
    remove: () => Promise<unknown>,
  ])[] = [
    [
      "kubectl apply -k",
      "fairlead",
      "198.51.100.40",
      () => kubectl(["apply", "-k", base]),
      () => kubectl(["delete", "-k", base]),
    ],
    [
      "helm install",
      "edge",
      "198.51.100.41",
      () => helm(["install", "edge", chart, "-n", "kube-system", "--set", "bgp.enabled=true"]),
      () => helm(["uninstall", "edge", "-n", "kube-system"]),
    ],
  ];

  test.each(ways)(
    "%s: a Service gets an address, and the node holds it, with the rights that are given",
    async (_way, names, wanted, install, remove) => {
      await install();
      const can = async (account: string, verb: string, resource: string): Promise<string> =>
        (
          await lab.run(
            join(programs ?? "", "kubectl"),
            ["auth", "can-i", verb, resource, "--as", `system:serviceaccount:kube-system:${account}`],
            { env: { KUBECONFIG: kubeconfig } },
          )
        ).stdout.trim();
      for (const account of [`${names}-loadbalancer`, `${names}-vip`])
        for (const [verb, resource] of [
          ["list", "secrets"],
          ["delete", "services"],
          ["update", "nodes"],
          ["delete", "customresourcedefinitions"],
        ] as const)
          expect([account, verb, resource, await can(account, verb, resource)]).toEqual([
            account,
            verb,
            resource,
            "no",
          ]);

      const pods: Running[] = [];
      try {
        pods.push(await startPod("deployment", `${names}-loadbalancer`));
        await eventually("pools are known", () => kubectl(["get", "addresspools"]).then(() => true), 60);
        const metadata = { name: names };
        const announce = { protocol: "VRRP" };
        const api = { apiVersion: "fairlead.dev/v1alpha1", kind: "AddressPool" };
        await kubectl(["create", "-f", "-"], { ...api, metadata, spec: { addresses: [wanted], announce } });
        const spec = { type: "LoadBalancer", ports: [{ port: 80 }] };
        const service = { apiVersion: "v1", kind: "Service", metadata: { name: names, namespace: "default" }, spec };
        await kubectl(["create", "-f", "-"], service);
        pods.push(await startPod("daemonset", `${names}-vip`));
        const output = () => pods.map((pod) => pod.output()).join("\n");
        await eventually(
          "the address is held",
          async () => {
            const holder = await kubectl(["get", "addressclaim", wanted, "-o", "jsonpath={.status.holder}"]);
            const { stdout } = await lab.run("ip", ["-o", "address", "show", "to", wanted]);
            if (holder === node && stdout.includes(wanted)) return true;
            throw new Error(`${holder} ${stdout} ${output().slice(-2000)}`);
          },
          60,
        );
        const ip = await kubectl(["get", "service", names, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"]);
        expect(ip).toBe(wanted);
        for (const at of [10_258, 10_259])
          expect(printed(await lab.run("curl", ["-s", "-m", "10", `http://127.0.0.1:${at}/readyz`]))).toBe("ok\n");
        // The address and its record go with the Service.
        await kubectl(["delete", "service", names, "--timeout=60s"]);
        await eventually("the address is off the node", async () =>
          (await lab.run("ip", ["-o", "address", "show", "to", wanted])).stdout === "" ? true : undefined,
        );
        expect(output()).not.toContain("forbidden");
        expect(output()).not.toMatch(/"level":50/);
      } finally {
        await Promise.all(pods.map((pod) => pod.stop()));
        await remove();
      }
    },
  );

  test.skipIf(noSpeaker("frr"))("helm install: FRR starts with the rights that are given, and speaks", async () => {
    const values = ["--set", "vip.enabled=false", "--set", "bgp.enabled=true", "--set", "bgp.speaker=frr"];
    await helm(["install", "routed", chart, "-n", "kube-system", ...values]);
    const pods: Running[] = [];
    try {
      pods.push(await startPod("deployment", "routed-loadbalancer"));
      await eventually("peers are known", () => kubectl(["get", "bgppeers"]).then(() => true), 60);
      const api = { apiVersion: "fairlead.dev/v1alpha1", kind: "BGPPeer", metadata: { name: "tor" } };
      const spec = { peerAddress: "198.51.100.1", peerASN: 64_513, localASN: 64_512, bfd: {} };
      await kubectl(["create", "-f", "-"], { ...api, spec });
      pods.push(await startPod("daemonset", "routed-bgp"));
      // There is no router: that it is BFD that says so, which bgpd hears of by zebra, takes all three of FRR's daemons.
      const status = ["get", "bgpsession", `${node}.tor`, "-o", "jsonpath={.status.state} {.status.bfd}"];
      await eventually(
        "there is a session",
        async () => {
          const said = await kubectl(status);
          if (/^(Connect|Idle) Down$/.test(said)) return true;
          throw new Error(`${said} ${pods.map((pod) => pod.output()).join("\n")}`);
        },
        30,
      );
      const output = pods.map((pod) => pod.output()).join("\n");
      expect(output).not.toContain("forbidden");
      expect(output).not.toMatch(/"level":50/);
    } finally {
      await Promise.all(pods.map((pod) => pod.stop()));
      await helm(["uninstall", "routed", "-n", "kube-system"]);
    }
  });
});
