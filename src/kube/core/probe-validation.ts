import type { Container, EphemeralContainer, HTTPGetAction, LifecycleHandler, Probe } from "../generated/types.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { validateOneOf, validatePortOrName } from "../validation/ports.ts";
import { isHttpHeaderName, isPortNumber } from "../values/names.ts";

/** Faults of the three probes of a container. */
export function* validateProbes(container: Container | EphemeralContainer, path: string): Faults {
  for (const field of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    const probe = container[field];
    if (!probe) continue;
    const at = `${path}.${field}`;
    yield* validateProbe(probe, at);
    const { successThreshold = 1, terminationGracePeriodSeconds: grace } = probe;
    if (field !== "readinessProbe" && successThreshold !== 1) {
      yield fault.invalid(`${at}.successThreshold`, successThreshold, "must be 1");
    }
    if (field === "readinessProbe" && grace !== undefined) {
      yield fault.invalid(`${at}.terminationGracePeriodSeconds`, grace, "must not be set for readinessProbes");
    } else if (grace !== undefined && grace <= 0) {
      yield fault.invalid(`${at}.terminationGracePeriodSeconds`, grace, "must be greater than 0");
    }
  }
}

function* validateProbe(probe: Probe, path: string): Faults {
  yield* validateHandler(probe, path);
  const fields = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ] as const;
  for (const field of fields) yield* validateNonNegative(probe[field], `${path}.${field}`);
}

/** What a probe or a lifecycle hook does: exactly one thing. */
export function* validateHandler(handler: Probe | LifecycleHandler, path: string): Faults {
  const { exec, httpGet, tcpSocket } = handler;
  const grpc = "grpc" in handler ? handler.grpc : undefined;
  const sleep = "sleep" in handler ? handler.sleep : undefined;
  const given = Object.entries({ exec, httpGet, tcpSocket, grpc, sleep }).filter(([, action]) => action);
  for (const [name] of given.slice(1))
    yield fault.forbidden(`${path}.${name}`, "may not specify more than 1 handler type");
  if (given.length === 0) yield fault.required(path, "must specify a handler type");
  if (exec && !exec.command?.length) yield fault.required(`${path}.exec.command`);
  if (httpGet) yield* validateHttpGet(httpGet, `${path}.httpGet`);
  if (tcpSocket) yield* validatePortOrName(tcpSocket.port, `${path}.tcpSocket.port`);
  if (grpc) yield* invalids(`${path}.grpc.port`, grpc.port, isPortNumber(grpc.port));
  if (sleep && sleep.seconds < 0) {
    yield fault.invalid(`${path}.sleep`, sleep.seconds, "must be greater than or equal to 0");
  }
}

function* validateHttpGet({ path: target, port, scheme = "", httpHeaders = [] }: HTTPGetAction, path: string): Faults {
  if (!target) yield fault.required(`${path}.path`);
  yield* validatePortOrName(port, `${path}.port`);
  yield* validateOneOf(scheme, ["HTTP", "HTTPS"], `${path}.scheme`);
  for (const { name } of httpHeaders) yield* invalids(`${path}.httpHeaders`, name, isHttpHeaderName(name));
}
