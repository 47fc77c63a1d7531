import type { Pool } from "../../routing/index.ts";
import { endpointId } from "../endpoint-id.ts";
import { addressParts, keyOf } from "./command.ts";
import { type Entries, putRow } from "./entries.ts";
import { rowText } from "./row.ts";
import type { Servers } from "./servers.ts";
import type { Slot } from "./slots.ts";

/** How the program itself speaks to a pool's endpoints: in clear, over TLS with whoever answers, or not at all. */
export function wayTo({ protocol, tls, proxyProtocol }: Pool): "plain" | "tls" | "other" {
  if (protocol !== "http" || proxyProtocol !== undefined) return "other";
  if (!tls) return "plain";
  return tls.unverified && !tls.client ? "tls" : "other";
}

/**
 * The rows that tell the Lua program who stands behind a slot: how it is spoken to (`wayTo`), then address, port, server and id of each
 * endpoint. Only for pools that it chooses from or asks itself.
 */
export function endpointRows(
  watched: ReadonlySet<string>,
  slots: ReadonlyMap<string, Slot>,
  pools: ReadonlyMap<string, Pool>,
  servers: Servers,
): Entries {
  const rows = new Map<string, string>();
  for (const key of watched) {
    const slot = slots.get(key);
    const pool = pools.get(key);
    if (slot === undefined || !pool) continue;
    const endpoints = [...(servers.get(slot)?.values() ?? [])].map(({ name, address }) => {
      const [host, port] = addressParts(address);
      return [host, port, name, endpointId(host, port)];
    });
    putRow(rows, keyOf("w", slot), rowText([wayTo(pool), ...endpoints]));
  }
  return rows;
}
