import { createProcessFigures } from "./process-figures.ts";

/** Only ever rises, but begins anew with the process. */
export interface Counter {
  inc(by?: number): void;
  /** The value is what `read` says when it is asked for. When `read` fails or gives undefined, there is none. */
  from(read: Source): void;
}

export interface Gauge extends Counter {
  dec(): void;
  set(value: number): void;
}

export interface Histogram {
  observe(value: number): void;
  /** Adds what another histogram with the same buckets has: values by bucket, those above all of them last; and their sum. */
  merge(counts: readonly number[], sum: number): void;
}

export type Source = () => number | undefined | Promise<number | undefined>;

/** All values of one name: the one with these label values, in the order of the label names. It is the same at each call. */
export type Family<T> = (...labels: readonly string[]) => T;

/**
 * The figures that one place serves, in Prometheus' terms. A name may be asked for again, as by a part that was started again: the
 * values go on. Label values must come from a set that is known beforehand, never from what users write.
 */
export interface Metrics {
  /** Throws TypeError for a name that is of another type or has other labels, as the others do. */
  counter(name: string, help: string, labels?: readonly string[]): Family<Counter>;
  gauge(name: string, help: string, labels?: readonly string[]): Family<Gauge>;
  /** `buckets`: upper bounds, rising, without infinity. */
  histogram(name: string, help: string, labels: readonly string[], buckets: readonly number[]): Family<Histogram>;
  /** Everything, and unless `createMetrics` was told otherwise the `process_` and `nodejs_` figures of this process, in Prometheus' text format 0.0.4. */
  text(): Promise<string>;
}

/** Content type of `Metrics.text`. */
export const metricsType = "text/plain; version=0.0.4; charset=utf-8";

/** A value that can say the lines it is written as. */
interface Written {
  lines(name: string, labels: string): Promise<readonly string[]>;
}

interface Known {
  readonly shape: string;
  readonly family: Family<Written>;
  text(): Promise<string>;
}

/**
 * Counting costs a look-up in a map, as it happens in every request; a library comes in only for the figures of the process, when
 * somebody asks.
 */
export function createMetrics({ process = true }: { readonly process?: boolean } = {}): Metrics {
  const known = new Map<string, Known>();
  const figures = process ? createProcessFigures() : () => "";

  function familyOf<T extends Written>(
    type: string,
    name: string,
    help: string,
    labels: readonly string[],
    make: () => T,
  ): Family<T> {
    const shape = `${type} ${labels.join()}`;
    const found = known.get(name) ?? createFamily(type, name, help, labels, make);
    if (found.shape !== shape) throw new TypeError(`the metric ${name} is ${found.shape} already, not ${shape}`);
    known.set(name, found);
    // A family of this shape was made by the same `make`.
    return found.family as Family<T>;
  }

  return {
    counter: (name, help, labels = []) => familyOf("counter", name, help, labels, createNumber),
    gauge: (name, help, labels = []) => familyOf("gauge", name, help, labels, createNumber),
    histogram: (name, help, labels, buckets) =>
      familyOf("histogram", name, help, labels, () => createHistogram(buckets)),
    async text() {
      const families = await Promise.all([...known.values()].map((family) => family.text()));
      return families.join("") + (await figures());
    },
  };
}

/** One step of the way from label value to label value: quicker than a key that is put together of all of them. */
interface Place {
  readonly next: Map<string, Place>;
  value?: Written;
}

function createFamily(type: string, name: string, help: string, labels: readonly string[], make: () => Written): Known {
  const first: Place = { next: new Map() };
  const members: { readonly labels: string; readonly value: Written }[] = [];

  function begin(values: readonly string[]): Written {
    if (values.length !== labels.length) throw new TypeError(`${name} has the labels ${labels.join()}`);
    const value = make();
    const pairs = labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? "")}"`);
    members.push({ labels: pairs.join(), value });
    return value;
  }

  return {
    shape: `${type} ${labels.join()}`,
    family(...values) {
      let place = first;
      for (const value of values) {
        let next = place.next.get(value);
        if (!next) place.next.set(value, (next = { next: new Map() }));
        place = next;
      }
      return (place.value ??= begin(values));
    },
    async text() {
      const lines = await Promise.all(members.map((member) => member.value.lines(name, member.labels)));
      return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.flat().join("")}`;
    },
  };
}

function createNumber(): Gauge & Written {
  let value = 0;
  let source: Source | undefined;
  return {
    inc(by = 1) {
      value += by;
    },
    dec() {
      value -= 1;
    },
    set(to) {
      value = to;
    },
    from(read) {
      source = read;
    },
    async lines(name, labels) {
      const now = source ? await readOf(source) : value;
      return now === undefined ? [] : [line(name, labels, now)];
    },
  };
}

async function readOf(source: Source): Promise<number | undefined> {
  try {
    return await source();
  } catch {
    // A figure that cannot be had just now takes no other away.
    return undefined;
  }
}

function createHistogram(buckets: readonly number[]): Histogram & Written {
  const counts = new Float64Array(buckets.length);
  let count = 0;
  let sum = 0;
  return {
    observe(value) {
      count++;
      sum += value;
      const bucket = buckets.findIndex((bound) => value <= bound);
      if (bucket >= 0) counts[bucket] = (counts[bucket] ?? 0) + 1;
    },
    merge(more, by) {
      for (const [i, each] of more.entries()) {
        count += each;
        if (i < buckets.length) counts[i] = (counts[i] ?? 0) + each;
      }
      sum += by;
    },
    async lines(name, labels) {
      const before = labels && `${labels},`;
      let below = 0;
      return [
        ...buckets.map((bound, i) => line(`${name}_bucket`, `${before}le="${bound}"`, (below += counts[i] ?? 0))),
        line(`${name}_bucket`, `${before}le="+Inf"`, count),
        line(`${name}_sum`, labels, sum),
        line(`${name}_count`, labels, count),
      ];
    },
  };
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels && `{${labels}}`} ${value}\n`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
