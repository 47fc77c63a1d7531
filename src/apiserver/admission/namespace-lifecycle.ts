import { resources, type Namespace } from "../../kube/index.ts";
import { forbidden, notFound, type Admission } from "../registry/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";

/** Namespaces that the cluster can not do without. */
const permanent: ReadonlySet<string> = new Set(["default", "kube-system", "kube-public"]);

/** Nothing is made in a namespace that does not exist or is going away; some namespaces are never deleted. */
export function namespaceLifecycle(storage: Storage): Admission {
  return async ({ operation, context, name, object }) => {
    const { resource, namespace } = context;
    if (operation === "DELETE" && resource === resources.Namespace && permanent.has(name))
      throw forbidden(resource, name, "this namespace may not be deleted");
    if (operation !== "CREATE" || !resource.namespaced) return;
    // A client may make a namespace and, in its next request, the first object in it.
    await storage.caughtUpOwn();
    const find = () => storage.of(resources.Namespace).get(keyFor(resources.Namespace, { name: namespace }));
    let entry = find();
    if (!entry) {
      // It may just have been made through another API server.
      await storage.caughtUp();
      entry = find();
    }
    if (!entry) throw notFound(resources.Namespace, namespace);
    if ((entry.object as Namespace).metadata.deletionTimestamp === undefined) return;
    throw forbidden(
      resource,
      object?.metadata.name ?? name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: "NamespaceTerminating",
          message: `namespace ${namespace} is being terminated`,
          field: "metadata.namespace",
        },
      ],
    );
  };
}
