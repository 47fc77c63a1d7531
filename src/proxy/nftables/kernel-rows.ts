import { createHash } from "node:crypto";
import { readAddress, type Family } from "../../services/index.ts";
import type { Atom, Row } from "../../tables/index.ts";
import {
  attribute,
  attributesIn,
  hostUInt32,
  kinds,
  nameIn,
  NetlinkError,
  type Message,
  type Netlink,
  type Question,
} from "../netlink.ts";
import { familyName } from "./ruleset.ts";

/** Where rows that were read back come from. */
const owner = { object: "kernel", field: "" };
const tableName = "fairlead";

type Read = (data: Buffer, at: number) => Atom;
interface Field {
  readonly bytes: number;
  readonly read: Read;
}

/** Each field of a joined key takes whole words. */
const address: Readonly<Record<Family, Field>> = {
  IPv4: { bytes: 4, read: (data, at) => `${data[at]}.${data[at + 1]}.${data[at + 2]}.${data[at + 3]}` },
  IPv6: { bytes: 16, read: (data, at) => addressText(data.subarray(at, at + 16)) },
};
const protocols = new Map<number, string>([
  [6, "tcp"],
  [17, "udp"],
  [132, "sctp"],
]);
const protocol: Field = { bytes: 4, read: (data, at) => protocols.get(data.readUInt8(at)) ?? data.readUInt8(at) };
const port: Field = { bytes: 4, read: (data, at) => data.readUInt16BE(at) };
const mark: Field = { bytes: 4, read: hostUInt32 };

interface Shape {
  readonly key: readonly Field[];
  readonly value: readonly Field[];
}

/** What elements of each map and set are made of; those with ranges and those that packets write are read otherwise or not at all. */
function shapesOf(family: Family): ReadonlyMap<string, Shape> {
  const to = address[family];
  return new Map(
    Object.entries({
      frontends: { key: [to, protocol, port], value: [mark] },
      nodeports: { key: [protocol, port], value: [mark] },
      slots: { key: [mark, mark], value: [to, port] },
      ids: { key: [mark, mark], value: [mark] },
      endpoints: { key: [mark], value: [to, port] },
      pools: { key: [mark], value: [] },
      vips: { key: [to], value: [] },
      hairpin: { key: [to, to], value: [] },
    }),
  );
}
const shapes: Readonly<Record<Family, ReadonlyMap<string, Shape>>> = {
  IPv4: shapesOf("IPv4"),
  IPv6: shapesOf("IPv6"),
};
/** Sets of ranges of addresses. */
const rangeSets = ["pods", "unmasked", "cidrs", "nodes"];
/** Names of interfaces: how the kernel keeps them is left alone, so whoever uses them has everything built anew. */
const linkSets = ["podlinks", "unmaskedlinks"];
/** Everything that rows are put into. */
export const ownSets: readonly string[] = [...shapes.IPv4.keys(), ...rangeSets, "ranges", ...linkSets];

/** What is in the kernel cannot be told in rows: it was not made by this program. */
class Unreadable extends Error {}

