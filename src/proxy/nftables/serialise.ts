import { isIPv4, isIPv6 } from "node:net";
import type { Family } from "../../services/index.ts";
import type { Atom, Row } from "../../tables/index.ts";
import { hex, largestEndpoint } from "./marks.ts";
import { chainOf, logChainOf, slotSizes, type Draw } from "./ruleset.ts";

type Write = (atom: Atom | undefined) => string | undefined;

function integer(least: number, most: number): Write {
  return (atom) =>
    typeof atom === "number" && Number.isInteger(atom) && atom >= least && atom <= most ? String(atom) : undefined;
}

const addresses: Readonly<Record<Family, Write>> = {
  IPv4: (atom) => (typeof atom === "string" && isIPv4(atom) ? atom : undefined),
  IPv6: (atom) => (typeof atom === "string" && isIPv6(atom) && !atom.includes("%") ? atom : undefined),
};
const protocol: Write = (atom) => (atom === "tcp" || atom === "udp" || atom === "sctp" ? atom : undefined);
const port = integer(1, 65_535);
const index = integer(0, 65_535);
const mark: Write = (atom) => (integer(0, 0xffff_ffff)(atom) === undefined ? undefined : hex(Number(atom)));
const rangeOf =
  (family: Family): Write =>
  (atom) => {
    const [network, prefix = "", ...rest] = String(atom).split("/");
    if (rest.length > 0 || !addresses[family](network) || !/^(?:0|[1-9][0-9]{0,2})$/.test(prefix)) return undefined;
    return Number(prefix) <= (family === "IPv4" ? 32 : 128) ? `${network}/${prefix}` : undefined;
  };
/** Name of an interface, or the beginning of names and `*` (IFNAMSIZ is 16). */
const link: Write = (atom) => (typeof atom === "string" && /^[\w.@-]{1,15}\*?$/.test(atom) ? `"${atom}"` : undefined);

/** Columns of each table: key, then value. Nothing but what these functions let through reaches nft. */
type Columns = ReadonlyMap<string, { readonly key: readonly Write[]; readonly value: readonly Write[] }>;
function columnsOf(family: Family): Columns {
  const [address, range] = [addresses[family], rangeOf(family)];
  return new Map(
    Object.entries({
      frontends: { key: [address, protocol, port], value: [mark] },
      nodeports: { key: [protocol, port], value: [mark] },
      slots: { key: [mark, index], value: [address, port] },
      ids: { key: [mark, index], value: [mark] },
      endpoints: { key: [mark], value: [address, port] },
      ranges: { key: [mark, range], value: [] },
      pods: { key: [range], value: [] },
      unmasked: { key: [range], value: [] },
      podlinks: { key: [link], value: [] },
      unmaskedlinks: { key: [link], value: [] },
      vips: { key: [address], value: [] },
      cidrs: { key: [range], value: [] },
      nodes: { key: [range], value: [] },
      pools: { key: [mark], value: [] },
      hairpin: { key: [address, address], value: [] },
    }),
  );
}
const columns: Readonly<Record<Family, Columns>> = { IPv4: columnsOf("IPv4"), IPv6: columnsOf("IPv6") };

/** The map or set that holds the rows of a table: those of IPv6 are told by a 6 at the end. */
export function placeOf(table: string): { readonly name: string; readonly family: Family } {
  return table.endsWith("6") ? { name: table.slice(0, -1), family: "IPv6" } : { name: table, family: "IPv4" };
}

const seconds = integer(1, 86_400);
const most = new Map([
  ["pick", slotSizes],
  ["spread", largestEndpoint],
  ["stick", largestEndpoint],
  ["hash", 8192],
]);

/** Whether the packets of a pool are told of before its verdict: `["log", ...]`. */
export function isLogged(value: readonly Atom[]): boolean {
  return value[0] === "log" && value[1] !== "log";
}

/**
 * What a pool does, from the value of its row: `["refuse"]`, `["drop"]`, or a way to draw: `["pick", count]`,
 * `["spread", count]`, `["stick", count, seconds]`, `["hash", count]`; any of them after `"log"`. Undefined when it is none of these.
 */
export function verdictOf(value: readonly Atom[]): "refuse" | "drop" | Draw | undefined {
  if (isLogged(value)) return verdictOf(value.slice(1));
  const [action, size, time] = value;
  if ((action === "refuse" || action === "drop") && value.length === 1) return action;
  const count = Number(integer(1, most.get(String(action)) ?? 0)(size));
  if (!count) return undefined;
  if (action === "hash" && value.length === 2) return { way: action, count };
  if ((action === "pick" || action === "spread") && value.length === 2) return { way: action, count };
  if (action === "stick" && value.length === 3 && seconds(time)) return { way: action, count, seconds: Number(time) };
  return undefined;
}

/** Where the packets of a pool go, from the value of its row: dropped, or to a chain; undefined when it is no such value. */
export function targetOf(value: readonly Atom[]): "drop" | { readonly chain: string } | undefined {
  const found = verdictOf(value);
  if (found !== undefined && isLogged(value)) return { chain: logChainOf(found) };
  if (found === "refuse") return { chain: "refuse" };
  return typeof found === "object" ? { chain: chainOf(found) } : found;
}

function verdict(value: readonly Atom[]): string | undefined {
  const target = targetOf(value);
  return typeof target === "object" ? `goto ${target.chain}` : target;
}

/** The row as an element of its map or set; undefined when a field is not what its column takes. */
export function element(row: Row): string | undefined {
  const { name, family } = placeOf(row.table);
  const column = columns[family].get(name);
  const key = column && fields(row.key, column.key);
  if (!column || key === undefined) return undefined;
  if (column.value.length === 0 && name !== "pools") return row.value.length === 0 ? key : undefined;
  const value = name === "pools" ? verdict(row.value) : fields(row.value, column.value);
  return value === undefined ? undefined : `${key} : ${value}`;
}

/** The key of the row's element; undefined when the row as a whole does not fit, for then there is no such element. */
export function elementKey(row: Row): string | undefined {
  return element(row)?.split(" : ", 1)[0];
}

function fields(atoms: readonly Atom[], writes: readonly Write[]): string | undefined {
  if (atoms.length !== writes.length) return undefined;
  let text = "";
  for (let i = 0; i < writes.length; i++) {
    const field = writes[i]?.(atoms[i]);
    if (field === undefined) return undefined;
    text = i === 0 ? field : `${text} . ${field}`;
  }
  return text;
}
