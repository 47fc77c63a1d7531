import { createStrategy } from "../base-strategy.ts";
import type { APIServiceCondition, APIServiceSpec } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1035Label, isDns1123Subdomain, isPathSegment, isPortNumber } from "../values/names.ts";

/** Which server answers for one version of a group. The object is named after both: `v1.apps`, and `v1.` for the core group. */
export const apiServiceStrategy = createStrategy(resources.APIService, {
  name: isPathSegment,
  defaults: ({ spec }) => {
    if (spec.service) spec.service.port ??= 443;
  },
  prepareForCreate: (object, { now }) => {
    if (!object.spec.service) object.status = { conditions: [local(now)] };
  },
  statusKeeps: "metadata",
  *validateStatus({ status }) {
    for (const [i, { status: value }] of (status?.conditions ?? []).entries())
      yield* validateOneOf(value, ["True", "False", "Unknown"], `status.conditions[${i}].status`);
  },
  validate: ({ metadata, spec }) => validateService(metadata.name, spec),
});

const local = (lastTransitionTime: string): APIServiceCondition => ({
  type: "Available",
  status: "True",
  reason: "Local",
  message: "Local APIServices are always available",
  lastTransitionTime,
});

function* validateService(name: string, spec: APIServiceSpec): Faults {
  const { group = "", version = "", groupPriorityMinimum, versionPriority } = spec;
  const wanted = `${version}.${group}`;
  if (name && name !== wanted && isPathSegment(name).length === 0)
    yield fault.invalid("metadata.name", name, `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`);
  if (group) yield* invalids("spec.group", group, isDns1123Subdomain(group));
  else if (version !== "v1")
    yield fault.required("spec.group", "only v1 may have an empty group and it better be legacy kube");
  yield* invalids("spec.version", version, isDns1035Label(version));
  yield* validatePriority("spec.groupPriorityMinimum", groupPriorityMinimum, 20_000);
  yield* validatePriority("spec.versionPriority", versionPriority, 1000);
  yield* spec.service ? validateRemote(spec, spec.service) : validateLocal(spec);
}

function* validatePriority(field: string, value: number, max: number): Faults {
  if (value <= 0 || value > max) yield fault.invalid(field, value, `must be positive and less than ${max}`);
}

function* validateLocal({ caBundle, insecureSkipTLSVerify }: APIServiceSpec): Faults {
  if (caBundle)
    yield fault.invalid(
      "spec.caBundle",
      `${Buffer.from(caBundle, "base64").length} bytes`,
      "local APIServices may not have a caBundle",
    );
  if (insecureSkipTLSVerify)
    yield fault.invalid("spec.insecureSkipTLSVerify", true, "local APIServices may not have insecureSkipTLSVerify");
}

function* validateRemote(
  { caBundle, insecureSkipTLSVerify }: APIServiceSpec,
  { namespace, name, port = 443 }: NonNullable<APIServiceSpec["service"]>,
): Faults {
  if (!namespace) yield fault.required("spec.service.namespace");
  if (!name) yield fault.required("spec.service.name");
  if (isPortNumber(port).length > 0)
    yield fault.invalid("spec.service.port", port, `port is not valid: ${isPortNumber(port).join(",")}`);
  if (insecureSkipTLSVerify && caBundle)
    yield fault.invalid("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present");
}
