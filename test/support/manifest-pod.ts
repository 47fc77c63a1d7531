import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Container, DaemonSet, EnvVar } from "../../src/kube/index.ts";
import { printed } from "./cluster.ts";
import { type Lab, repository, type Running } from "./lab.ts";

/** A cluster in a lab, on which workloads of manifests are tried. */
export interface ManifestLab {
  readonly lab: Lab;
  readonly kubectl: (args: readonly string[], input?: object) => Promise<string>;
  /** Of the API, on loopback. */
  readonly port: number;
  /** The node that the lab is, and its address. */
  readonly node: { readonly name: string; readonly address: string };
}

export interface ManifestPod extends Running {
  /** Asks a probe of the manifest: what it answers. */
  probe(which: "livenessProbe" | "readinessProbe"): Promise<string>;
}

const account = "/run/secrets/kubernetes.io/serviceaccount";

/**
 * Runs what a pod of a workload would: its init containers and its first container with their arguments, environment, user, capabilities and
 * service account, its volumes empty, sysctls set, and what is not a volume not to be written.
 */
export async function startManifestPod(
  of: ManifestLab,
  kind: string,
  namespace: string,
  name: string,
): Promise<ManifestPod> {
  const { lab, kubectl, port, node } = of;
  const workload = JSON.parse(await kubectl(["get", kind, "-n", namespace, name, "-o", "json"])) as DaemonSet;
  const { template } = workload.spec;
  const { spec } = template;
  const [container] = spec?.containers ?? [];
  if (!spec || !container) throw new Error(`${kind} ${name} has no container`);
  const pod = `${name}-pod`;
  await kubectl(["create", "-f", "-"], {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...template.metadata, name: pod, namespace },
    spec: { ...spec, nodeName: node.name },
  });
  const values: Readonly<Record<string, string>> = {
    "spec.nodeName": node.name,
    "metadata.name": pod,
    "metadata.namespace": namespace,
    "status.hostIP": node.address,
    "status.podIP": node.address,
  };
  const env = { ...(await envFrom(container)), ...Object.fromEntries((container.env ?? []).map(valueOf)) };

  async function envFrom({ envFrom: sources = [] }: Container): Promise<Record<string, string>> {
    const all: Record<string, string> = {};
    for (const { configMapRef, secretRef } of sources) {
      const [from, key] = configMapRef ? ["configmap", configMapRef.name] : ["secret", secretRef?.name];
      const found = JSON.parse(await kubectl(["get", from, "-n", namespace, key ?? "", "-o", "json"])) as {
        data: Record<string, string>;
      };
      for (const [one, value] of Object.entries(found.data))
        all[one] = from === "secret" ? Buffer.from(value, "base64").toString() : value;
    }
    return all;
  }
  function valueOf({ name: one, value, valueFrom }: EnvVar): readonly [string, string] {
    const path = valueFrom?.fieldRef?.fieldPath;
    if (path !== undefined && values[path] === undefined) throw new Error(`${one}: nobody here knows ${path}`);
    return [one, value ?? values[path ?? ""] ?? ""];
  }

  for (const { name: key, value } of spec.securityContext?.sysctls ?? []) {
    expectSafe(key, spec.hostNetwork ?? false);
    printed(await lab.run("sysctl", ["-qw", `${key}=${value}`]));
  }
  for (const one of spec.initContainers ?? []) {
    const [file = "", ...words] = one.command ?? [];
    printed(await lab.run(file, [...words, ...(one.args ?? [])]));
  }
  const secrets = join(lab.dir, pod);
  await mkdir(secrets, { recursive: true });
  const token = await kubectl(["create", "token", "-n", namespace, spec.serviceAccountName ?? ""]);
  await writeFile(join(secrets, "token"), token.trim());
  await writeFile(join(secrets, "namespace"), namespace);
  const authority = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
  const ca = await kubectl(["config", "view", "--raw", "-o", authority]);
  await writeFile(join(secrets, "ca.crt"), Buffer.from(ca, "base64"));
  const mounts = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath).filter((path) => path !== "/run");
  // A real pod's /run is its own, with the account in it; /tmp and the rest of the file system are read-only where no volume says otherwise.
  const enter = [
    "mount --make-rprivate /",
    "mount -t tmpfs -o mode=755 none /run",
    `mkdir -p ${account}`,
    `cp "$1"/* ${account}/`,
    "chmod -R a+rX /run/secrets",
    ...mounts.map((path) => `mkdir -p ${path} && mount -t tmpfs none ${path}`),
    "mount --bind /proc/sys /proc/sys",
    "mount -o remount,ro,bind /proc/sys",
    "mount --bind / /",
    "mount -o remount,ro,bind /",
    "shift",
    'exec "$@"',
  ].join(" && ");
  const { runAsUser, runAsGroup, capabilities } = container.securityContext ?? {};
  const add = (capabilities?.add ?? []).map((one) => `+${one.toLowerCase()}`);
  const drop = [
    "setpriv",
    `--reuid=${runAsUser}`,
    `--regid=${runAsGroup ?? runAsUser}`,
    "--clear-groups",
    "--no-new-privs",
    `--bounding-set=${["-all", ...add].join(",")}`,
  ];
  const args = (container.args ?? []).map((arg) => arg.replaceAll(/\$\((\w+)\)/g, (_, one: string) => env[one] ?? ""));
  const command = [...drop, process.execPath, join(repository, "fairlead"), ...args];
  const running = lab.start("unshare", ["--mount", "sh", "-c", enter, "sh", secrets, ...command], {
    ...env,
    KUBECONFIG: "",
    KUBERNETES_SERVICE_HOST: "127.0.0.1",
    KUBERNETES_SERVICE_PORT: String(port),
    HOME: "/nonexistent",
  });
  return {
    ...running,
    async probe(which) {
      const { path = "/", port: wanted, host = "127.0.0.1" } = container[which]?.httpGet ?? {};
      const number = container.ports?.find((one) => one.name === wanted)?.containerPort ?? wanted;
      return (await lab.run("curl", ["-s", "-m", "10", `http://${host}:${number}${path}`])).stdout.trim().toLowerCase();
    },
    async stop(signal) {
      await running.stop(signal);
      await kubectl(["delete", "pod", "-n", namespace, pod, "--force", "--grace-period=0"]);
    },
  };
}

/** Sysctls that any pod may set, but for those of the node's own network. */
function expectSafe(name: string, hostNetwork: boolean): void {
  const safe = ["net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_syncookies"];
  if (hostNetwork || !safe.includes(name)) throw new Error(`sysctl ${name} is not for this pod`);
}
