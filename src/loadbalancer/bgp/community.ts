/** A mark on a route: two numbers of 16 bits (RFC 1997), or three of 32 (RFC 8092). */
export type Community = { readonly kind: "standard" | "large"; readonly parts: readonly number[] };

const wellKnown: Readonly<Record<string, number>> = {
  "graceful-shutdown": 0xffff_0000,
  blackhole: 0xffff_029a,
  "no-export": 0xffff_ff01,
  "no-advertise": 0xffff_ff02,
  "no-export-subconfed": 0xffff_ff03,
};

/** Reads `64512:100`, `large:64512:1:2` or a well-known name (RFC 1997, 7999, 8326). Undefined: it is none. */
export function parseCommunity(text: string): Community | undefined {
  const known = Object.hasOwn(wellKnown, text) ? wellKnown[text] : undefined;
  if (known !== undefined) return { kind: "standard", parts: [Math.floor(known / 65_536), known % 65_536] };
  const isLarge = text.startsWith("large:");
  const parts = (isLarge ? text.slice("large:".length) : text).split(":");
  if (parts.length !== (isLarge ? 3 : 2) || !parts.every((one) => /^(0|[1-9]\d{0,9})$/.test(one))) return undefined;
  const numbers = parts.map(Number);
  const most = isLarge ? 0xffff_ffff : 0xffff;
  return numbers.every((one) => one <= most) ? { kind: isLarge ? "large" : "standard", parts: numbers } : undefined;
}
