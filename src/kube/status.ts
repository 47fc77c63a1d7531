import type { Status, StatusCause } from "./generated/types.ts";

/** `reason` of a Status, as apimachinery's `metav1.StatusReason` has them, with the HTTP code each goes with. */
export const reasonCodes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
  ServerTimeout: 500,
} as const;

export type StatusReason = keyof typeof reasonCodes;

/** What went wrong with which object; `causes` name the fields. */
export interface StatusErrorDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** An error that the API answers with, or that an API answered with. `status` is the body, ready to be sent. */
export class StatusError extends Error {
  readonly status: Status;

  constructor(status: Status, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? "unknown error", options);
    this.name = "StatusError";
    this.status = status;
  }

  /** HTTP status code. */
  get code(): number {
    return this.status.code ?? 500;
  }

  get reason(): string {
    return this.status.reason ?? "";
  }
}

/** A StatusError of `reason`. Its fields stand as Go writes them: there are clients that show and compare the text. */
export function statusError(reason: StatusReason, message: string, details?: StatusErrorDetails): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    ...(details ? { details: withoutEmpty(details) } : {}),
    code: reasonCodes[reason],
  });
}

/** Go leaves out what is empty. */
function withoutEmpty({ name, group, kind, uid, ...rest }: StatusErrorDetails): StatusErrorDetails {
  return {
    ...(name ? { name } : {}),
    ...(group ? { group } : {}),
    ...(kind ? { kind } : {}),
    ...(uid ? { uid } : {}),
    ...rest,
  };
}

/** True when `error` is a StatusError of one of `reasons`. */
export function isStatus(error: unknown, ...reasons: StatusReason[]): error is StatusError {
  return error instanceof StatusError && reasons.some((reason) => error.reason === reason);
}

/** True when the API refused to put something into a namespace because the namespace is going away. */
export function isNamespaceTerminating(error: unknown): boolean {
  const causes = isStatus(error, "Forbidden") ? error.status.details?.causes : undefined;
  return causes?.some(({ reason }) => reason === "NamespaceTerminating") ?? false;
}

/** 500 for what upstream has no reason for: its plain errors. */
export function unknownError(message: string): StatusError {
  return new StatusError({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, code: 500 });
}
