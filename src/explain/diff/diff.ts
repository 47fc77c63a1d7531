import type { ProxyMode } from "../../proxy/index.ts";
import type { Facts, Finding } from "../doctor/check.ts";
import { examine } from "../doctor/doctor.ts";
import type { GatewayTranslation } from "../../routing/index.ts";
import { gatewayChanges } from "./gateways.ts";
import { type Change, routeChanges, serviceChanges, touchedServices } from "./meaning.ts";
import { rowChanges, type RowChanges } from "./rows.ts";

/** What would be otherwise if manifests were applied. */
export interface Difference {
  /** For clients: frontends, where they lead, and for requests the routes. */
  readonly changes: readonly Change[];
  /** What would be wrong that is not now, and what would be put right. */
  readonly appearing: readonly Finding[];
  readonly disappearing: readonly Finding[];
  /** For each mode that was asked for, on the first node. */
  readonly rows: readonly RowChanges[];
}

/** Compares two states of a cluster, in meaning and in rows. Pure. @param gateways what the Gateway API means in both, where that is known */
export function compareClusters(
  before: Facts,
  after: Facts,
  modes: readonly ProxyMode[],
  gateways?: { readonly before: GatewayTranslation; readonly after: GatewayTranslation },
): Difference {
  const keys = touchedServices(before.cluster, after.cluster);
  const node = (after.cluster.objects.nodes[0] ?? before.cluster.objects.nodes[0])?.metadata.name;
  const was = new Map(examine(before).map((finding) => [idOf(finding), finding]));
  const is = new Map(examine(after).map((finding) => [idOf(finding), finding]));
  return {
    changes: [
      ...serviceChanges(before.cluster, after.cluster, keys),
      ...routeChanges(before.routing, after.routing),
      ...(gateways ? gatewayChanges(gateways.before, gateways.after) : []),
    ],
    appearing: [...is].filter(([id]) => !was.has(id)).map(([, finding]) => finding),
    disappearing: [...was].filter(([id]) => !is.has(id)).map(([, finding]) => finding),
    rows:
      node === undefined ? [] : modes.map((mode) => rowChanges(before.cluster, after.cluster, { mode, node, keys })),
  };
}

const idOf = ({ check, object, field, problem }: Finding): string => [check, object, field, problem].join("\0");
