import { itemsOf, sizeOf, type Value } from "./values.ts";

/** Limits of Kubernetes 1.35, in units of cost. */
export const costLimits = {
  /** One evaluation of one expression. */
  perCall: 1_000_000,
  /** All rules of one object, or all validations of one policy for one request. */
  perObject: 10_000_000,
  /** All match conditions of one webhook or policy for one request. */
  matchConditions: 2_500_000,
  /** What one rule of a CRD may be estimated to cost, for all places it applies to together. */
  estimatedPerRule: 10_000_000,
  /** What all rules of a CRD may be estimated to cost. */
  estimatedPerDefinition: 100_000_000,
} as const;

/** From least to most; `max` may be Infinity. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** What the estimate knows of an argument. */
export interface Sized {
  readonly size: Range;
  /** Of a list: the size of its items. */
  readonly items?: Range;
}

/** What a call costs: when it ran, and as an estimate before. */
export interface CostModel {
  actual(args: readonly Value[], result: Value): number;
  estimate(args: readonly Sized[]): { readonly cost: Range; readonly result?: Range };
}

export const stringFactor = 0.1;
const regexFactor = 0.25;

const most = Number.MAX_SAFE_INTEGER;
const bounded = (value: number): number => (value > most ? Infinity : value);
export const range = (min: number, max = min): Range => ({ min, max });
export const anySize: Range = { min: 0, max: Infinity };
export const addRanges = (a: Range, b: Range): Range => ({ min: a.min + b.min, max: bounded(a.max + b.max) });
export const multiplyRanges = (a: Range, b: Range): Range => ({
  min: a.min * b.min,
  max: a.max === 0 || b.max === 0 ? 0 : bounded(a.max * b.max),
});
/** Rounded up. */
export const scaleRange = ({ min, max }: Range, factor: number): Range => ({
  min: Math.ceil(min * factor),
  max: Math.ceil(max * factor),
});
export const uniteRanges = (a: Range, b: Range): Range => ({
  min: Math.min(a.min, b.min),
  max: Math.max(a.max, b.max),
});

const at = (sizes: readonly Sized[], i: number): Range => sizes[i]?.size ?? anySize;
const actualAt = (args: readonly Value[], i: number): number => sizeOf(args[i] ?? null);

export const fixed = (cost: number): CostModel => ({ actual: () => cost, estimate: () => ({ cost: range(cost) }) });
/** Nothing is walked through. */
export const nominal: CostModel = fixed(1);

/** The argument's characters (bytes) are read `times` times; with `keeps`, the result is as long at most. */
export const traversal = (times = 1, argument = 0, keeps = false): CostModel => ({
  actual: (args) => Math.ceil(actualAt(args, argument) * times * stringFactor),
  estimate: (args) => ({
    cost: scaleRange(at(args, argument), times * stringFactor),
    ...(keeps ? { result: { min: 0, max: at(args, argument).max } } : {}),
  }),
});

/** A pattern (argument 1) is run over a text. */
export const regex: CostModel = {
  actual: (args) => Math.ceil((1 + actualAt(args, 0)) * stringFactor) * Math.ceil(actualAt(args, 1) * regexFactor),
  estimate: (args) => ({
    cost: multiplyRanges(
      scaleRange(addRanges(at(args, 0), range(1)), stringFactor),
      scaleRange(at(args, 1), regexFactor),
    ),
    result: { min: 0, max: at(args, 0).max },
  }),
};

export const containsText: CostModel = {
  actual: (args) => Math.ceil(actualAt(args, 0) * stringFactor) * Math.ceil(actualAt(args, 1) * stringFactor),
  estimate: (args) => ({
    cost: multiplyRanges(scaleRange(at(args, 0), stringFactor), scaleRange(at(args, 1), stringFactor)),
  }),
};

/** Equality and order: as much as the shorter of the two is read. */
export const comparison: CostModel = {
  actual: (args) => Math.ceil(Math.min(actualAt(args, 0), actualAt(args, 1)) * stringFactor),
  estimate: (args) => {
    const [left, right] = [at(args, 0), at(args, 1)];
    const smaller = { min: Math.min(left.min, right.min), max: Math.min(left.max, right.max) };
    return { cost: scaleRange(smaller, stringFactor) };
  },
};

