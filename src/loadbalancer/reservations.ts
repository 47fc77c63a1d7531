import type { AddressClaim } from "./definitions.ts";

/** One line of what a firewall has to know: packets to this address and port are for this owner. */
export interface AddressReservation {
  readonly address: string;
  /** Undefined where an address is kept for one that is gone. */
  readonly port?: number;
  /** `TCP`, `UDP` or `SCTP`. */
  readonly protocol?: string;
  readonly state: "assigned" | "reserved";
  readonly pool: string;
  readonly ownerKind: string;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339: when the address was first given. */
  readonly since: string;
}

/** What is reserved, a line an address and port, in the order of addresses. Pure. */
export function reservationsOf(claims: readonly AddressClaim[]): AddressReservation[] {
  const lines = claims.flatMap(({ metadata, spec }): AddressReservation[] => {
    const common = { address: spec.address, pool: spec.pool ?? "", since: metadata.creationTimestamp ?? "" };
    if (!spec.owners?.length) {
      const { kind = "", namespace = "", name = "" } = spec.reservedFor ?? {};
      return [{ ...common, state: "reserved", ownerKind: kind, namespace, name }];
    }
    return spec.owners.flatMap(({ kind, namespace, name, ports }) => {
      const owned = { ...common, state: "assigned" as const, ownerKind: kind, namespace, name };
      if (ports.length === 0) return [owned];
      return ports.map((port): AddressReservation => {
        const [number = "", protocol = "TCP"] = port.split("/");
        return { ...owned, port: Number(number), protocol };
      });
    });
  });
  const order = new Map(claims.map(({ metadata, spec }) => [spec.address, metadata.name]));
  const padded = (address: string) =>
    (order.get(address) ?? address).replaceAll(/\d+/g, (digits) => digits.padStart(3, "0"));
  return lines.sort(
    (a, b) => compare(padded(a.address), padded(b.address)) || (a.port ?? 0) - (b.port ?? 0) || compare(a.name, b.name),
  );
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

const columns = [
  "address",
  "port",
  "protocol",
  "state",
  "pool",
  "ownerKind",
  "namespace",
  "name",
  "since",
] as const satisfies readonly (keyof AddressReservation)[];

/** The lines as CSV (RFC 4180) with a header. */
export function reservationsCsv(lines: readonly AddressReservation[]): string {
  const rows = lines.map((line) => columns.map((column) => field(line[column])).join(","));
  return [columns.join(","), ...rows].map((row) => `${row}\r\n`).join("");
}

/** A spreadsheet takes what begins with these for a formula: it gets an apostrophe before. */
const formula = /^[=+\-@\t\r]/;

function field(value: string | number | undefined): string {
  const text = value === undefined ? "" : String(value);
  const safe = formula.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
