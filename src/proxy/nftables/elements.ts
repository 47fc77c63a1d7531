import { isIPv6 } from "node:net";
import type { Atom, Row } from "../../tables/index.ts";
import type { Family } from "../../services/index.ts";
import { createMessages, type Messages } from "../netlink-messages.ts";
import { familyNumber, kinds } from "../netlink.ts";
import { familyName } from "./ruleset.ts";
import { placeOf, targetOf } from "./serialise.ts";

/**
 * Rows as the kernel itself takes them (linux/netfilter/nf_tables.h): neither nft's language nor its parser is in the way, and what it costs is
 * what the kernel does. Like `serialise.ts` it lets nothing through but addresses and numbers.
 */

/** Writes a field of a joined key or value, which takes whole words; false when it is not what the column takes. */
type Write = (to: Messages, atom: Atom | undefined) => boolean;

const whole = (atom: Atom | undefined, least: number, most: number): atom is number =>
  typeof atom === "number" && Number.isInteger(atom) && atom >= least && atom <= most;
const mark: Write = (to, atom) => whole(atom, 0, 0xffff_ffff) && to.hostWord(atom);
const index: Write = (to, atom) => whole(atom, 0, 65_535) && to.hostWord(atom);
const port: Write = (to, atom) => whole(atom, 1, 65_535) && to.word(atom * 0x1_0000);
const protocols = new Map<Atom | undefined, number>([
  ["tcp", 6],
  ["udp", 17],
  ["sctp", 132],
]);
const protocol: Write = (to, atom) => {
  const number = protocols.get(atom);
  return number !== undefined && to.word(number * 0x100_0000);
};
const addresses: Readonly<Record<Family, Write>> = {
  IPv4: (to, atom) => {
    const number = typeof atom === "string" ? numberOf(atom) : undefined;
    return number !== undefined && to.word(number);
  },
  IPv6: (to, atom) => {
    const groups = typeof atom === "string" ? groupsOf(atom) : undefined;
    if (!groups) return false;
    for (let i = 0; i < 8; i += 2) to.word((groups[i] ?? 0) * 0x1_0000 + (groups[i + 1] ?? 0));
    return true;
  },
};

/** An IPv4 address as a number; undefined for anything else, leading zeros among it. */
export function numberOf(text: string): number | undefined {
  let number = 0;
  let part = -1;
  let parts = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (part < 0) return undefined;
      number = number * 256 + part;
      part = -1;
      parts++;
    } else {
      if (code < 48 || code > 57 || part === 0) return undefined;
      part = Math.max(part, 0) * 10 + code - 48;
      if (part > 255) return undefined;
    }
  }
  return parts === 4 ? number : undefined;
}

/** The eight groups of an IPv6 address; undefined for anything else. */
export function groupsOf(text: string): number[] | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const [head = "", tail] = text.split("::");
  const read = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").flatMap((group) => {
          const last = group.includes(".") ? numberOf(group) : undefined;
          return last === undefined ? [Number.parseInt(group, 16)] : [Math.floor(last / 0x1_0000), last % 0x1_0000];
        });
  const [before, after] = [read(head), read(tail ?? "")];
  const none = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...none, ...after];
}

interface Shape {
  readonly key: readonly Write[];
  readonly value: readonly Write[];
}

function shapesOf(family: Family): ReadonlyMap<string, Shape> {
  const address = addresses[family];
  return new Map(
    Object.entries({
      frontends: { key: [address, protocol, port], value: [mark] },
      nodeports: { key: [protocol, port], value: [mark] },
      slots: { key: [mark, index], value: [address, port] },
      ids: { key: [mark, index], value: [mark] },
      endpoints: { key: [mark], value: [address, port] },
      pools: { key: [mark], value: [] },
      vips: { key: [address], value: [] },
      hairpin: { key: [address, address], value: [] },
    }),
  );
}
const shapes: Readonly<Record<Family, ReadonlyMap<string, Shape>>> = {
  IPv4: shapesOf("IPv4"),
  IPv6: shapesOf("IPv6"),
};

