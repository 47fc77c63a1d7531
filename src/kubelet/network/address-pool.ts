import { readFileSync } from "node:fs";
import { addressAt, parseRange, type Range } from "./cidr.ts";
import { NetworkError } from "./network.ts";
import { replaceFile } from "./record.ts";

/** Which address each sandbox has: durable, so that a restart neither moves nor doubles one. */
export interface AddressPool {
  /** The range's first address, which is the node's own. */
  readonly gateway: string;
  readonly prefix: number;
  /** The sandbox's address; a new one goes round the range, so that one just freed is not used at once. */
  take(id: string): string;
  give(id: string): void;
  holders(): readonly string[];
}

interface State {
  readonly cidr: string;
  next: number;
  readonly leases: Record<string, string>;
}

/** Opens the pool kept in `file`. A file for another range is forgotten. Throws `NetworkError`. */
export function openAddressPool(file: string, cidr: string): AddressPool {
  // Beside the pods it holds the network's own address, the gateway's and the broadcast address.
  const range = parseRange(cidr, 2);
  const state = read(file, cidr);
  const used = new Set(Object.values(state.leases));
  const save = (): void => replaceFile(file, state);
  return {
    gateway: addressAt(range, 1),
    prefix: range.prefix,
    holders: () => Object.keys(state.leases),
    take(id) {
      const held = state.leases[id];
      if (held) return held;
      const offset = firstFree(range, state.next, used);
      const address = addressAt(range, offset);
      state.leases[id] = address;
      state.next = offset + 1;
      used.add(address);
      save();
      return address;
    },
    give(id) {
      const held = state.leases[id];
      if (!held) return;
      used.delete(held);
      delete state.leases[id];
      save();
    },
  };
}

/** The addresses given out in `file`, by sandbox: for clean-up, when the range is not known. */
export function leasesIn(file: string): Readonly<Record<string, string>> {
  return read(file, undefined).leases;
}

/** Offsets 0 and 1 and the last are the network's, the node's and broadcast. */
function firstFree(range: Range, from: number, used: ReadonlySet<string>): number {
  const usable = range.size - 3;
  for (let i = 0; i < usable; i++) {
    const offset = 2 + ((from - 2 + i) % usable);
    if (!used.has(addressAt(range, offset))) return offset;
  }
  throw new NetworkError("NO_FREE_ADDRESS", `all ${usable} pod addresses of this node are in use`);
}

function read(file: string, cidr: string | undefined): State {
  try {
    const state = JSON.parse(readFileSync(file, "utf8")) as State;
    if ((cidr === undefined || state.cidr === cidr) && Number.isInteger(state.next) && state.next >= 2) return state;
  } catch {
    // Missing, or half written when the machine stopped: no sandbox of it is alive either.
  }
  return { cidr: cidr ?? "", next: 2, leases: {} };
}
