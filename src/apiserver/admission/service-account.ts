import { resources, type Pod } from "../../kube/index.ts";
import type { Admission } from "../registry/index.ts";

/** A Pod that names no ServiceAccount runs as its namespace's `default`. */
export const defaultServiceAccount: Admission = ({ operation, context, object }) => {
  if (operation !== "CREATE" || context.resource !== resources.Pod || !object) return;
  const { spec } = object as Pod;
  if (!spec) return;
  spec.serviceAccountName ||= spec.serviceAccount || "default";
  spec.serviceAccount = spec.serviceAccountName;
};
