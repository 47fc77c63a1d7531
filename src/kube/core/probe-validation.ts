import type {
  Container,
  EphemeralContainer,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  PodSpec,
  Probe,
} from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { validateOneOf, validatePortOrName } from "../validation/ports.ts";
import { isHttpHeaderName, isPortNumber } from "../values/names.ts";

const timings = [
  "initialDelaySeconds",
  "timeoutSeconds",
  "periodSeconds",
  "successThreshold",
  "failureThreshold",
] as const;

/** Faults of the three probes of a container. */
export function* validateProbes(container: Container | EphemeralContainer, path: string): Faults {
  for (const field of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    const probe = container[field];
    if (!probe) continue;
    const at = `${path}.${field}`;
    yield* validateHandler(probe, at);
    for (const timing of timings) yield* validateNonNegative(probe[timing], `${at}.${timing}`);
    const { successThreshold, terminationGracePeriodSeconds: grace } = probe;
    if (grace !== undefined && grace <= 0) {
      yield fault.invalid(`${at}.terminationGracePeriodSeconds`, grace, "must be greater than 0");
    }
    if (field !== "readinessProbe") {
      if (successThreshold !== 1) yield fault.invalid(`${at}.successThreshold`, successThreshold, "must be 1");
    } else if (grace !== undefined) {
      yield fault.invalid(`${at}.terminationGracePeriodSeconds`, grace, "must not be set for readinessProbes");
    }
  }
}

/** Faults of the hooks of a container. */
export function* validateLifecycle(lifecycle: Lifecycle, spec: PodSpec, path: string): Faults {
  const grace = spec.terminationGracePeriodSeconds;
  if (lifecycle.postStart) yield* validateHandler(lifecycle.postStart, `${path}.postStart`, grace);
  if (lifecycle.preStop) yield* validateHandler(lifecycle.preStop, `${path}.preStop`, grace);
  if (lifecycle.stopSignal !== undefined && !spec.os) {
    yield fault.forbidden(`${path}.stopSignal`, "may not be set for containers with empty `spec.os.name`");
  }
}

/** What a probe or a hook does: exactly one thing. `grace` is the time the pod has to end, in seconds. */
function* validateHandler(handler: Probe | LifecycleHandler, path: string, grace?: number): Faults {
  const { exec, httpGet, tcpSocket } = handler;
  const grpc = "grpc" in handler ? handler.grpc : undefined;
  const sleep = "sleep" in handler ? handler.sleep : undefined;
  const actions = Object.entries({ exec, httpGet, tcpSocket, grpc, sleep });
  const [first, ...others] = actions.flatMap(([name, action]) => (action ? [name] : []));
  if (first === undefined) yield fault.required(path, "must specify a handler type");
  else if (exec) {
    if (!exec.command?.length) yield fault.required(`${path}.exec.command`);
  } else if (httpGet) yield* validateHttpGet(httpGet, `${path}.httpGet`);
  else if (tcpSocket) yield* validatePortOrName(tcpSocket.port, `${path}.tcpSocket.port`);
  else if (grpc) yield* invalids(`${path}.grpc.port`, grpc.port, isPortNumber(grpc.port));
  else if (sleep && grace !== undefined && (sleep.seconds < 0 || sleep.seconds > grace)) {
    const text = `must be non-negative and less than terminationGracePeriodSeconds (${grace})`;
    yield fault.invalid(`${path}.sleep`, sleep.seconds, text);
  }
  for (const name of others) yield fault.forbidden(`${path}.${name}`, "may not specify more than 1 handler type");
}

function* validateHttpGet({ path: target, port, scheme = "", httpHeaders = [] }: HTTPGetAction, path: string): Faults {
  if (!target) yield fault.required(`${path}.path`);
  yield* validatePortOrName(port, `${path}.port`);
  yield* validateOneOf(scheme, ["HTTP", "HTTPS"], `${path}.scheme`);
  for (const { name } of httpHeaders) yield* invalids(`${path}.httpHeaders`, name, isHttpHeaderName(name));
}
