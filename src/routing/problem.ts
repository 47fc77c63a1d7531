import type { ObjectRef } from "./model.ts";

/** What is wrong with an object, where, and what would put it right. The rest of the object still works. */
export interface Problem {
  readonly object: ObjectRef;
  /** Path from the root of the object, for example `spec.rules[0].http.paths[1].backend.service.name`. */
  readonly field: string;
  readonly reason:
    | "ServiceNotFound"
    | "ServicePortNotFound"
    | "UnsupportedService"
    | "UnsupportedBackend"
    | "SecretNotFound"
    | "InvalidCertificate"
    | "IngressClassNotFound"
    | "InvalidHost"
    | "InvalidPath"
    | "InvalidStreamService"
    | "PortUnavailable"
    | "InvalidAnnotation"
    | "UnsupportedFeature"
    | "Conflict";
  readonly message: string;
  readonly remedy: string;
}
