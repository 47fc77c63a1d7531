import type { Service } from "../kube/index.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import type { IgnoredField } from "./ignored-fields.ts";

/** How new connections are shared out, where not evenly: `web-0=3, node:node-2=2, zone:a=0`. */
export const weightsAnnotation = "fairlead.dev/weights";
/** What an administrator has ordered for all new connections to a Service: `drop`. */
export const overrideAnnotation = "fairlead.dev/override";

/** What Fairlead does beyond the Service API, where an annotation asks for it. */
export interface Extras {
  /** Nobody is led anywhere, and nobody is answered. */
  readonly drop: boolean;
  /** Shares of new connections; absent: even. */
  readonly weightOf?: (endpoint: ServiceEndpoint) => number;
  /** What is not understood, and left out. */
  readonly ignored: readonly IgnoredField[];
}

const none: Extras = { drop: false, ignored: [] };
/** A share is a whole number up to this. */
const heaviest = 100;
const mostRules = 256;

interface Rule {
  readonly kind: "node" | "zone" | "endpoint";
  readonly name: string;
  readonly weight: number;
}

/** Reads the annotations of a Service. What cannot be read is left out and named. */
export function extrasOf({ metadata: { annotations } }: Service): Extras {
  if (!annotations) return none;
  const [text, order] = [annotations[weightsAnnotation], annotations[overrideAnnotation]];
  if (text === undefined && order === undefined) return none;
  const ignored: IgnoredField[] = [];
  const rules: Rule[] = [];
  for (const part of text?.split(",", mostRules) ?? []) {
    if (part.trim() === "") continue;
    const [, kind = "endpoint", name, weight] = /^\s*(?:(node|zone):)?([^\s=]+)=(\d{1,3})\s*$/.exec(part) ?? [];
    if (name !== undefined && Number(weight) <= heaviest)
      rules.push({ kind: kind as Rule["kind"], name, weight: Number(weight) });
    else
      ignored.push({
        field: `metadata.annotations[${weightsAnnotation}]`,
        reason: `${JSON.stringify(part.trim().slice(0, 80))} is not a pod, an address, node:NAME or zone:NAME with =0 to =${heaviest}`,
      });
  }
  if (order !== undefined && order !== "drop")
    ignored.push({
      field: `metadata.annotations[${overrideAnnotation}]`,
      reason: `${JSON.stringify(order.slice(0, 80))} is no order: drop is`,
    });
  const weightOf = (endpoint: ServiceEndpoint) => rules.find((rule) => matches(rule, endpoint))?.weight ?? 1;
  return { drop: order === "drop", ignored, ...(rules.length > 0 ? { weightOf } : {}) };
}

function matches({ kind, name }: Rule, { address, pod, nodeName, zone }: ServiceEndpoint): boolean {
  if (kind === "node") return nodeName === name;
  if (kind === "zone") return zone === name;
  return address === name || pod?.slice(pod.indexOf("/") + 1) === name;
}

/**
 * The endpoints with their shares. One whose share is 0 is given no new connections; where that is so of all that are there, shares do not
 * count, as a Service whose last endpoints are being emptied still has to be answered.
 */
export function weighted(
  endpoints: readonly ServiceEndpoint[],
  weightOf: (endpoint: ServiceEndpoint) => number,
): readonly ServiceEndpoint[] {
  const shares = endpoints.map(weightOf);
  if (shares.every((share) => share === shares[0])) return endpoints;
  const divisor = shares.reduce(greatestDivisor, 0);
  return endpoints.flatMap((endpoint, i) => {
    const weight = (shares[i] ?? 1) / divisor;
    return weight === 0 ? [] : [weight === 1 ? endpoint : { ...endpoint, weight }];
  });
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
