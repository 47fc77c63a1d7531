import { resources, type Pod, type Toleration } from "../../kube/index.ts";
import type { Admission } from "../registry/index.ts";

/** Seconds that a pod stays on a node that is not ready or not reachable, as upstream. */
const seconds = 300;
const taints = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/** A pod that does not say for how long it bears a node that is lost bears it for five minutes. */
export const defaultTolerationSeconds: Admission = ({ operation, context, object }) => {
  if (context.resource !== resources.Pod || context.subresource !== "" || !object) return;
  if (operation !== "CREATE" && operation !== "UPDATE") return;
  const { spec } = object as Pod;
  if (!spec) return;
  const given = spec.tolerations ?? [];
  const missing = taints.filter((key) => !given.some((toleration) => bears(toleration, key)));
  if (missing.length === 0) return;
  spec.tolerations = [
    ...given,
    ...missing.map((key) => ({ effect: "NoExecute", key, operator: "Exists", tolerationSeconds: seconds })),
  ];
};

const bears = ({ key = "", effect = "" }: Toleration, taint: string): boolean =>
  (key === taint || key === "") && (effect === "NoExecute" || effect === "");
