import type { Service } from "../kube/index.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import type { IgnoredField } from "./ignored-fields.ts";

/** How new connections are shared out, where not evenly: `web-0=3, node:node-2=2, zone:a=0`. */
export const weightsAnnotation = "fairlead.dev/weights";
/** What an administrator has ordered for all new connections to a Service: `drop`, `log`, or both. */
export const overrideAnnotation = "fairlead.dev/override";
/** How an endpoint is chosen, where not at random: `source-hash` or `least-connections`. */
export const balanceAnnotation = "fairlead.dev/balance";
/** Seconds for which a connection waits for an endpoint where there is none. */
export const holdAnnotation = "fairlead.dev/hold";
/** What becomes of established TCP connections to endpoints that are gone, where they are not left alone: `reset`. */
export const removedAnnotation = "fairlead.dev/removed-endpoints";

export type Balance = "source-hash" | "least-connections";

/** What Fairlead does beyond the Service API, where an annotation asks for it. */
export interface Extras {
  /** Nobody is led anywhere, and nobody is answered. */
  readonly drop: boolean;
  /** The first packets of connections are told, up to a limit. */
  readonly log: boolean;
  readonly balance?: Balance;
  readonly holdSeconds?: number;
  readonly resetRemoved: boolean;
  /** Shares of new connections; absent: even. */
  readonly weightOf?: (endpoint: ServiceEndpoint) => number;
  /** What is not understood, and left out. */
  readonly ignored: readonly IgnoredField[];
}

const none: Extras = { drop: false, log: false, resetRemoved: false, ignored: [] };
/** A share is a whole number up to this. */
const heaviest = 100;
const mostRules = 256;
/** Seconds: clients give up sooner or later. */
const longestHold = 300;

interface Rule {
  readonly kind: "node" | "zone" | "endpoint";
  readonly name: string;
  readonly weight: number;
}

/** Reads the annotations of a Service. What cannot be read is left out and named. */
export function extrasOf({ metadata: { annotations }, spec }: Service): Extras {
  if (!annotations) return none;
  const text = annotations[weightsAnnotation];
  const words = {
    order: annotations[overrideAnnotation],
    balance: annotations[balanceAnnotation],
    hold: annotations[holdAnnotation],
    removed: annotations[removedAnnotation],
  };
  if (text === undefined && Object.values(words).every((word) => word === undefined)) return none;
  const ignored: IgnoredField[] = [];
  const refuse = (annotation: string, value: string, should: string): void => {
    const said = JSON.stringify(value.trim().slice(0, 80));
    ignored.push({ field: `metadata.annotations[${annotation}]`, reason: `${said} ${should}` });
  };

  const rules: Rule[] = [];
  for (const part of text?.split(",", mostRules) ?? []) {
    if (part.trim() === "") continue;
    const [, kind = "endpoint", name, weight] = /^\s*(?:(node|zone):)?([^\s=]+)=(\d{1,3})\s*$/.exec(part) ?? [];
    if (name !== undefined && Number(weight) <= heaviest)
      rules.push({ kind: kind as Rule["kind"], name, weight: Number(weight) });
    else refuse(weightsAnnotation, part, `is not a pod, an address, node:NAME or zone:NAME with =0 to =${heaviest}`);
  }

  const orders = new Set<string>();
  for (const order of words.order?.split(",", 8).map((word) => word.trim()) ?? []) {
    if (order === "drop" || order === "log") orders.add(order);
    else refuse(overrideAnnotation, order, "is no order: drop and log are");
  }
  const { balance, hold, removed } = words;
  if (balance !== undefined && !isBalance(balance))
    refuse(balanceAnnotation, balance, "is no way to choose: source-hash and least-connections are");
  if (balance === "source-hash" && spec.sessionAffinity === "ClientIP")
    refuse(balanceAnnotation, balance, "does nothing beside sessionAffinity ClientIP");
  const holdSeconds = hold !== undefined && /^\d{1,3}$/.test(hold) ? Number(hold) : 0;
  if (hold !== undefined && (holdSeconds < 1 || holdSeconds > longestHold))
    refuse(holdAnnotation, hold, `is not a number of seconds from 1 to ${longestHold}`);
  if (removed !== undefined && removed !== "reset") refuse(removedAnnotation, removed, "is not understood: reset is");

  const weightOf = (endpoint: ServiceEndpoint) => rules.find((rule) => matches(rule, endpoint))?.weight ?? 1;
  return {
    drop: orders.has("drop"),
    log: orders.has("log"),
    resetRemoved: removed === "reset",
    ignored,
    ...(isBalance(balance) ? { balance } : {}),
    ...(holdSeconds >= 1 && holdSeconds <= longestHold ? { holdSeconds } : {}),
    ...(rules.length > 0 ? { weightOf } : {}),
  };
}

function isBalance(word: string | undefined): word is Balance {
  return word === "source-hash" || word === "least-connections";
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
