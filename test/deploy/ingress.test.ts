import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import type { Deployment } from "../../src/kube/index.ts";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

const programs = clientPrograms();
const why = noKernel ?? (programs ? undefined : "kubectl is not installed: npm install");

const port = 6443;
const backend = `require("node:http").createServer((q, a) => a.end("backend " + q.headers["x-forwarded-port"])).listen(8081, "127.0.0.1")`;
const namespace = "fairlead";

const objects = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default" },
    spec: { clusterIP: "None", ports: [{ port: 80 }] },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-1", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["127.0.0.1"] }],
    ports: [{ name: "", port: 8081 }],
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "web", namespace: "default" },
    spec: {
      ingressClassName: "fairlead",
      rules: [
        {
          host: "shop.test",
          http: {
            paths: [
              { path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } },
              { path: "/away", pathType: "Prefix", backend: { service: { name: "nobody", port: { number: 80 } } } },
            ],
          },
        },
      ],
    },
  },
];

describe.skipIf(why)(`deploy/: the Ingress controller from its manifests${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let api: Running;
  let echo: Running;
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
  const curl = async (...args: string[]): Promise<string> =>
    (await lab.run("curl", ["--silent", "--show-error", "--max-time", "10", ...args])).stdout;

  beforeAll(async () => {
    lab = await openLab("root");
    api = lab.start(process.execPath, [program, "test-cluster", "--dir", join(lab.dir, "api"), "--port", String(port)]);
    kubeconfig = await eventually("the API", async () => {
      const [, path] = /"kubeconfig":\s*"([^"]+)"/.exec(api.output()) ?? [];
      return path;
    });
    echo = lab.start(process.execPath, ["-e", backend]);
    for (const object of objects) await kubectl(["create", "-f", "-"], object);
  });
  afterAll(async () => {
    await echo?.stop();
    await api?.stop();
    await lab?.close();
  });

  /** Runs what a pod of the Deployment would: its arguments, environment, user and service account, and nothing else. */
  async function startPod(name: string, ports: { http: number; status: number }): Promise<Running> {
    const deployment = JSON.parse(
      await kubectl(["get", "deployment", "-n", namespace, name, "-o", "json"]),
    ) as Deployment;
    const spec = deployment.spec.template.spec;
    const [container] = spec?.containers ?? [];
    if (!spec || !container) throw new Error("the Deployment has no container");
    expect(container.securityContext).toMatchObject({ runAsNonRoot: true, capabilities: { drop: ["ALL"] } });
    const pod = join(lab.dir, `pod-${name}-${ports.http}`);
    await mkdir(pod);
    const account = spec.serviceAccountName ?? "";
    await writeFile(join(pod, "token"), (await kubectl(["create", "token", "-n", namespace, account])).trim());
    await writeFile(join(pod, "namespace"), namespace);
    const ca = await kubectl([
      "config",
      "view",
      "--raw",
      "-o",
      "jsonpath={.clusters[0].cluster.certificate-authority-data}",
    ]);
    await writeFile(join(pod, "ca.crt"), Buffer.from(ca, "base64"));
    const enter = `mount -t tmpfs -o mode=755 none /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount && cp "$1"/* /run/secrets/kubernetes.io/serviceaccount/ && chmod -R a+rX /run/secrets && shift && exec "$@"`;
    // Two pods share one network here, so that the second has ports of its own.
    const args = (container.args ?? []).map((arg) =>
      arg
        .replace("$(POD_NAMESPACE)", namespace)
        .replace("8080", String(ports.http))
        .replace("8443", String(ports.http + 363)),
    );
    const user = String(container.securityContext?.runAsUser);
    const drop = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--bounding-set=-all"];
    const command = [...drop, process.execPath, program, ...args, `--status-address=127.0.0.1:${ports.status}`];
    return lab.start("unshare", ["--mount", "sh", "-c", enter, "sh", pod, ...command], {
      KUBECONFIG: "",
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(port),
      POD_IP: "127.0.0.1",
      POD_NAMESPACE: namespace,
      HOME: "/nonexistent",
    });
  }

  const chart = join(repository, "deploy/helm/fairlead-ingress");
  const base = join(repository, "deploy/kustomize/ingress");
  const ways: readonly (readonly [
    way: string,
    name: string,
    install: () => Promise<unknown>,
    remove: () => Promise<unknown>,
  ])[] = [
    [
      "kubectl apply -k",
      "fairlead-ingress",
      () => kubectl(["apply", "-k", base]),
      () => kubectl(["delete", "-k", base, "--ignore-not-found"]),
    ],
    [
      "helm install",
      "edge",
      () => helm(["install", "edge", chart, "-n", namespace, "--create-namespace", "--set", "gatewayAPI=false"]),
      () => helm(["uninstall", "edge", "-n", namespace]),
    ],
  ];

  test.each(ways)("%s: two of them serve with the rights that they are given", async (_way, name, install, remove) => {
    await install();
    const account = `system:serviceaccount:${namespace}:${name}`;
    for (const [verb, resource] of [
      ["update", "secrets"],
      ["list", "pods"],
      ["update", "ingresses"],
      ["delete", "ingressclasses"],
      ["create", "deployments"],
    ] as const)
      expect(
        await lab.run(join(programs ?? "", "kubectl"), ["auth", "can-i", verb, resource, "--as", account], {
          env: { KUBECONFIG: kubeconfig },
        }),
      ).toMatchObject({ stdout: "no\n" });
    const publish = (ip: string) =>
      kubectl([
        "patch",
        "service",
        "-n",
        namespace,
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        JSON.stringify({ status: { loadBalancer: { ingress: [{ ip }] } } }),
      ]);
    await publish("192.0.2.40");
    const places = [
      { http: 8080, status: 10_254 },
      { http: 9080, status: 11_254 },
    ];
    const pods = await Promise.all(places.map((place) => startPod(name, place)));
    const said = () => pods.map((pod) => pod.output()).join("\n---\n");
    try {
      for (const { http, status } of places) {
        await eventually("ready, as its probe asks", async () =>
          (await curl(`http://127.0.0.1:${status}/readyz`)) === "ok\n" ? true : undefined,
        ).catch((error: unknown) => {
          throw new Error(`${String(error)}: ${said()}`);
        });
        // Ready means that the routes are there: the first request is served.
        expect(await curl("-H", "Host: shop.test", `http://127.0.0.1:${http}/`)).toBe("backend 80");
        expect(await curl(`http://127.0.0.1:${status}/metrics`)).toContain("fairlead_ingress_requests_total");
      }
      const statusIs = async (ip: string) => {
        let found = "";
        await eventually(`status ${ip}`, async () => {
          found = await kubectl(["get", "ingress", "web", "-o", "jsonpath={.status.loadBalancer}"]);
          return found === `{"ingress":[{"ip":"${ip}","ports":[{"port":80,"protocol":"TCP"}]}]}` ? true : undefined;
        }).catch((error: unknown) => {
          throw new Error(`${String(error)}: it is ${found}\n${said()}`);
        });
      };
      await statusIs("192.0.2.40");
      // Whoever leads goes; the other takes over, and still serves.
      const leader = pods.findIndex((pod) => pod.output().includes("this one leads"));
      expect(leader).toBeGreaterThanOrEqual(0);
      await pods[leader]?.stop();
      await publish("192.0.2.41");
      await statusIs("192.0.2.41");
      const other = places[1 - leader];
      expect(await curl("-H", "Host: shop.test", `http://127.0.0.1:${other?.http}/`)).toBe("backend 80");
      await eventually("the event", async () =>
        (await kubectl(["get", "events"])).includes("ServiceNotFound") ? true : undefined,
      );
      expect(said()).not.toMatch(/"level":50/);
      expect(said()).not.toContain("orbidden");
    } finally {
      await Promise.all(pods.map((pod) => pod.stop()));
      await remove();
    }
  });
});
