import { StoreError } from "../store.ts";

export const statusUnavailable = 14;

/** The outcome of a gRPC call that failed. `code` is gRPC's status code. */
export class GrpcError extends Error {
  readonly code: number;
  /** False when it is sure that the member has not begun with the call. */
  readonly sent: boolean;

  constructor(code: number, message: string, { sent, cause }: { sent: boolean; cause?: unknown }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "GrpcError";
    this.code = code;
    this.sent = sent;
  }
}

/** Answers of a member that refused the call before it proposed anything: another member, or a later try, may take it. */
const refusals = ["etcdserver: no leader", "etcdserver: not leader", "etcdserver: rpc not supported for learner"];

/** True when a call surely had no effect and may be sent again, whatever it is. */
export function isUntouched(error: GrpcError): boolean {
  return !error.sent || refusals.includes(error.message);
}

/** Wrong credentials, or a token that the member no longer knows. */
export function isStaleToken(error: GrpcError): boolean {
  return (
    error.message === "etcdserver: invalid auth token" || error.message.startsWith("etcdserver: revision of auth store")
  );
}

/** The members may answer a read later, or another may now. */
export function isPassing(error: GrpcError): boolean {
  if (isUntouched(error)) return true;
  // UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED: of the member or of the way to it. Too many requests also passes.
  return error.code === statusUnavailable || error.code === 4 || error.code === 1 || isBusy(error);
}

function isBusy(error: GrpcError): boolean {
  return error.message === "etcdserver: too many requests";
}

/** The store's word for what etcd said. `writing`: the call might have changed something. */
export function storeError(error: unknown, writing: boolean): StoreError {
  if (error instanceof StoreError) return error;
  if (!(error instanceof GrpcError)) throw error;
  const { message } = error;
  const of = (code: StoreError["code"], text: string) => new StoreError(code, text, { cause: error });
  if (message === "etcdserver: mvcc: required revision has been compacted") return of("COMPACTED", message);
  if (message === "etcdserver: mvcc: required revision is a future revision") return of("FUTURE_REVISION", message);
  if (message === "etcdserver: mvcc: database space exceeded")
    return of("NO_SPACE", `${message}: compact and defragment etcd, or raise its quota, then disarm the alarm`);
  if (isBusy(error)) return of("TOO_MANY_REQUESTS", message);
  if (message === "etcdserver: request is too large" || message === "etcdserver: too many operations in txn request")
    return of("TOO_LARGE", message);
  if (error.code === 7 || error.code === 16 || message.includes("authentication failed"))
    return of("DENIED", `etcd refuses the store's user: ${message}`);
  if (isUntouched(error)) return of("UNAVAILABLE", `etcd cannot be reached: ${message}`);
  if (writing && isPassing(error))
    return of("OUTCOME_UNKNOWN", `it is not known whether etcd took the write: ${message}`);
  return of("UNAVAILABLE", `etcd: ${message}`);
}
