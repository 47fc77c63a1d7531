/** A queue with one reader: what is pushed comes out in order, until it is ended or fails. */
export interface Pipe<T> extends AsyncIterable<T> {
  push(item: T): void;
  /** The reader gets what is left, then the end or, with `error`, that error. */
  end(error?: unknown): void;
  readonly length: number;
}

/** `onReturn` is called when the reader stops early. */
export function createPipe<T>(onReturn: () => void = () => {}): Pipe<T> {
  let items: T[] = [];
  let head = 0;
  let ended = false;
  let failure: unknown;
  let wake: (() => void) | undefined;

  const next = async (): Promise<IteratorResult<T, undefined>> => {
    for (;;) {
      if (head < items.length) {
        const value = items[head++] as T;
        if (head === items.length) {
          items = [];
          head = 0;
        }
        return { done: false, value };
      }
      if (ended) {
        if (failure === undefined) return { done: true, value: undefined };
        const error = failure;
        failure = undefined;
        throw error;
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };

  return {
    get length() {
      return items.length - head;
    },
    push(item) {
      if (ended) return;
      items.push(item);
      wake?.();
    },
    end(error) {
      if (ended) return;
      ended = true;
      failure = error;
      wake?.();
    },
    [Symbol.asyncIterator]: () => ({
      next,
      return: async () => {
        ended = true;
        items = [];
        head = 0;
        onReturn();
        return { done: true, value: undefined };
      },
    }),
  };
}
