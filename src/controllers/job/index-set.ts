import { parseIndexes } from "../../kube/index.ts";

/** Reads a list of indexes such as `0,3-5`; what lies beyond `completions`, or can't be read, is left out. */
export function readIndexes(text: string | undefined, completions: number): Set<number> {
  const indexes = new Set<number>();
  const ranges = parseIndexes(text ?? "", Number.MAX_SAFE_INTEGER);
  if ("error" in ranges) return indexes;
  for (const [first, last] of ranges)
    for (let index = first; index <= Math.min(last, completions - 1); index++) indexes.add(index);
  return indexes;
}

/** Writes indexes in ascending order; three and more in a row as a range, two as well. */
export function writeIndexes(indexes: ReadonlySet<number>): string {
  const parts: string[] = [];
  let [first, last]: [number | undefined, number] = [undefined, 0];
  const close = (): void => {
    if (first === undefined) return;
    parts.push(first === last ? `${first}` : last === first + 1 ? `${first},${last}` : `${first}-${last}`);
  };
  for (const index of [...indexes].sort((a, b) => a - b)) {
    if (first !== undefined && index === last + 1) last = index;
    else {
      close();
      [first, last] = [index, index];
    }
  }
  close();
  return parts.join(",");
}
