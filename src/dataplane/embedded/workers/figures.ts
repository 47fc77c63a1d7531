import type { Counter, Family, Gauge, Histogram, Metrics } from "../../../system/index.ts";

/** What has been counted in another process since it told last. */
export type Figures = readonly {
  readonly type: "counter" | "gauge" | "histogram";
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  /** Label values, and by how much it rose or fell; or each value that was observed. */
  readonly changes: readonly { readonly values: readonly string[]; readonly by: readonly number[] }[];
}[];

/** Observed values that are kept until they are told. */
const mostObserved = 1_000;

interface Recorded {
  readonly about: Omit<Figures[number], "changes">;
  readonly members: Map<string, { readonly values: readonly string[]; by: number; observed: number[] }>;
}

/** Metrics of a process that serves none itself: `tell` gets what has been counted, `wait` milliseconds after the first of it at the latest. */
export function createRelayedMetrics(tell: (figures: Figures) => void, wait: number): Metrics & { flush(): void } {
  const known = new Map<string, Recorded>();
  const changed = new Set<Recorded>();
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    const figures: Figures = [...changed].map(({ about, members }) => ({
      ...about,
      changes: [...members.values()]
        .filter(({ by, observed }) => by !== 0 || observed.length > 0)
        .map(({ values, by, observed }) => ({ values, by: about.type === "histogram" ? observed : [by] })),
    }));
    for (const { members } of changed) for (const member of members.values()) [member.by, member.observed] = [0, []];
    changed.clear();
    if (figures.length > 0) tell(figures);
  }

  function note(recorded: Recorded): void {
    if (changed.has(recorded)) return;
    changed.add(recorded);
    timer ??= setTimeout(flush, wait).unref();
  }

  function family<T>(
    about: Recorded["about"],
    make: (recorded: Recorded, member: { by: number; observed: number[] }) => T,
  ): Family<T> {
    const recorded = known.get(about.name) ?? { about, members: new Map() };
    known.set(about.name, recorded);
    const made = new Map<string, T>();
    return (...values) => {
      const key = values.join("\0");
      let one = made.get(key);
      if (one === undefined) {
        const member = recorded.members.get(key) ?? { values, by: 0, observed: [] };
        recorded.members.set(key, member);
        made.set(key, (one = make(recorded, member)));
      }
      return one;
    };
  }

  const unreadable = (): never => {
    throw new TypeError("a figure that is read when it is asked for cannot be told by another process");
  };
  const number = (recorded: Recorded, member: { by: number }): Gauge & Counter => ({
    inc(by = 1) {
      member.by += by;
      note(recorded);
    },
    dec() {
      member.by -= 1;
      note(recorded);
    },
    set: unreadable,
    from: unreadable,
  });
  const histogram = (recorded: Recorded, member: { observed: number[] }): Histogram => ({
    observe(value) {
      member.observed.push(value);
      note(recorded);
      if (member.observed.length >= mostObserved) flush();
    },
  });

  return {
    counter: (name, help, labels = []) => family({ type: "counter", name, help, labels, buckets: [] }, number),
    gauge: (name, help, labels = []) => family({ type: "gauge", name, help, labels, buckets: [] }, number),
    histogram: (name, help, labels, buckets) => family({ type: "histogram", name, help, labels, buckets }, histogram),
    text: () => Promise.resolve(""),
    flush,
  };
}

/** Adds what other processes counted to this one's metrics. */
export interface FigureSink {
  add(figures: Figures): void;
  /** The process has ended: nothing of it is under way any more. */
  end(): void;
}

export function createFigureSink(metrics: Metrics): FigureSink {
  const levels = new Map<Gauge, number>();
  return {
    add(figures) {
      for (const { type, name, help, labels, buckets, changes } of figures)
        for (const { values, by } of changes) {
          if (type === "histogram") {
            const into = metrics.histogram(name, help, labels, buckets)(...values);
            for (const value of by) into.observe(value);
            continue;
          }
          const [change = 0] = by;
          if (type === "counter")
            metrics
              .counter(
                name,
                help,
                labels,
              )(...values)
              .inc(change);
          else {
            const gauge = metrics.gauge(name, help, labels)(...values);
            gauge.inc(change);
            levels.set(gauge, (levels.get(gauge) ?? 0) + change);
          }
        }
    },
    end() {
      for (const [gauge, level] of levels) gauge.inc(-level);
      levels.clear();
    },
  };
}
