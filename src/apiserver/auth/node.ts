import type { UserInfo } from "../handler.ts";
import { nodeRules } from "./bootstrap-roles.ts";
import type { NodeGraph, NodeObject } from "./node-graph.ts";
import type { Decision } from "./rbac.ts";
import { ruleAllows, type Action } from "./rules.ts";

type ResourceAction = Extract<Action, { type: "resource" }>;

const userPrefix = "system:node:";
const group = "system:nodes";
const leaseNamespace = "kube-node-lease";

/** Name of the node that a user is; undefined for everybody else. */
export function nodeOf({ name, groups }: UserInfo): string | undefined {
  return name.startsWith(userPrefix) && name.length > userPrefix.length && groups.includes(group)
    ? name.slice(userPrefix.length)
    : undefined;
}

const allow: Decision = { allowed: true, reason: "" };
const refuse = (reason: string): Decision => ({ allowed: false, reason });

/**
 * What a node may do: read what the pods bound to it refer to, ask for tokens of their accounts, and look after its own Node,
 * Lease and CSINode (Kubernetes' Node authorizer).
 */
export function createNodeAuthorizer(graph: NodeGraph): (node: string, action: Action) => Decision {
  const readsOwn = (node: string, action: ResourceAction): Decision => {
    if (!["get", "list", "watch"].includes(action.verb)) return refuse("can only read resources of this type");
    if (action.subresource) return refuse("cannot read subresource");
    if (!action.namespace) return refuse("can only read namespaced object of this type");
    return relates(node, action);
  };

  const gets = (node: string, action: ResourceAction, ...parts: string[]): Decision => {
    if (action.verb !== "get") return refuse("can only get individual resources of this type");
    if (action.subresource && !parts.includes(action.subresource)) return refuse("cannot get subresource");
    return relates(node, action);
  };

  const relates = (node: string, { resource, namespace, name }: ResourceAction): Decision => {
    if (!name) return refuse("No Object name found");
    const found =
      resource === "persistentvolumes"
        ? graph.usesVolume(node, name)
        : resource === "volumeattachments"
          ? graph.attaches(node, name)
          : resource === "pods"
            ? graph.runs(node, namespace, name)
            : graph.refers(node, resource as NodeObject, namespace, name);
    return found ? allow : refuse(`no relationship found between node '${node}' and this object`);
  };

  const claims = (node: string, action: ResourceAction): Decision => {
    if (action.subresource !== "status") return gets(node, action);
    if (!["update", "patch"].includes(action.verb)) return refuse("can only update this type");
    return relates(node, action);
  };

  const core = (node: string, action: ResourceAction): Decision | undefined => {
    const { resource, subresource, verb } = action;
    switch (resource) {
      case "secrets":
      case "configmaps":
        return readsOwn(node, action);
      case "persistentvolumeclaims":
        return claims(node, action);
      case "persistentvolumes":
        return gets(node, action);
      case "serviceaccounts":
        if (verb !== "create" || subresource !== "token")
          return refuse("can only create tokens for individual service accounts");
        return relates(node, action);
      case "nodes":
        return subresource === "" && ["get", "list", "watch"].includes(verb) ? readsNode(node, action) : undefined;
      case "pods":
        return podsOf(node, action);
      default:
        return undefined;
    }
  };

  const podsOf = (node: string, action: ResourceAction): Decision | undefined => {
    const { subresource, verb, fields = [] } = action;
    if (subresource === "" && verb === "get") return relates(node, action);
    if (subresource !== "" || !["list", "watch"].includes(verb)) return undefined;
    if (fields.some(({ field, value }) => field === "spec.nodeName" && value === node)) return allow;
    if (action.name && action.namespace) return relates(node, action);
    return refuse("can only list/watch pods with spec.nodeName field selector");
  };

  return (node, action) => {
    if (action.type === "resource") {
      const decided =
        action.group === ""
          ? core(node, action)
          : action.group === "coordination.k8s.io" && action.resource === "leases"
            ? own(node, action, "node lease", leaseNamespace)
            : action.group === "storage.k8s.io" && action.resource === "csinodes"
              ? own(node, action, "CSINode")
              : action.group === "storage.k8s.io" && action.resource === "volumeattachments"
                ? gets(node, action)
                : undefined;
      if (decided) return decided;
    }
    return nodeRules.some((rule) => ruleAllows(rule, action)) ? allow : refuse("");
  };
}

function readsNode(node: string, { name }: ResourceAction): Decision {
  if (name === node) return allow;
  return refuse(
    name
      ? `node '${node}' cannot read '${name}', only its own Node object`
      : `node '${node}' cannot read all nodes, only its own Node object`,
  );
}

/** An object that bears the name of the node. */
function own(
  node: string,
  { verb, name, namespace, subresource }: ResourceAction,
  what: string,
  within = "",
): Decision {
  if (!["get", "create", "update", "patch", "delete"].includes(verb))
    return refuse(`can only get, create, update, patch, or delete a ${what}`);
  if (within && namespace !== within)
    return refuse(`can only access leases in the ${JSON.stringify(within)} system namespace`);
  if (subresource) return refuse(`cannot authorize ${what} subresources`);
  // The name of what is created is in its body: admission looks at that.
  if (verb !== "create" && name !== node)
    return refuse(`can only access ${what} with the same name as the requesting node`);
  return allow;
}
