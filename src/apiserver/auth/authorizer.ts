import type { Storage } from "../storage/index.ts";
import { createNodeAuthorizer, nodeOf } from "./node.ts";
import { createNodeGraph } from "./node-graph.ts";
import { createRbac, type Authorizer } from "./rbac.ts";

/** The authorizers `Node` and `RBAC`, in this order as upstream: what one of them allows is allowed. */
export function createAuthorizer(storage: Storage): Authorizer {
  const rbac = createRbac(storage);
  const nodes = createNodeAuthorizer(createNodeGraph(storage));
  const decide: Authorizer["decide"] = (user, action) => {
    const node = nodeOf(user);
    if (node === undefined) return rbac.decide(user, action);
    const own = nodes(node, action);
    if (own.allowed) return own;
    const granted = rbac.decide(user, action);
    return granted.allowed ? granted : own;
  };
  return {
    ...rbac,
    decide,
    allows: (user, action) => (nodeOf(user) === undefined ? rbac.allows(user, action) : decide(user, action).allowed),
    incomplete: (user) => (nodeOf(user) === undefined ? "" : "node authorizer does not support user rule resolution"),
  };
}
