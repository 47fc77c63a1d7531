import type { NodePlan } from "../../services/index.ts";
import type { Row } from "../../tables/index.ts";
import { poolMask } from "./marks.ts";
import { numberedId, type PortNumbers } from "./rows.ts";
import { placeOf } from "./serialise.ts";

/**
 * Gives Service ports the numbers that an earlier process gave them, and their endpoints the places: then the rows that are in force are those
 * that are wanted, and clients with affinity stay where they are.
 */
export interface Takeover {
  /** Rows of the kernel that tell where the endpoints of this plan's ports are. Takes their numbers. */
  rowsBefore(plan: NodePlan): readonly Row[];
  /** All that were expected have come. */
  end(): void;
}

const numberOf = (mark: unknown): number => Math.floor(((Number(mark) & poolMask) >>> 0) / 0x800);

/** @param rows what is in the kernel */
export function createTakeover(rows: readonly Row[], numbers: PortNumbers): Takeover {
  const byFrontend = new Map<string, number>();
  const byNumber = new Map<number, Row[]>();
  const reserved = new Set<number>();
  for (const row of rows) {
    const { name, family } = placeOf(row.table);
    if (name === "frontends" || name === "nodeports") {
      const number = numberOf(row.value[0]);
      byFrontend.set(`${family} ${row.key.join(" ")}`, number);
      reserved.add(number);
    } else if (name === "slots" || name === "ids" || name === "endpoints") {
      const number = numberOf(row.key[0]);
      const known = byNumber.get(number);
      if (known) known.push(row);
      else byNumber.set(number, [row]);
      reserved.add(number);
    }
  }
  for (const number of [...reserved].sort((a, b) => a - b)) numbers.reserve(number);

  return {
    rowsBefore(plan) {
      if (byFrontend.size === 0) return [];
      return plan.ports.flatMap((port) => {
        for (const { address, protocol, port: at } of port.frontends) {
          const where = address === undefined ? [protocol.toLowerCase(), at] : [address, protocol.toLowerCase(), at];
          const number = byFrontend.get(`${port.family} ${where.join(" ")}`);
          if (number !== undefined && numbers.claim(numberedId(port), number)) return byNumber.get(number) ?? [];
        }
        return [];
      });
    },
    end() {
      numbers.releaseReserved();
      byFrontend.clear();
      byNumber.clear();
    },
  };
}
