import type { Pool } from "../../../routing/index.ts";
import type { BoundListener } from "../../dataplane.ts";
import type { Limits } from "../limits.ts";
import type { Difference } from "./difference.ts";
import type { Span } from "../../tracing/span.ts";
import type { Figures } from "./figures.ts";

/** A port as the controller opened it. */
export interface Place {
  readonly bound: BoundListener;
  /** A descriptor for each of these addresses of it has been sent: the process's earlier ones, if any, are of no use. */
  readonly fresh?: readonly string[];
}

/** To a process that serves. Each but `begin` and `stop` is answered once, in the order of their coming; `drain` when the last connection is done. */
export type ToWorker =
  | {
      readonly type: "begin";
      readonly limits: Limits;
      readonly trustedForwarders: readonly string[];
      /** Standard output is the access log. */
      readonly accessLog: boolean;
      /** `Tracing.sample`; absent: requests are not traced. */
      readonly sample?: number;
    }
  | {
      readonly type: "apply";
      readonly id: number;
      readonly difference: Difference;
      readonly places: readonly Place[];
    }
  | { readonly type: "pools"; readonly id: number; readonly pools: readonly Pool[] }
  /** No new connections; those that are there end with their next answer. */
  | { readonly type: "drain"; readonly id: number }
  /** No new connections; end when the last one is done. */
  | { readonly type: "stop" };

export type FromWorker =
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "failed"; readonly id: number; readonly why: string }
  | { readonly type: "figures"; readonly figures: Figures }
  /** `lost`: so many more that found no room. */
  | { readonly type: "spans"; readonly spans: readonly Span[]; readonly lost: number };
