import { resources, type Node } from "../../kube/index.ts";
import type { Admission } from "../registry/index.ts";

const key = "node.kubernetes.io/not-ready";

/** A new Node takes no pods before its controller has seen that it is ready (TaintNodesByCondition). */
export const taintNewNodes: Admission = ({ operation, context, object }) => {
  if (operation !== "CREATE" || context.resource !== resources.Node || context.subresource !== "" || !object) return;
  const node = object as Node;
  const taints = node.spec?.taints ?? [];
  if (taints.some((taint) => taint.key === key && taint.effect === "NoSchedule")) return;
  node.spec = { ...node.spec, taints: [...taints, { key, effect: "NoSchedule" }] };
};
