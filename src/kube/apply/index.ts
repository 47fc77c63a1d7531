export { applyConfiguration, describeKind, nameOf, type Application } from "./apply.ts";
export { deduced, objectAtom, type Atom } from "./atom.ts";
export {
  managedFieldsFault,
  trackUpdate,
  type ManagedKind,
  type ManagedVersion,
  type Writer,
} from "./field-manager.ts";
export { merge as mergeTyped } from "./merge.ts";
export { sameButTimes } from "./managers.ts";
export { resetFieldsOf } from "./reset-fields.ts";
export { managersOfScale, managersOfScaled, pathOfFields } from "./scale.ts";
