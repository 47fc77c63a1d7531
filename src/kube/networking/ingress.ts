import { createStrategy } from "../base-strategy.ts";
import type { HTTPIngressPath, Ingress, IngressBackend, IngressTLS } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { validateIp } from "../validation/address.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { parseIp } from "../values/ip.ts";
import {
  isDns1035Label,
  isDns1123Subdomain,
  isPathSegment,
  isPortName,
  isPortNumber,
  isWildcardDns1123Subdomain,
} from "../values/names.ts";

const classAnnotation = "kubernetes.io/ingress.class";
const pathTypes = ["Exact", "ImplementationSpecific", "Prefix"];
const forbiddenInPath = ["//", "/./", "/../", "%2f", "%2F"];
const forbiddenAtEnd = ["/..", "/."];

export const ingressStrategy = createStrategy(resources.Ingress, {
  generationOf: (ingress) => ingress.spec,
  defaults(ingress) {
    ingress.spec ??= {};
  },
  prepareForCreate(ingress) {
    ingress.status = { loadBalancer: {} };
  },
  *validate(ingress, _context, old) {
    yield* validateSpec(ingress);
    if (!old) yield* validateClassAnnotation(ingress);
  },
  *validateStatus({ status }) {
    for (const [i, { ip, hostname }] of (status?.loadBalancer?.ingress ?? []).entries()) {
      const path = `status.loadBalancer.ingress[${i}]`;
      if (ip) yield* validateIp(ip, `${path}.ip`);
      if (!hostname) continue;
      yield* invalids(`${path}.hostname`, hostname, isDns1123Subdomain(hostname));
      if (parseIp(hostname)) yield fault.invalid(`${path}.hostname`, hostname, "must be a DNS name, not an IP address");
    }
  },
  warnings: ({ metadata }) =>
    metadata.annotations?.[classAnnotation] === undefined
      ? []
      : [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`],
});

function* validateSpec({ spec }: Ingress): Faults {
  const { rules = [], defaultBackend, ingressClassName } = spec;
  if (rules.length === 0 && !defaultBackend) {
    yield fault.invalid("spec", spec.rules, "either `defaultBackend` or `rules` must be specified");
  }
  if (defaultBackend) yield* validateBackend(defaultBackend, "spec.defaultBackend");
  for (const [i, { host = "", http }] of rules.entries()) {
    const path = `spec.rules[${i}]`;
    if (host !== "") yield* validateHost(host, `${path}.host`);
    if (!http) continue;
    if (!http.paths?.length) yield fault.required(`${path}.http.paths`);
    for (const [j, entry] of (http.paths ?? []).entries()) yield* validatePath(entry, `${path}.http.paths[${j}]`);
  }
  yield* validateTls(spec.tls ?? []);
  if (ingressClassName !== undefined) {
    yield* invalids("spec.ingressClassName", ingressClassName, isDns1123Subdomain(ingressClassName));
  }
}

function* validateHost(host: string, path: string): Faults {
  if (parseIp(host)) yield fault.invalid(path, host, "must be a DNS name, not an IP address");
  yield* validateHostName(host, path);
}

function* validateHostName(host: string, path: string): Faults {
  const check = host.includes("*") ? isWildcardDns1123Subdomain : isDns1123Subdomain;
  yield* invalids(path, host, check(host));
}

function* validatePath({ path: value = "", pathType, backend }: HTTPIngressPath, path: string): Faults {
  if (!pathType) yield fault.required(`${path}.pathType`, "pathType must be specified");
  else if (pathType === "ImplementationSpecific") {
    if (value !== "" && !value.startsWith("/")) yield fault.invalid(`${path}.path`, value, "must be an absolute path");
  } else if (!pathTypes.includes(pathType)) yield* validateOneOf(pathType, pathTypes, `${path}.pathType`);
  else {
    if (!value.startsWith("/")) yield fault.invalid(`${path}.path`, value, "must be an absolute path");
    if (value !== "") {
      for (const part of forbiddenInPath) {
        if (value.includes(part)) yield fault.invalid(`${path}.path`, value, `must not contain '${part}'`);
      }
      for (const part of forbiddenAtEnd) {
        if (value.endsWith(part)) yield fault.invalid(`${path}.path`, value, `cannot end with '${part}'`);
      }
    }
  }
  yield* validateBackend(backend ?? {}, `${path}.backend`);
}

function* validateBackend({ service, resource }: IngressBackend, path: string): Faults {
  if (service && resource) {
    yield fault.invalid(path, "", "cannot set both resource and service backends");
    return;
  }
  if (resource) {
    if (resource.apiGroup !== undefined) {
      yield* invalids(`${path}.resource.apiGroup`, resource.apiGroup, isDns1123Subdomain(resource.apiGroup));
    }
    if (!resource.kind) yield fault.required(`${path}.resource.kind`);
    else yield* invalids(`${path}.resource.kind`, resource.kind, isPathSegment(resource.kind));
    if (!resource.name) yield fault.required(`${path}.resource.name`);
    else yield* invalids(`${path}.resource.name`, resource.name, isPathSegment(resource.name));
    return;
  }
  if (!service) {
    yield fault.invalid(path, "", "resource or service backend is required");
    return;
  }
  if (!service.name) yield fault.required(`${path}.service.name`);
  else yield* invalids(`${path}.service.name`, service.name, isDns1035Label(service.name));
  const { name: portName, number } = service.port ?? {};
  if (portName && number) {
    yield fault.invalid(path, "", "cannot set both port name & port number");
  } else if (portName) yield* invalids(`${path}.service.port.name`, portName, isPortName(portName));
  else if (number) yield* invalids(`${path}.service.port.number`, number, isPortNumber(number));
  else yield fault.required(path, "port name or number is required");
}

function* validateTls(entries: readonly IngressTLS[]): Faults {
  for (const [i, { hosts = [], secretName = "" }] of entries.entries()) {
    for (const [j, host] of hosts.entries()) yield* validateHostName(host, `spec.tls[${i}].hosts[${j}]`);
    if (secretName !== "") yield* invalids(`spec.tls[${i}].secretName`, secretName, isDns1123Subdomain(secretName));
  }
}

/** The annotation is the older way to name a class: a new object may not name two. */
function* validateClassAnnotation({ metadata, spec }: Ingress): Faults {
  const annotation = metadata.annotations?.[classAnnotation];
  const { ingressClassName } = spec;
  if (annotation === undefined || ingressClassName === undefined || annotation === ingressClassName) return;
  const path = `annotations.${classAnnotation}`;
  yield fault.invalid(path, annotation, "must match `ingressClassName` when both are specified");
}
