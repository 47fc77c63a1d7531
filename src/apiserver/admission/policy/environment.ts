import { admissionTypes, type Cel, type CelModule, type KubeObject, type Namespace } from "../../../kube/index.ts";
import type { Authorizer } from "../../auth/index.ts";
import type { UserInfo } from "../../handler.ts";
import type { AdmissionRequest } from "../../registry/index.ts";
import type { ResourceName } from "../match.ts";

/** A request in the form in which a policy or a webhook sees it. */
export interface SeenRequest {
  readonly request: AdmissionRequest;
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly resource: ResourceName;
  readonly object?: KubeObject | undefined;
  readonly old?: KubeObject | undefined;
}

/** What expressions about one request can read. */
export interface Inputs {
  readonly seen: SeenRequest;
  /** Undefined for what is in no namespace. */
  readonly namespace?: Namespace | undefined;
  readonly params?: KubeObject | undefined;
  readonly authorizer: Authorizer;
}

/** Values of the variables for one request. Each is made when it is first read. */
export function bindingsOf(cel: CelModule, inputs: Inputs): (name: string) => Cel.Value | undefined {
  const made = new Map<string, Cel.Value | undefined>();
  return (name) => {
    if (made.has(name)) return made.get(name);
    const value = valueOf(cel, inputs, name);
    made.set(name, value);
    return value;
  };
}

function valueOf(cel: CelModule, { seen, namespace, params, authorizer }: Inputs, name: string): Cel.Value | undefined {
  const { user, resource, subresource } = seen.request.context;
  switch (name) {
    case "object":
      return cel.dynamicValue(seen.object);
    case "oldObject":
      return cel.dynamicValue(seen.old);
    case "request":
      return cel.valueOf(admissionRequest(seen), admissionTypes(cel).request);
    case "params":
      return cel.dynamicValue(params);
    case "namespaceObject":
      return namespace ? cel.valueOf(namespaceObject(namespace), admissionTypes(cel).namespace) : null;
    case "authorizer":
      return cel.authorizerValue(expressionAuthorizer(authorizer, user));
    case "authorizer.requestResource":
      return cel.resourceCheckValue(expressionAuthorizer(authorizer, user), {
        group: seen.resource.group || resource.group,
        resource: seen.resource.resource,
        subresource,
        namespace: seen.request.context.namespace,
        name: seen.request.name,
      });
    default:
      return undefined;
  }
}

function namespaceObject({ metadata, spec, status }: Namespace): object {
  const { uid, managedFields: _, ownerReferences: __, ...rest } = metadata;
  return { metadata: { ...rest, ...(uid === undefined ? {} : { UID: uid }) }, spec: spec ?? {}, status: status ?? {} };
}

/** The AdmissionRequest without its objects. What is empty is absent, as in its JSON. */
function admissionRequest({ request, kind, resource }: SeenRequest): object {
  const { context, operation, name } = request;
  const { user, subresource, namespace } = context;
  const named = context.shown?.resource ?? context.resource;
  return {
    kind: { group: kind.group, version: kind.version, kind: kind.kind },
    resource: { group: resource.group, version: resource.version, resource: resource.resource },
    ...(subresource ? { subResource: subresource, requestSubResource: subresource } : {}),
    requestKind: { group: request.kind.group, version: request.kind.version, kind: request.kind.kind },
    requestResource: { group: named.group, version: named.version, resource: named.plural },
    ...(name ? { name } : {}),
    ...(namespace ? { namespace } : {}),
    operation,
    userInfo: {
      ...(user.name ? { username: user.name } : {}),
      ...(user.uid ? { uid: user.uid } : {}),
      ...(user.groups.length > 0 ? { groups: user.groups } : {}),
      ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
    },
    dryRun: context.dryRun,
    ...(context.options ? { options: context.options() } : {}),
  };
}

/** Answers by the cluster's authorizer, for the user who asks and for service accounts. */
function expressionAuthorizer(authorizer: Authorizer, user: UserInfo): Cel.ExpressionAuthorizer {
  return {
    ask: (question) => {
      const { type, verb } = question;
      const action =
        type === "path"
          ? { type, verb, path: question.path }
          : {
              type,
              verb,
              group: question.group,
              resource: question.resource,
              subresource: question.subresource,
              namespace: question.namespace,
              name: question.name,
            };
      return authorizer.decide(user, action);
    },
    as: (namespace, name) =>
      expressionAuthorizer(authorizer, {
        name: `system:serviceaccount:${namespace}:${name}`,
        groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      }),
  };
}
