import type { Logger } from "../system/index.ts";
import type { ApiRequest, ApiResponse } from "./handler.ts";
import { isLongRunning } from "./intake/index.ts";
import type { RequestInfo } from "./request/request-info.ts";

/** Writes lines about requests. */
export type RequestLog = (request: ApiRequest, info: RequestInfo, response: ApiResponse, milliseconds: number) => void;

/** Milliseconds from which a request is slow, whatever else is logged. */
const slow = 1000;
/** Verbosity from which every request is logged, as kube-apiserver's `--v`. */
const everyRequest = 3;

/**
 * One line for each slow request and, from a verbosity of 3 on, for every one. Lines hold neither queries nor bodies nor credentials: what
 * is in them may be shown to whoever may read the log.
 */
export function createRequestLog(log: Logger, verbosity: number): RequestLog {
  const target = log.child({ component: "apiserver" });
  return (request, info, response, milliseconds) => {
    const isSlow = milliseconds >= slow && !isLongRunning(info, request.query);
    if (!isSlow && verbosity < everyRequest) return;
    const { origin, user, headers } = request;
    target.info(
      {
        ...(origin ? { id: origin.auditId, source: origin.addresses().at(-1) } : {}),
        verb: info.verb,
        path: info.path,
        user: user?.name ?? "system:anonymous",
        ...(headers["user-agent"] ? { userAgent: headers["user-agent"] } : {}),
        code: response.status,
        latency: Math.round(milliseconds * 10) / 10,
      },
      isSlow ? "slow request" : "request",
    );
  };
}
