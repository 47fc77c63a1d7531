import {
  isStatus,
  resources,
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

  await Promise.all(
    namespaces.map((name) => ensure(resources.Namespace, { apiVersion: "v1", kind: "Namespace", metadata: { name } })),
  );
  await storage.caughtUp();
  const { roles, bindings, namespaced } = bootstrapRoles();
  await Promise.all([
    ...roles.map((role) =>
      registry.update(
        ownContext(resources.ClusterRole, ""),
        role.metadata.name,
        (current) => completed(current, role),
        {
          retry: true,
          orCreate: () => role,
        },
      ),
    ),
    ...bindings.map((binding) =>
      registry.update(
        ownContext(resources.ClusterRoleBinding, ""),
        binding.metadata.name,
        (current) => withSubjects(current as ClusterRoleBinding, binding),
        { retry: true, orCreate: () => binding },
      ),
    ),
    ...namespaced.roles.map((role) => ensure(resources.Role, role)),
    ...namespaced.bindings.map((binding) => ensure(resources.RoleBinding, binding)),
    ensureOwnService(options),
  ]);
  await storage.caughtUp();
}

/** A role from an earlier version is given what it lacks, unless its annotation says to leave it alone (as upstream). */
function completed(current: ClusterRole, { rules = [] }: ClusterRole): ClusterRole {
  if (current.aggregationRule || current.metadata.annotations?.[autoUpdate] !== "true") return current;
  const present = current.rules ?? [];
  return { ...current, rules: [...present, ...uncovered(present, rules)] };
}

/** A binding from an earlier version is given the subjects that it lacks, unless its annotation says to leave it alone. */
function withSubjects(current: ClusterRoleBinding, { subjects = [] }: ClusterRoleBinding): ClusterRoleBinding {
  if (current.metadata.annotations?.[autoUpdate] !== "true") return current;
  const present = current.subjects ?? [];
  const missing = subjects.filter(
    ({ kind, name, namespace = "" }) =>
      !present.some((one) => one.kind === kind && one.name === name && (one.namespace ?? "") === namespace),
  );
  return missing.length === 0 ? current : { ...current, subjects: [...present, ...missing] };
}