/** Whether rows of this table are told to the kernel so; those of ranges and of interfaces' names are left to nft. */
export function isPlain(table: string): boolean {
  const { name, family } = placeOf(table);
  return shapes[family].has(name);
}

/** Attributes of an element and of a list of them. */
const [listTable, listSet, listElements, listItem] = [1, 2, 3, 1];
const [elementKey, elementData] = [1, 2];
const [dataValue, dataVerdict, verdictCode, verdictChain] = [1, 2, 1, 2];
const [drop, goTo] = [0, -4];
/** Bytes of elements in one message: an attribute's length has 16 bits. */
const messageBytes = 32_768;
const [create, acknowledge] = [0x400, 0x4];

/**
 * The batch that removes and adds these rows, all or none, for `Netlink.commit`; undefined when there is nothing in it. `refused` are the rows
 * that do not fit and are left out. Every table has to be plain.
 */
export function batchOf(
  remove: readonly Row[],
  add: readonly Row[],
): { batch: Buffer | undefined; refused: readonly Row[] } {
  const to = createMessages();
  const refused: Row[] = [];
  to.beginBatch();
  let written = write(to, kinds.delElement, remove, () => {});
  written += write(to, kinds.newElement, add, (row) => refused.push(row));
  if (written === 0) return { batch: undefined, refused };
  return { batch: to.endBatch(acknowledge), refused };
}

/** Returns how many elements were written. */
function write(to: Messages, kind: number, rows: readonly Row[], refuse: (row: Row) => void): number {
  const byTable = new Map<string, Row[]>();
  for (const row of rows) {
    const list = byTable.get(row.table);
    if (list) list.push(row);
    else byTable.set(row.table, [row]);
  }
  let written = 0;
  for (const [table, list] of byTable) {
    const { name, family } = placeOf(table);
    const shape = shapes[family].get(name);
    for (let i = 0; shape && i < list.length;) {
      const message = to.begin(kind, familyNumber[familyName[family]], kind === kinds.newElement ? create : 0);
      to.text(listTable, "fairlead");
      to.text(listSet, name);
      const elements = to.open(listElements);
      const first = written;
      for (; i < list.length && to.size() - elements < messageBytes; i++) {
        const row = list[i];
        if (!row) continue;
        if (writeElement(to, kind, row, shape)) written++;
        else refuse(row);
      }
      to.close(elements);
      if (written === first) to.cut(message);
      else to.end(message);
    }
  }
  return written;
}

/** Deletions name the key only, but of a row that does not fit as a whole there is no element. */
function writeElement(to: Messages, kind: number, row: Row, { key, value }: Shape): boolean {
  const at = to.open(listItem);
  const fits = writeFields(to, elementKey, row.key, key) && (writeVerdict(to, row) || writeValue(to, row, value));
  if (!fits) {
    to.cut(at);
    return false;
  }
  if (kind === kinds.delElement) {
    to.cut(at);
    to.open(listItem);
    writeFields(to, elementKey, row.key, key);
  }
  to.close(at);
  return true;
}

function writeFields(to: Messages, attribute: number, atoms: readonly Atom[], writes: readonly Write[]): boolean {
  if (atoms.length !== writes.length) return false;
  const outer = to.open(attribute);
  const inner = to.open(dataValue, false);
  for (let i = 0; i < writes.length; i++) if (!writes[i]?.(to, atoms[i])) return false;
  to.close(inner);
  to.close(outer);
  return true;
}

function writeValue(to: Messages, row: Row, value: readonly Write[]): boolean {
  if (placeOf(row.table).name === "pools") return false;
  return value.length === 0 ? row.value.length === 0 : writeFields(to, elementData, row.value, value);
}

/** False when the row is not of a pool, or has no verdict. */
function writeVerdict(to: Messages, row: Row): boolean {
  if (placeOf(row.table).name !== "pools") return false;
  const target = targetOf(row.value);
  if (target === undefined) return false;
  const outer = to.open(elementData);
  const inner = to.open(dataVerdict);
  to.number(verdictCode, target === "drop" ? drop : goTo);
  if (target !== "drop") to.text(verdictChain, target.chain);
  to.close(inner);
  to.close(outer);
  return true;
}
