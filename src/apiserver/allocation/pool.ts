import { randomInt } from "node:crypto";

/** Numbers from 0 on that are given out, in two bands: the lower one is left for those who ask for a certain one. */
export interface Bands {
  readonly size: number;
  /** Where the upper band begins; 0: there is only one. */
  readonly offset: number;
}

/** Bands of a range of addresses (KEP-3070): a sixteenth, at least 16 and at most 256, is left for static use. */
export function addressBands(size: number): Bands {
  return { size, offset: size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 16)), 256) };
}

/** Bands of a range of node ports (KEP-3668): a thirty-second, at least 16 and at most 128; none when there are fewer than 16. */
export function portBands(size: number): Bands {
  return { size, offset: size < 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 32)), 128, size) };
}

/** Draws at random before the band is searched: enough unless it is nearly full. */
const draws = 16;

/** A number that is free: from the upper band while there is one, then from the lower. Undefined: the range is full. */
export function pick({ size, offset }: Bands, isFree: (index: number) => boolean): number | undefined {
  return pickBetween(offset, size, isFree) ?? pickBetween(0, offset, isFree);
}

function pickBetween(from: number, to: number, isFree: (index: number) => boolean): number | undefined {
  if (to <= from) return undefined;
  for (let i = 0; i < draws; i++) {
    const index = randomInt(from, to);
    if (isFree(index)) return index;
  }
  for (let index = from; index < to; index++) if (isFree(index)) return index;
  return undefined;
}
