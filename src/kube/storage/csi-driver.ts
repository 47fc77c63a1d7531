import { createStrategy } from "../base-strategy.ts";
import type { CSIDriverSpec, StorageTokenRequest } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateImmutable } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Subdomain } from "../values/names.ts";

const groupPolicies = ["File", "None", "ReadWriteOnceWithFSType"];
const lifecycleModes = ["Persistent", "Ephemeral"];
const longestName = 63;
const shortestToken = 600;
const longestToken = 2 ** 32;
const shortestUpdatePeriod = 10;

/** A storage driver. Whether volumes are attached, and which lifecycles they may have, stays what it was; the rest may change. */
export const csiDriverStrategy = createStrategy(resources.CSIDriver, {
  allowUnconditionalUpdate: false,
  defaults({ spec }) {
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= "ReadWriteOnceWithFSType";
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ["Persistent"];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  *validate({ metadata, spec }, _context, old) {
    if (old) {
      // The first is what upstream calls the field here.
      yield* validateImmutable(spec.attachRequired, old.spec.attachRequired, "spec.attachedRequired");
      yield* validateImmutable(spec.volumeLifecycleModes, old.spec.volumeLifecycleModes, "spec.volumeLifecycleModes");
      yield* validateTokens(spec.tokenRequests ?? []);
      yield* validateRest(spec);
      return;
    }
    // A missing name is told with the metadata.
    if (metadata.name) yield* validateDriverName(metadata.name, "metadata.name");
    yield* validateOneOf(spec.fsGroupPolicy ?? "", groupPolicies, "spec.fsGroupPolicy");
    yield* validateTokens(spec.tokenRequests ?? []);
    for (const mode of spec.volumeLifecycleModes ?? [])
      yield* validateOneOf(mode, lifecycleModes, "spec.volumeLifecycleModes");
    yield* validateRest(spec);
  },
});

/** Faults of the name of a storage driver. */
export function* validateDriverName(name: string, path: string): Faults {
  if (name === "") {
    yield fault.required(path);
    return;
  }
  if (Buffer.byteLength(name) > longestName) yield fault.tooLong(path, longestName);
  yield* invalids(path, name, isDns1123Subdomain(name.toLowerCase()));
}

function* validateTokens(tokens: readonly StorageTokenRequest[]): Faults {
  const audiences = new Set<string>();
  for (const [i, { audience, expirationSeconds: seconds }] of tokens.entries()) {
    const path = `spec.tokenRequests[${i}]`;
    if (audiences.has(audience)) {
      yield fault.duplicate(`${path}.audience`, audience);
      continue;
    }
    audiences.add(audience);
    if (seconds === undefined) continue;
    const at = `${path}.expirationSeconds`;
    if (seconds < shortestToken) yield fault.invalid(at, seconds, "may not specify a duration less than 10 minutes");
    if (seconds > longestToken) yield fault.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds");
  }
}

function* validateRest(spec: CSIDriverSpec): Faults {
  const { nodeAllocatableUpdatePeriodSeconds: period, serviceAccountTokenInSecrets: inSecrets, tokenRequests } = spec;
  if (period !== undefined && period < shortestUpdatePeriod) {
    const text = `must be greater than or equal to ${shortestUpdatePeriod} seconds`;
    yield fault.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, text);
  }
  if (inSecrets !== undefined && !tokenRequests?.length) {
    const text = "must not be set when spec.tokenRequests is empty";
    yield fault.forbidden("spec.serviceAccountTokenInSecrets", text);
  }
}
