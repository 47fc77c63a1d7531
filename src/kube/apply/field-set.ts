import { isObject } from "../values/equal.ts";
import { FieldSetError, readElement, sortElements, type PathElement } from "./path-element.ts";

/**
 * A set of fields in the form of `fieldsV1` itself (KEP-555): a tree of path elements. A node without children is a member of the set;
 * a node with children is one if it has the child ".". The root is none: `{}` there is the empty set.
 * Elements are in upstream's order. Nodes are shared between sets and never changed.
 */
export interface FieldSet {
  readonly [element: PathElement]: FieldSet;
}

type Growing = Record<PathElement, FieldSet>;

/** A member without children. */
export const leaf: FieldSet = Object.freeze({});
export const emptySet: FieldSet = leaf;

const self = ".";
/** Sets are no deeper than objects may be. */
const maxDepth = 500;

export function isEmpty(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

/** True when the node, which is not the root, is itself in the set. */
const isMember = (node: FieldSet): boolean => self in node || isEmpty(node);

const hasChildren = (node: FieldSet): boolean => {
  for (const key in node) if (key !== self) return true;
  return false;
};

/** A node from its membership and its children, which may be a fresh object; undefined when there is nothing. */
export function nodeOf(member: boolean, children: FieldSet): FieldSet | undefined {
  if (isEmpty(children)) return member ? leaf : undefined;
  return member ? { [self]: leaf, ...children } : children;
}

/** The elements of both, in order. */
function elementsOf(a: FieldSet, b: FieldSet): PathElement[] {
  const elements = Object.keys(a).filter((key) => key !== self);
  const before = elements.length;
  for (const key in b) if (key !== self && !(key in a)) elements.push(key);
  return before > 0 && elements.length > before ? sortElements(elements) : elements;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmpty(b)) return childrenOf(a);
  const result: Growing = {};
  for (const key of elementsOf(a, b)) {
    const [inA, inB] = [a[key], b[key]];
    if (inA && inB && inA !== inB) result[key] = nodeOf(isMember(inA) || isMember(inB), union(inA, inB)) ?? leaf;
    else result[key] = inA ?? inB ?? leaf;
  }
  return result;
}

function childrenOf(node: FieldSet): FieldSet {
  if (!(self in node)) return node;
  const { [self]: _, ...children } = node;
  return children;
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const result: Growing = {};
  for (const key in a) {
    const [inA, inB] = [a[key], b[key]];
    if (key === self || !inA || !inB) continue;
    const node = nodeOf(isMember(inA) && isMember(inB), intersection(inA, inB));
    if (node) result[key] = node;
  }
  return result;
}

/** What is in `a` and not in `b`. A member of `b` takes away only itself, not what is below it. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(b)) return childrenOf(a);
  const result: Growing = {};
  for (const key in a) {
    const [inA, inB] = [a[key], b[key]];
    if (key === self || !inA) continue;
    const node = inB ? nodeOf(isMember(inA) && !isMember(inB), difference(inA, inB)) : inA;
    if (node) result[key] = node;
  }
  return result;
}

/** What is in `a` and neither in `b` nor below a member of it. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmpty(b)) return childrenOf(a);
  const result: Growing = {};
  for (const key in a) {
    const [inA, inB] = [a[key], b[key]];
    if (key === self || !inA || (inB && isMember(inB))) continue;
    const node = inB ? nodeOf(isMember(inA), recursiveDifference(inA, inB)) : inA;
    if (node) result[key] = node;
  }
  return result;
}

/** What a pattern lets through: paths that begin one of its paths or go on below it. `*` stands for any element. */
export interface Pattern {
  readonly [element: string]: Pattern;
}

export function include(set: FieldSet, pattern: Pattern): FieldSet {
  if (isEmpty(pattern)) return childrenOf(set);
  const result: Growing = {};
  for (const key in set) {
    const node = set[key];
    const below = pattern[key] ?? pattern["*"];
    if (key === self || !node || !below) continue;
    const kept = nodeOf(isMember(node), include(node, below));
    if (kept) result[key] = kept;
  }
  return result;
}

/** The set of what is below one element. */
export const below = (set: FieldSet, element: PathElement): FieldSet => {
  const node = set[element];
  return node ? childrenOf(node) : emptySet;
};

/** True when the element itself is in the set. */
export const hasElement = (set: FieldSet, element: PathElement): boolean => {
  const node = set[element];
  return node !== undefined && isMember(node);
};

/** True when something below the element is in the set. */
export const hasBelow = (set: FieldSet, element: PathElement): boolean => {
  const node = set[element];
  return node !== undefined && hasChildren(node);
};

export function hasPath(set: FieldSet, path: readonly PathElement[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) {
    node = node[element];
    if (!node) return false;
  }
  return path.length > 0 && isMember(node);
}

export function setOf(...paths: readonly (readonly PathElement[])[]): FieldSet {
  return paths.reduce<FieldSet>((set, path) => {
    const branch = path.reduceRight<FieldSet>((node, element) => ({ [element]: node }), leaf);
    return union(set, branch);
  }, emptySet);
}

/** All paths of the set: the members of a node come before what is below them. */
export function pathsOf(set: FieldSet, prefix: readonly PathElement[] = []): PathElement[][] {
  const elements = Object.keys(set).filter((key) => key !== self);
  const members = elements.filter((key) => hasElement(set, key)).map((key) => [...prefix, key]);
  const deeper = elements.flatMap((key) => pathsOf(below(set, key), [...prefix, key]));
  return [...members, ...deeper];
}

/** Reads a set that somebody wrote; unknown sorts of elements are left out. Throws FieldSetError. */
export function readFieldSet(value: unknown): FieldSet {
  return readChildren(value, 0).children ?? emptySet;
}

function readChildren(value: unknown, depth: number): { children: FieldSet | undefined; member: boolean } {
  if (!isObject(value)) {
    if (value === null) return { children: undefined, member: true };
    throw new FieldSetError("ReadMapCB: expect { or n");
  }
  if (depth > maxDepth) throw new FieldSetError("exceeded max depth");
  const read = new Map<PathElement, FieldSet>();
  let member = false;
  for (const key of Object.keys(value)) {
    if (key === self) {
      member = true;
      continue;
    }
    const element = readElement(key);
    if (element === undefined) continue;
    const found = readChildren(value[key], depth + 1);
    const node = nodeOf(found.member, found.children ?? emptySet);
    if (node) read.set(element, node);
  }
  if (read.size === 0) return { children: undefined, member: true };
  const children: Growing = {};
  for (const element of sortElements([...read.keys()])) children[element] = read.get(element) ?? leaf;
  return { children, member };
}
