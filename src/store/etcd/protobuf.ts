import { fields, type Messages } from "./generated/messages.ts";

/**
 * Protobuf (wire format 3) for the messages of etcd's API, by the tables of `generated/`. int64 is a number: etcd's revisions and
 * our lease ids stay below 2^53. Unknown fields are left out. Throws DecodeError for bytes that are no such message.
 */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DecodeError";
  }
}

const varintTypes: ReadonlySet<string> = new Set(["bool", "int64", "uint64", "enum"]);

type Name = keyof Messages;
type Plain = Record<string, unknown>;

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly repeated: boolean;
  /** The field's tag as it is written. */
  readonly tag: number;
}

interface Shape {
  readonly list: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
}

const shapes = new Map<string, Shape>(
  Object.entries(fields).map(([name, rows]) => {
    const list = rows.map(([field, number, type, repeated = false]) => {
      const wire = varintTypes.has(type) ? 0 : 2;
      return { name: field, number, type, repeated, tag: number * 8 + wire };
    });
    return [name, { list, byNumber: new Map(list.map((field) => [field.number, field])) }];
  }),
);

function shapeOf(name: string): Shape {
  const shape = shapes.get(name);
  if (!shape) throw new TypeError(`no message ${name}`);
  return shape;
}

/** Encodes into a new buffer with `head` free bytes before the message. */
export function encode<N extends Name>(name: N, message: Messages[N], head = 0): Buffer {
  const sizes: number[] = [];
  const size = measure(shapeOf(name), message as Plain, sizes);
  const target = Buffer.allocUnsafe(head + size);
  const end = write(shapeOf(name), message as Plain, target, head, { sizes, next: 0 });
  if (end !== target.length) throw new TypeError(`${name} was changed while it was encoded`);
  return target;
}

function varintSize(value: number): number {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function bigSize(value: bigint): number {
  let size = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) size++;
  return size;
}

/** Bytes of a message. `sizes` gets those of the messages and texts within, in the order in which they are written. */
function measure(shape: Shape, message: Plain, sizes: number[]): number {
  let total = 0;
  for (const field of shape.list) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.repeated) for (const one of value as unknown[]) total += measureOne(field, one, sizes);
    else total += measureOne(field, value, sizes);
  }
  return total;
}

function measureOne(field: Field, value: unknown, sizes: number[]): number {
  const tag = varintSize(field.tag);
  switch (field.type) {
    case "bool":
      return tag + 1;
    case "int64":
    case "enum":
      return tag + varintSize(value as number);
    case "uint64":
      return tag + bigSize(value as bigint);
    case "bytes": {
      const { length } = value as Uint8Array;
      return tag + varintSize(length) + length;
    }
    default: {
      const place = sizes.push(0) - 1;
      const length =
        field.type === "string"
          ? Buffer.byteLength(value as string)
          : measure(shapeOf(field.type), value as Plain, sizes);
      sizes[place] = length;
      return tag + varintSize(length) + length;
    }
  }
}

interface Sizes {
  readonly sizes: readonly number[];
  next: number;
}

function write(shape: Shape, message: Plain, target: Buffer, from: number, sizes: Sizes): number {
  let at = from;
  for (const field of shape.list) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.repeated) for (const one of value as unknown[]) at = writeOne(field, one, target, at, sizes);
    else at = writeOne(field, value, target, at, sizes);
  }
  return at;
}

function writeOne(field: Field, value: unknown, target: Buffer, from: number, sizes: Sizes): number {
  const at = writeVarint(field.tag, target, from);
  switch (field.type) {
    case "bool":
      target[at] = value ? 1 : 0;
      return at + 1;
    case "int64":
    case "enum":
      return (value as number) < 0
        ? writeBig(BigInt.asUintN(64, BigInt(value as number)), target, at)
        : writeVarint(value as number, target, at);
    case "uint64":
      return writeBig(value as bigint, target, at);
    case "bytes": {
      const bytes = value as Uint8Array;
      const start = writeVarint(bytes.length, target, at);
      target.set(bytes, start);
      return start + bytes.length;
    }
    default: {
      const length = sizes.sizes[sizes.next++] ?? 0;
      const start = writeVarint(length, target, at);
      if (field.type === "string") return start + target.write(value as string, start);
      return write(shapeOf(field.type), value as Plain, target, start, sizes);
    }
  }
}

function writeVarint(value: number, target: Buffer, from: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80;
  target[at++] = rest;
  return at;
}

function writeBig(value: bigint, target: Buffer, from: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) target[at++] = Number(rest & 0x7fn) | 0x80;
  target[at++] = Number(rest);
  return at;
}

/** Decodes a whole buffer. `bytes` fields are views of it. */
export function decode<N extends Name>(name: N, bytes: Uint8Array): Messages[N] {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return read(shapeOf(name), { source, at: 0 }, source.length, name);
}

interface Cursor {
  readonly source: Buffer;
  at: number;
}

function read(shape: Shape, cursor: Cursor, end: number, name: string): Plain {
  const message: Plain = {};
  while (cursor.at < end) {
    const tag = readVarint(cursor, end);
    const field = shape.byNumber.get(Math.floor(tag / 8));
    const wire = tag % 8;
    if (!field) {
      skip(wire, cursor, end);
      continue;
    }
    if (wire !== field.tag % 8) throw new DecodeError(`${name}.${field.name}: wire type ${wire} is not this field's`);
    const value = readOne(field, cursor, end);
    if (!field.repeated) message[field.name] = value;
    else {
      const list = message[field.name] as unknown[] | undefined;
      if (list) list.push(value);
      else message[field.name] = [value];
    }
  }
  return message;
}

function readOne(field: Field, cursor: Cursor, end: number): unknown {
  switch (field.type) {
    case "bool":
      return readVarint(cursor, end) !== 0;
    case "int64":
    case "enum":
      return readVarint(cursor, end);
    case "uint64":
      return readBig(cursor, end);
    default: {
      const length = readVarint(cursor, end);
      const stop = cursor.at + length;
      if (!(length >= 0) || stop > end) throw new DecodeError(`${field.name}: ${length} bytes are not there`);
      if (field.type !== "bytes" && field.type !== "string") return read(shapeOf(field.type), cursor, stop, field.type);
      const start = cursor.at;
      cursor.at = stop;
      return field.type === "bytes" ? cursor.source.subarray(start, stop) : cursor.source.toString("utf8", start, stop);
    }
  }
}

function readVarint(cursor: Cursor, end: number): number {
  const { source } = cursor;
  const start = cursor.at;
  let value = 0;
  let factor = 1;
  for (let i = 0; i < 10; i++) {
    if (cursor.at >= end) throw new DecodeError("a number is cut off");
    const byte = source[cursor.at++] as number;
    if (i === 9) {
      // A negative number: a double is not exact enough on the way there.
      cursor.at = start;
      return Number(BigInt.asIntN(64, readBig(cursor, end)));
    }
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 0x80;
  }
  throw new DecodeError("a number is too long");
}

function readBig(cursor: Cursor, end: number): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    if (cursor.at >= end) throw new DecodeError("a number is cut off");
    const byte = cursor.source[cursor.at++] as number;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw new DecodeError("a number is too long");
}

function skip(wire: number, cursor: Cursor, end: number): void {
  if (wire === 0) {
    readBig(cursor, end);
    return;
  }
  const length = wire === 2 ? readVarint(cursor, end) : wire === 1 ? 8 : wire === 5 ? 4 : Number.NaN;
  if (!(length >= 0) || cursor.at + length > end) throw new DecodeError("a field that is not known is cut off");
  cursor.at += length;
}
