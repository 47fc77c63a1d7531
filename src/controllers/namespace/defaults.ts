import { startController, startInformer, unless } from "../../client/index.ts";
import { type ConfigMap, resources, semanticEqual, type ServiceAccount } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Milliseconds after which what could not be made is tried again. */
const patience = 5_000;
const accountName = "default";
const mapName = "kube-root-ca.crt";
const description =
  "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/**
 * Gives each namespace what pods take for granted: the ServiceAccount `default`, and the ConfigMap `kube-root-ca.crt` with
 * `rootCA`, the PEM by which pods know the API server.
 */
export function startNamespaceDefaults(context: ControllerContext & { readonly rootCA: string }): Component {
  const { client, informers, rootCA } = context;
  const namespaces = informers.of(resources.Namespace);
  const accounts = informers.of(resources.ServiceAccount);
  // One a namespace, of all that there may be.
  const maps = startInformer(client, resources.ConfigMap, {
    fieldSelector: `metadata.name=${mapName}`,
    signal: context.signal,
    log: context.log,
    clock: context.clock,
  });

  const reconcile = async (namespace: string): Promise<{ again: number } | undefined> => {
    const home = namespaces.get({ name: namespace });
    if (!home || home.metadata.deletionTimestamp) return undefined;
    const made: unknown[] = [];
    if (!accounts.get({ namespace, name: accountName })) {
      const account = await unless(
        client.create(resources.ServiceAccount, { metadata: { namespace, name: accountName } }),
        "AlreadyExists",
        "Forbidden",
        "NotFound",
      );
      made.push(account);
    }
    const map = maps.get({ namespace, name: mapName });
    const data = { "ca.crt": rootCA };
    if (!map) {
      const metadata = { namespace, name: mapName, annotations: { "kubernetes.io/description": description } };
      const create = client.create(resources.ConfigMap, { metadata, data });
      made.push(await unless(create, "AlreadyExists", "Forbidden", "NotFound"));
    } else if (!semanticEqual(map.data, data)) {
      await client.update(resources.ConfigMap, { ...map, data });
    }
    // A quota may be full for a while.
    return made.includes(undefined) ? { again: patience } : undefined;
  };

  const controller = startController({
    ...context,
    name: "namespace defaults",
    reconcile,
    after: [namespaces.synced, accounts.synced, maps.synced],
  });
  namespaces.onChange(({ after }) => {
    if (after) controller.enqueue(after.metadata.name);
  });
  const watch =
    (name: string) => (change: { before?: ServiceAccount | ConfigMap; after?: ServiceAccount | ConfigMap }) => {
      const { metadata } = change.after ?? change.before ?? {};
      if (change.before && metadata?.name === name && metadata.namespace) controller.enqueue(metadata.namespace);
    };
  accounts.onChange(watch(accountName));
  maps.onChange(watch(mapName));
  return controller;
}
