import { resources, semanticEqual, type ConfigMap } from "../../kube/index.ts";
import { ownContext, type Registry } from "../registry/index.ts";

const namespace = "kube-system";
const name = "extension-apiserver-authentication";

/** CN of the certificate by which this server shows itself to aggregated servers. */
export const frontProxyName = "front-proxy-client";

/** Publishes by what aggregated servers know clients, and this server when it speaks for them. Both authorities are PEM. */
export async function publishAuthentication(
  registry: Registry,
  { clientCa, frontProxyCa }: { clientCa: string; frontProxyCa: string },
): Promise<void> {
  const data = {
    "client-ca-file": clientCa,
    "requestheader-allowed-names": JSON.stringify([frontProxyName]),
    "requestheader-client-ca-file": frontProxyCa,
    "requestheader-extra-headers-prefix": JSON.stringify(["X-Remote-Extra-"]),
    "requestheader-group-headers": JSON.stringify(["X-Remote-Group"]),
    "requestheader-uid-headers": JSON.stringify(["X-Remote-Uid"]),
    "requestheader-username-headers": JSON.stringify(["X-Remote-User"]),
  };
  const context = { ...ownContext(resources.ConfigMap, namespace), admitted: true };
  const map: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, data };
  const { ConfigMap: kind } = resources;
  try {
    const { object } = await registry.get(kind, namespace, name);
    if (semanticEqual((object as ConfigMap).data, data)) return;
    await registry.update(context, name, (current) => ({ ...current, data }) as ConfigMap, { retry: true });
  } catch {
    await registry.create(context, map);
  }
}
