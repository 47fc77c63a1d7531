import type { IntOrString } from "../generated/types.ts";
import { isPortName, isPortNumber } from "../values/names.ts";
import { fault, invalids, type Faults } from "./fault.ts";

export const protocols = ["SCTP", "TCP", "UDP"] as const;

/** A port as a number, or as the name of a container's port. */
export function* validatePortOrName(port: IntOrString | undefined, path: string): Faults {
  const value = port ?? 0;
  yield* invalids(path, value, typeof value === "number" ? isPortNumber(value) : isPortName(value));
}

/** TCP, UDP or SCTP. */
export const validateProtocol = (protocol: string | undefined, path: string): Faults =>
  validateChoice(protocol, protocols, path);

export function* validateOneOf(value: string, supported: readonly string[], path: string): Faults {
  if (!supported.includes(value)) yield fault.notSupported(path, value, supported);
}

/** One of the supported values, which must be there. */
export function* validateChoice(value: string | undefined, supported: readonly string[], path: string): Faults {
  if (!value) yield fault.required(path);
  else yield* validateOneOf(value, supported, path);
}
