import type { IntOrString } from "../generated/types.ts";

/**
 * The number that an IntOrString stands for: itself, or a percentage of `total`.
 * Throws RangeError when it is a text that is no percentage.
 */
export function scaledValue(value: IntOrString, total: number, round: "up" | "down"): number {
  if (typeof value === "number") return value;
  const percent = /^(-?\d+)%$/.exec(value)?.[1];
  if (percent === undefined)
    throw new RangeError(`invalid value for IntOrString: invalid type: string is not a percentage`);
  const exact = (Number(percent) * total) / 100;
  return round === "up" ? Math.ceil(exact) : Math.floor(exact);
}

/** The percentage in `25%`; undefined for a number or any other text. */
export function percentOf(value: IntOrString): number | undefined {
  const text = typeof value === "string" ? /^(\d+)%$/.exec(value)?.[1] : undefined;
  return text === undefined ? undefined : Number(text);
}
