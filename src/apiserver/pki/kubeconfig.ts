import type { KeyPair } from "./authority.ts";
import { writePrivate } from "./files.ts";

export interface KubeconfigOptions {
  /** Name of cluster and context. */
  readonly cluster: string;
  /** For example `https://127.0.0.1:6443`. */
  readonly server: string;
  /** Certificate of the authority, PEM. */
  readonly ca: string;
  readonly user: string;
  readonly client: KeyPair;
}

/** A kubeconfig with one cluster and one user, certificates inside. */
export async function kubeconfigText({ cluster, server, ca, user, client }: KubeconfigOptions): Promise<string> {
  // Loaded when it is needed: a start waits for nothing that only writes this file.
  const { stringify } = await import("yaml");
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: cluster, cluster: { server, "certificate-authority-data": base64(ca) } }],
      users: [
        { name: user, user: { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) } },
      ],
      contexts: [{ name: cluster, context: { cluster, user } }],
      "current-context": cluster,
    },
    { lineWidth: 0 },
  );
}

/** Writes a kubeconfig that only its owner may read. */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  await writePrivate(path, await kubeconfigText(options));
}