/** The rows of one map or set as they are in the kernel. Undefined when they cannot be told. Throws `NetlinkError`. */
export async function rowsInKernel(netlink: Netlink, name: string, family: Family): Promise<Row[] | undefined> {
  const table = family === "IPv6" ? `${name}6` : name;
  const elements: Element[] = [];
  const rows: Row[] = [];
  const shape = shapes[family].get(name);
  const question = {
    kind: kinds.getElement,
    family: familyName[family],
    texts: [
      [1, tableName],
      [2, name],
    ],
    list: true,
  } as const;
  try {
    await netlink.ask(question, (message) => {
      for (const element of elementsIn(message)) {
        if (shape) rows.push({ table, ...plainRow(element, shape, name), owner });
        else elements.push({ ...element, key: Buffer.from(element.key), end: element.end && Buffer.from(element.end) });
      }
    });
    if (name === "ranges") for (const element of elements) rows.push({ table, ...guardRow(element, family), owner });
    else if (rangeSets.includes(name))
      for (const range of rangesOf(elements, family)) rows.push({ table, key: [range], value: [], owner });
    else if (elements.length > 0) return undefined;
    return rows;
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

interface Element {
  readonly key: Buffer;
  readonly end: Buffer | undefined;
  readonly data: Buffer | undefined;
  readonly closes: boolean;
}

function* elementsIn({ attributes }: Message): Generator<Element> {
  const list = attribute(attributes, 3);
  if (!list) return;
  for (const [, element] of attributesIn(list)) {
    let key: Buffer | undefined;
    let end: Buffer | undefined;
    let data: Buffer | undefined;
    let flags = 0;
    for (const [number, value] of attributesIn(element)) {
      if (number === 1) key = attribute(value, 1);
      else if (number === 2) data = value;
      else if (number === 3) flags = value.readUInt32BE(0);
      else if (number === 10) end = attribute(value, 1);
    }
    if (!key) throw new Unreadable();
    yield { key, end, data, closes: (flags & 1) !== 0 };
  }
}

function fields(data: Buffer | undefined, shape: readonly Field[]): Atom[] {
  const atoms: Atom[] = [];
  let at = 0;
  if (!data || data.length < shape.reduce((sum, { bytes }) => sum + bytes, 0) - 3) throw new Unreadable();
  for (const { bytes, read } of shape) {
    atoms.push(read(data, at));
    at += bytes;
  }
  return atoms;
}

function plainRow({ key, data }: Element, shape: Shape, name: string): Pick<Row, "key" | "value"> {
  const atoms = fields(key, shape.key);
  if (name === "pools") return { key: atoms, value: verdictValue(data && attribute(data, 2)) };
  return { key: atoms, value: shape.value.length === 0 ? [] : fields(data && attribute(data, 1), shape.value) };
}

/** What a pool does, as its row says it. */
function verdictValue(data: Buffer | undefined): Atom[] {
  if (!data) throw new Unreadable();
  const chain = nameIn(attribute(data, 2));
  if (chain === "") return ["drop"];
  const [way = "", ...numbers] = chain.split("-");
  return [way, ...numbers.map(Number)];
}

/** Element of the set that guards addresses: a mark, which sets of ranges keep with its highest byte first, and a range of clients. */
function guardRow({ key, end }: Element, family: Family): Pick<Row, "key" | "value"> {
  const last = end ?? key;
  return {
    key: [key.readUInt32BE(0), cidrOf(numberIn(key.subarray(4)), numberIn(last.subarray(4)) + 1n, family)],
    value: [],
  };
}

/** The kernel keeps where each range begins, and where it ends unless another follows at once or it is the last of all. */
function rangesOf(elements: readonly Element[], family: Family): string[] {
  const bits = family === "IPv4" ? 32n : 128n;
  const marks = elements
    .map(({ key, closes }) => ({ at: numberIn(key), closes }))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(b.closes) - Number(a.closes)));
  return marks.flatMap(({ at, closes }, i) => {
    if (closes) return [];
    return [cidrOf(at, marks[i + 1]?.at ?? 1n << bits, family)];
  });
}

const numberIn = (data: Buffer): bigint => BigInt(`0x${data.toString("hex") || "0"}`);

function cidrOf(from: bigint, to: bigint, family: Family): string {
  const bits = family === "IPv4" ? 32 : 128;
  const size = to - from;
  if (size <= 0n || (size & (size - 1n)) !== 0n || from % size !== 0n) throw new Unreadable();
  const prefix = bits - (size.toString(2).length - 1);
  const bytes = Buffer.from(from.toString(16).padStart(bits / 4, "0"), "hex");
  return `${String(address[family].read(bytes, 0))}/${prefix}`;
}

function addressText(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(":");
  return readAddress(groups)?.address ?? groups;
}

/** What the rules in the kernel are: a digest of the chains that never change, and the names of those that were added. */
export interface KernelRules {
  readonly digest: string;
  readonly draws: readonly string[];
}

const drawChain = /^(?:spread|stick|hash|log)-/;

/** Undefined when there is no such table. Throws `NetlinkError`. */
export async function rulesInKernel(netlink: Netlink, family: Family): Promise<KernelRules | undefined> {
  const draws = new Set<string>();
  const hash = createHash("sha256");
  let rules = 0;
  try {
    await netlink.ask(
      { kind: kinds.getRule, family: familyName[family], texts: [[1, tableName]], list: true },
      ({ attributes }) => {
        const chain = nameIn(attribute(attributes, 2));
        if (drawChain.test(chain)) {
          if (!chain.endsWith("-masqueraded")) draws.add(chain);
          return;
        }
        rules++;
        hash.update(`${chain}\n`).update(attribute(attributes, 4) ?? "");
      },
    );
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENOENT") return undefined;
    throw error;
  }
  return rules === 0 ? undefined : { digest: hash.digest("hex"), draws: [...draws] };
}

/** Whether there is our table. Throws `NetlinkError`. */
export function hasTable(netlink: Netlink, family: Family): Promise<boolean> {
  return exists(netlink, family, kinds.getTable, [[1, tableName]]);
}

/** Whether the table has a chain of this name. Throws `NetlinkError`. */
export function hasChain(netlink: Netlink, family: Family, chain: string): Promise<boolean> {
  return exists(netlink, family, kinds.getChain, [
    [1, tableName],
    [3, chain],
  ]);
}

async function exists(netlink: Netlink, family: Family, kind: number, texts: Question["texts"]): Promise<boolean> {
  let found = false;
  try {
    await netlink.ask({ kind, family: familyName[family], texts, list: false }, () => (found = true));
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENOENT") return false;
    throw error;
  }
  return found;
}
