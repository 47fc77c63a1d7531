import * as k8s from "@kubernetes/client-node";

/** A controller: ConfigMaps with the label `stamp` get the annotation `stamped`. Settles when it follows them. */
export async function startStamping(config: k8s.KubeConfig): Promise<{ stop(): Promise<void> }> {
  const core = config.makeApiClient(k8s.CoreV1Api);
  const informer = k8s.makeInformer(
    config,
    "/api/v1/configmaps",
    () => core.listConfigMapForAllNamespaces({ labelSelector: "stamp" }),
    "stamp",
  );
  const stamp = ({ metadata }: k8s.V1ConfigMap): void => {
    const { name = "", namespace = "", annotations } = metadata ?? {};
    if (annotations?.["stamped"]) return;
    core
      .patchNamespacedConfigMap(
        { name, namespace, body: { metadata: { annotations: { stamped: "yes" } } } },
        k8s.setHeaderOptions("Content-Type", k8s.PatchStrategy.MergePatch),
      )
      .catch((error: unknown) => process.stderr.write(`${namespace}/${name}: ${String(error)}\n`));
  };
  informer.on("add", stamp);
  informer.on("update", stamp);
  await informer.start();
  return { stop: () => informer.stop() };
}
