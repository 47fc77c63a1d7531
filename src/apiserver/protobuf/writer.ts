/** Fields of a protobuf message, encoded; join them with `Buffer.concat`. */
export type Encoded = Buffer;

/** Unsigned. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A field that holds bytes: another message. */
export function messageField(field: number, ...parts: readonly Encoded[]): Encoded {
  const value = Buffer.concat(parts);
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

export function textField(field: number, text: string): Encoded {
  return messageField(field, Buffer.from(text));
}