/** Texts are joined into a new one. */
export const concatenation: CostModel = {
  actual: (args) => Math.ceil((actualAt(args, 0) + actualAt(args, 1)) * stringFactor),
  estimate: (args) => {
    const result = addRanges(at(args, 0), at(args, 1));
    return { cost: scaleRange(result, stringFactor), result };
  },
};

/** Lists are put one behind the other. */
export const listConcatenation: CostModel = {
  actual: () => 1,
  estimate: (args) => ({ cost: range(1), result: addRanges(at(args, 0), at(args, 1)) }),
};

/** The list (argument 1) is searched. */
export const membership: CostModel = {
  actual: (args) => actualAt(args, 1),
  estimate: (args) => ({ cost: at(args, 1) }),
};

/** All in the list is read, texts in it too. */
export const listTraversal: CostModel = {
  actual: (args) => treeCost(args[0] ?? null),
  estimate: (args) => {
    const items = args[0]?.items;
    if (!items) return { cost: scaleRange(at(args, 0), stringFactor) };
    return { cost: multiplyRanges(at(args, 0), addRanges(range(1), scaleRange(items, stringFactor))) };
  },
};

function treeCost(value: Value): number {
  if (typeof value === "string") return Math.floor(sizeOf(value) * stringFactor);
  if (typeof value !== "object" || value === null) return 1;
  if (value instanceof Uint8Array) return Math.floor(value.length * stringFactor);
  let cost = 0;
  if (value.kind === "list") for (const item of itemsOf(value)) cost += treeCost(item);
  else if (value.kind === "map")
    for (const key of value.keys()) cost += treeCost(key) + treeCost(value.get(key) ?? null);
  else if (value.kind === "object")
    for (const key of value.fields()) cost += treeCost(key) + treeCost(value.get(key) ?? null);
  else return 1;
  return cost;
}

/** Every item of one list is compared with every item of the other. */
export const product = (times = 1): CostModel => ({
  actual: (args) => 1 + times * actualAt(args, 0) * actualAt(args, 1),
  estimate: (args) => {
    const pairs = multiplyRanges(at(args, 0), at(args, 1));
    return { cost: addRanges(range(1), { min: pairs.min * times, max: bounded(pairs.max * times) }) };
  },
});

export const replacement: CostModel = {
  actual: (args) => Math.ceil(actualAt(args, 0) * 2 * stringFactor),
  estimate: (args) => {
    const [text, old, next] = [at(args, 0), at(args, 1), at(args, 2)];
    const times = old.min === 0 ? text.max + 1 : next.max <= old.min ? 0 : Math.ceil(text.max / old.min);
    const kept = old.min === 0 || next.max <= old.min ? text.max : 0;
    const max = times === 0 || next.max === 0 ? kept : bounded(times * next.max + kept);
    return { cost: scaleRange(text, 2 * stringFactor), result: { min: 0, max } };
  },
};

export const splitting: CostModel = {
  actual: (args) => Math.ceil(actualAt(args, 0) * 2 * stringFactor),
  estimate: (args) => ({
    cost: scaleRange(at(args, 0), 2 * stringFactor),
    result: { min: 0, max: at(args, 0).max },
  }),
};

export const joining: CostModel = {
  actual: (_, result) => Math.ceil(sizeOf(result) * 2 * stringFactor),
  estimate: (args) => {
    const list = at(args, 0);
    const separators = { min: Math.max(list.min - 1, 0), max: Math.max(list.max - 1, 0) };
    const items = multiplyRanges(list, args[0]?.items ?? anySize);
    const result = args.length > 1 ? addRanges(items, multiplyRanges(at(args, 1), separators)) : items;
    return { cost: scaleRange(result, stringFactor), result };
  },
};

/** An address or a block (argument 1) is compared with the bits of a block; a text of it is read first. */
export const addressComparison = (rounds: number, reads: boolean): CostModel => ({
  actual: (args) =>
    Math.ceil(actualAt(args, 0) * 2 * stringFactor) +
    (rounds > 2 ? Math.ceil(actualAt(args, 0) * stringFactor) + 1 : 0) +
    (reads ? Math.ceil(actualAt(args, 1) * stringFactor) : 0),
  estimate: (args) => {
    const bits = scaleRange(range(4 * rounds, 16 * rounds), stringFactor);
    const base = rounds > 2 ? addRanges(bits, range(1)) : bits;
    return { cost: reads ? addRanges(base, scaleRange(at(args, 1), stringFactor)) : base };
  },
});
