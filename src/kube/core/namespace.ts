import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault, invalids } from "../validation/fault.ts";
import { validateStandardFinalizer } from "../validation/metadata.ts";
import { isDns1123Label, isQualifiedName } from "../values/names.ts";

const nameLabel = "kubernetes.io/metadata.name";

export const namespaceStrategy = createStrategy(resources.Namespace, {
  name: isDns1123Label,
  defaults(namespace) {
    namespace.spec ??= {};
    const { name } = namespace.metadata;
    if (name) namespace.metadata.labels = { ...namespace.metadata.labels, [nameLabel]: name };
  },
  prepareForCreate(namespace) {
    // The finalizer stays until all that the namespace holds is gone.
    const given = namespace.spec.finalizers ?? [];
    namespace.spec.finalizers = given.includes("kubernetes") ? given : [...given, "kubernetes"];
    namespace.status = { phase: "Active" };
  },
  prepareForUpdate(namespace, old, { subresource }) {
    if (subresource === "finalize") return;
    if (old.spec.finalizers) namespace.spec.finalizers = old.spec.finalizers;
    else delete namespace.spec.finalizers;
  },
  *validate(namespace, _context, old) {
    if (old) return;
    for (const name of namespace.spec.finalizers ?? []) {
      yield* invalids("spec.finalizers", name, isQualifiedName(name));
      yield* validateStandardFinalizer(name, "spec.finalizers");
    }
  },
  *validateStatus(namespace) {
    const phase = namespace.status?.phase;
    if (namespace.metadata.deletionTimestamp ? phase !== "Terminating" : phase !== "Active") {
      const text = namespace.metadata.deletionTimestamp
        ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
        : "may only be 'Active' if `deletionTimestamp` is empty";
      yield fault.invalid("status.Phase", phase ?? "", text);
    }
  },
  selectableFields: ({ status }) => ({ "status.phase": status?.phase ?? "" }),
});
