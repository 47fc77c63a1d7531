import { createStrategy } from "../base-strategy.ts";
import type { IngressClassParametersReference } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Subdomain, isPathSegment } from "../values/names.ts";

const maxControllerBytes = 250;

export const ingressClassStrategy = createStrategy(resources.IngressClass, {
  generationOf: (ingressClass) => ingressClass.spec,
  defaults(ingressClass) {
    ingressClass.spec ??= {};
    if (ingressClass.spec.parameters) ingressClass.spec.parameters.scope ??= "Cluster";
  },
  *validate({ spec }, _context, old) {
    const { controller = "", parameters } = spec;
    if (old) yield* validateImmutable(controller, old.spec.controller ?? "", "spec.controller");
    if (Buffer.byteLength(controller) > maxControllerBytes) yield fault.tooLong("spec.controller", maxControllerBytes);
    yield* validateController(controller);
    if (parameters) yield* validateParameters(parameters);
  },
});

/** `example.com/name`: a domain and a path. */
function* validateController(value: string): Faults {
  const path = "spec.controller";
  if (value === "") {
    yield fault.required(path);
    return;
  }
  const slash = value.indexOf("/");
  const [host, rest] = [value.slice(0, Math.max(slash, 0)), value.slice(slash + 1)];
  if (host === "" || rest === "") {
    yield fault.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")');
    return;
  }
  yield* invalids(path, host, isDns1123Subdomain(host));
  const form = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
  if (!new RegExp(`^${form}$`).test(rest)) {
    yield fault.invalid(path, rest, `Invalid path (regex used for validation is '${form}')`);
  }
}

function* validateParameters(parameters: IngressClassParametersReference): Faults {
  const path = "spec.parameters";
  const { apiGroup, kind, name, scope = "", namespace } = parameters;
  if (apiGroup !== undefined) yield* invalids(`${path}.apiGroup`, apiGroup, isDns1123Subdomain(apiGroup));
  for (const [field, value] of Object.entries({ kind, name })) {
    if (value === "") yield fault.required(`${path}.${field}`);
    else yield* invalids(`${path}.${field}`, value, isPathSegment(value));
  }
  yield* validateOneOf(scope, ["Cluster", "Namespace"], `${path}.scope`);
  if (scope === "Namespace" && !namespace) {
    yield fault.required(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'");
  }
  if (scope === "Cluster" && namespace !== undefined) {
    yield fault.forbidden(`${path}.namespace`, "`parameters.scope` is set to 'Cluster'");
  }
}
