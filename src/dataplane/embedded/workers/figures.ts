import type { Counter, Family, Gauge, Histogram, Metrics } from "../../../system/index.ts";

/** What has been counted in another process since it told last. */
export type Figures = readonly {
  readonly type: "counter" | "gauge" | "histogram";
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  /** Label values, and by how much it rose or fell; of a histogram by bucket, those above all of them next to last, and the sum. */
  readonly changes: readonly { readonly values: readonly string[]; readonly by: readonly number[] }[];
}[];

interface Member {
  readonly values: readonly string[];
  /** As in `Figures`. */
  by: number[];
}

interface Recorded {
  readonly about: Omit<Figures[number], "changes">;
  readonly members: Map<string, Member>;
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
        .filter(({ by }) => by.some((each) => each !== 0))
        .map(({ values, by }) => ({ values, by })),
    }));
    for (const { members } of changed) for (const member of members.values()) member.by = member.by.map(() => 0);
    changed.clear();
    if (figures.length > 0) tell(figures);
  }

  function note(recorded: Recorded): void {
    if (changed.has(recorded)) return;
    changed.add(recorded);
    timer ??= setTimeout(flush, wait).unref();
  }

  function family<T>(about: Recorded["about"], make: (recorded: Recorded, member: Member) => T): Family<T> {
    const recorded = known.get(about.name) ?? { about, members: new Map() };
    known.set(about.name, recorded);
    const made = new Map<string, T>();
    return (...values) => {
      const key = values.join("\0");
      let one = made.get(key);
      if (one === undefined) {
        const places = about.type === "histogram" ? about.buckets.length + 2 : 1;
        const member = recorded.members.get(key) ?? { values, by: Array.from({ length: places }, () => 0) };
        recorded.members.set(key, member);
        made.set(key, (one = make(recorded, member)));
      }
      return one;
    };
  }

  const unreadable = (): never => {
    throw new TypeError("a figure that is read when it is asked for cannot be told by another process");
  };
  const add = (member: Member, place: number, by: number): void => {
    member.by[place] = (member.by[place] ?? 0) + by;
  };
  const number = (recorded: Recorded, member: Member): Gauge & Counter => ({
    inc(by = 1) {
      add(member, 0, by);
      note(recorded);
    },
    dec() {
      add(member, 0, -1);
      note(recorded);
    },
    set: unreadable,
    from: unreadable,
  });
  const histogram = (recorded: Recorded, member: Member): Histogram => {
    const { buckets } = recorded.about;
    return {
      observe(value) {
        const bucket = buckets.findIndex((bound) => value <= bound);
        add(member, bucket < 0 ? buckets.length : bucket, 1);
        add(member, buckets.length + 1, value);
        note(recorded);
      },
      merge(counts, sum) {
        for (const [i, each] of counts.entries()) add(member, i, each);
        add(member, buckets.length + 1, sum);
        note(recorded);
      },
    };
  };

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
            into.merge(by.slice(0, -1), by.at(-1) ?? 0);
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
