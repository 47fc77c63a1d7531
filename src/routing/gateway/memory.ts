import { createHosts, type Hosts } from "../hosts.ts";
import { createPoolTable, type PoolTable } from "../pool-table.ts";
import { createRouteTable, type RouteTable } from "./route-table.ts";

/**
 * What was worked out before. Without it, or after a translation that threw, a translation begins from nothing. Objects that mean the same must be
 * the same objects, or they are read anew.
 */
export interface GatewayMemory {
  readonly pools: PoolTable;
  readonly routes: RouteTable;
  /** The table of hosts of a listener, by `entryKey`. */
  hosts(entry: string): Hosts;
  /** Forgets the tables of all other listeners. */
  keepHosts(entries: ReadonlySet<string>): void;
  /** A mark of what all routes depend on: the same while `parts` are the same, one by one. */
  surroundings(parts: readonly unknown[]): object;
}

export function createGatewayMemory(): GatewayMemory {
  const tables = new Map<string, Hosts>();
  let parts: readonly unknown[] = [];
  let mark = {};
  return {
    pools: createPoolTable(),
    routes: createRouteTable(),
    hosts(entry) {
      let table = tables.get(entry);
      if (!table) tables.set(entry, (table = createHosts("Gateway")));
      return table;
    },
    keepHosts(entries) {
      for (const key of tables.keys()) if (!entries.has(key)) tables.delete(key);
    },
    surroundings(now) {
      if (now.length !== parts.length || now.some((part, index) => part !== parts[index])) mark = {};
      parts = now;
      return mark;
    },
  };
}
