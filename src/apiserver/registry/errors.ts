import { statusError, type Resource, type StatusError } from "../../kube/index.ts";

/** `deployments.apps`, `pods`: how Kubernetes' messages name a resource. */
export function qualified(resource: Pick<Resource, "plural" | "group">): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

function details(
  resource: Pick<Resource, "plural" | "group">,
  name: string,
): {
  name: string;
  group: string;
  kind: string;
} {
  return { name, group: resource.group, kind: resource.plural };
}

export function notFound(resource: Pick<Resource, "plural" | "group">, name: string): StatusError {
  return statusError("NotFound", `${qualified(resource)} ${JSON.stringify(name)} not found`, details(resource, name));
}

export function alreadyExists(resource: Resource, name: string): StatusError {
  return statusError(
    "AlreadyExists",
    `${qualified(resource)} ${JSON.stringify(name)} already exists`,
    details(resource, name),
  );
}

export function conflict(resource: Pick<Resource, "plural" | "group">, name: string, why: string): StatusError {
  return statusError(
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(resource)} ${JSON.stringify(name)}: ${why}`,
    details(resource, name),
  );
}

export function modified(resource: Resource, name: string): StatusError {
  return conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

export function forbidden(
  resource: Pick<Resource, "plural" | "group">,
  name: string,
  why: string,
  causes?: { reason: string; message: string; field: string }[],
): StatusError {
  const what = name ? `${qualified(resource)} ${JSON.stringify(name)}` : qualified(resource);
  return statusError("Forbidden", `${what} is forbidden: ${why}`, {
    ...details(resource, name),
    ...(causes ? { causes } : {}),
  });
}

/** As upstream's router of custom resources. */
export function notSupported(resource: Pick<Resource, "plural" | "group">, verb: string): StatusError {
  const text = `${verb} is not supported on resources of kind ${JSON.stringify(qualified(resource))}`;
  return statusError("MethodNotAllowed", text, { group: resource.group, kind: resource.plural });
}

/** As upstream's router, which has no route for the method: it says nothing of the kind. */
export function methodNotAllowed(): StatusError {
  return statusError("MethodNotAllowed", "the server does not allow this method on the requested resource", {});
}
