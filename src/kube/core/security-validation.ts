import type { PodSecurityContext, SeccompProfile, SecurityContext } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { inRange } from "../values/names.ts";

const maxId = 2 ** 31 - 1;

const seccompTypes = ["Localhost", "RuntimeDefault", "Unconfined"];

function* validateId(id: number | undefined, path: string): Faults {
  if (id !== undefined) yield* invalids(path, id, inRange(id, 0, maxId));
}

/** Faults of a container's security settings. */
export function* validateSecurityContext(context: SecurityContext | undefined, path: string): Faults {
  if (!context) return;
  yield* validateId(context.runAsUser, `${path}.runAsUser`);
  yield* validateId(context.runAsGroup, `${path}.runAsGroup`);
  if (context.procMount !== undefined) {
    yield* validateOneOf(context.procMount, ["Default", "Unmasked"], `${path}.procMount`);
  }
  yield* validateSeccomp(context.seccompProfile, `${path}.seccompProfile`);
  if (context.allowPrivilegeEscalation !== false) return;
  if (context.privileged) {
    yield fault.invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  }
  if (context.capabilities?.add?.includes("CAP_SYS_ADMIN")) {
    const text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
    yield fault.invalid(path, context, text);
  }
}

/** Faults of a pod's security settings. */
export function* validatePodSecurityContext(context: PodSecurityContext | undefined, path: string): Faults {
  if (!context) return;
  yield* validateId(context.fsGroup, `${path}.fsGroup`);
  yield* validateId(context.runAsUser, `${path}.runAsUser`);
  yield* validateId(context.runAsGroup, `${path}.runAsGroup`);
  for (const [i, id] of (context.supplementalGroups ?? []).entries()) {
    yield* validateId(id, `${path}.supplementalGroups[${i}]`);
  }
  if (context.fsGroupChangePolicy !== undefined) {
    yield* validateOneOf(context.fsGroupChangePolicy, ["Always", "OnRootMismatch"], `${path}.fsGroupChangePolicy`);
  }
  yield* validateSeccomp(context.seccompProfile, `${path}.seccompProfile`);
}

function* validateSeccomp(profile: SeccompProfile | undefined, path: string): Faults {
  if (!profile) return;
  const { type, localhostProfile } = profile;
  if (type === "") yield fault.required(`${path}.type`, "type is required when seccompProfile is set");
  else yield* validateOneOf(type, seccompTypes, `${path}.type`);
  if (type === "Localhost" && localhostProfile === undefined) {
    yield fault.required(`${path}.localhostProfile`, "must be set when seccomp type is Localhost");
  }
  if (type !== "Localhost" && localhostProfile !== undefined) {
    yield fault.invalid(`${path}.localhostProfile`, localhostProfile, "can only be set when seccomp type is Localhost");
  }
}
