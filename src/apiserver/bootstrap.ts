import {
  isStatus,
  resources,
  systemPriorityClasses,
  type ClusterRole,
  type ClusterRoleBinding,
  type KubeObject,
  type Resource,
} from "../kube/index.ts";
import { autoUpdate, bootstrapRoles, uncovered } from "./auth/index.ts";
import { ensureOwnService, type OwnServiceOptions } from "./own-service.ts";
import { ownContext } from "./registry/index.ts";
import { keyFor } from "./storage/index.ts";

export type BootstrapOptions = OwnServiceOptions;

const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

/** Writes what every cluster has and is missing here: namespaces, roles, and the Service `kubernetes`. */
export async function bootstrap(options: BootstrapOptions): Promise<void> {
  const { registry, storage } = options;
  const ensure = async (resource: Resource, object: KubeObject): Promise<void> => {
    const { namespace = "", name } = object.metadata;
    if (storage.of(resource).get(keyFor(resource, { namespace, name }))) return;
    await registry.create(ownContext(resource, namespace), object).catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
    });
  };

  /** Another API server on the same store may begin at the same time and make it first: then it is there. */
  const complete = <T extends KubeObject>(resource: Resource, object: T, complement: (current: T) => T) => {
    const write = () =>
      registry.update(ownContext(resource, ""), object.metadata.name, (current) => complement(current as T), {
        retry: true,
        orCreate: () => object,
      });
    return write().catch((error: unknown) => {
      if (!isStatus(error, "AlreadyExists")) throw error;
      return write();
    });
  };

  await Promise.all(
    namespaces.map((name) => ensure(resources.Namespace, { apiVersion: "v1", kind: "Namespace", metadata: { name } })),
  );
  await storage.caughtUp();
  const { roles, bindings, namespaced } = bootstrapRoles();
  await Promise.all([
    ...roles.map((role) => complete(resources.ClusterRole, role, (current) => completed(current, role))),
    ...bindings.map((binding) =>
      complete(resources.ClusterRoleBinding, binding, (current) => withSubjects(current, binding)),
    ),
    ...namespaced.roles.map((role) => ensure(resources.Role, role)),
    ...namespaced.bindings.map((binding) => ensure(resources.RoleBinding, binding)),
    ...Object.entries(systemPriorityClasses).map(([name, { value, description }]) => {
      const object = {
        apiVersion: "scheduling.k8s.io/v1",
        kind: "PriorityClass",
        metadata: { name },
        value,
        description,
      };
      return ensure(resources.PriorityClass, object);
    }),
    ensureOwnService(options),
  ]);
  await storage.caughtUp();
}

/** A role from an earlier version is given what it lacks, unless its annotation says to leave it alone (as upstream). */
function completed(current: ClusterRole, { rules = [] }: ClusterRole): ClusterRole {
  if (current.aggregationRule || current.metadata.annotations?.[autoUpdate] === "false") return current;
  const present = current.rules ?? [];
  return { ...current, rules: [...present, ...uncovered(present, rules)] };
}

/** A binding from an earlier version is given the subjects that it lacks, unless its annotation says to leave it alone. */
function withSubjects(object: KubeObject, { subjects = [] }: ClusterRoleBinding): ClusterRoleBinding {
  const current = object as ClusterRoleBinding;
  if (current.metadata.annotations?.[autoUpdate] === "false") return current;
  const present = current.subjects ?? [];
  const missing = subjects.filter(
    ({ kind, name, namespace = "" }) =>
      !present.some((one) => one.kind === kind && one.name === name && (one.namespace ?? "") === namespace),
  );
  return missing.length === 0 ? current : { ...current, subjects: [...present, ...missing] };
}
