/** Values of which the least is always at hand: a binary heap, so that adding and taking cost the logarithm of how many there are. */
export interface Heap<T> {
  push(value: T): void;
  /** The least value; undefined when there is none. */
  peek(): T | undefined;
  pop(): T | undefined;
  clear(): void;
}

export function createHeap<T>(isLess: (a: T, b: T) => boolean): Heap<T> {
  const values: T[] = [];
  const less = (i: number, j: number): boolean => isLess(values[i] as T, values[j] as T);
  const swap = (i: number, j: number): void => {
    [values[i], values[j]] = [values[j] as T, values[i] as T];
  };
  const rise = (from: number): void => {
    for (let i = from; i > 0;) {
      const parent = (i - 1) >> 1;
      if (!less(i, parent)) return;
      swap(i, parent);
      i = parent;
    }
  };
  const sink = (): void => {
    for (let i = 0; ;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < values.length && less(child, least)) least = child;
      if (least === i) return;
      swap(i, least);
      i = least;
    }
  };
  return {
    push(value) {
      values.push(value);
      rise(values.length - 1);
    },
    peek: () => values[0],
    pop() {
      const first = values[0];
      const last = values.pop();
      if (values.length > 0) {
        values[0] = last as T;
        sink();
      }
      return first;
    },
    clear: () => void (values.length = 0),
  };
}
