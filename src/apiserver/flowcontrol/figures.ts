import type { Metrics } from "../../system/index.ts";

/** What is counted of the requests of one FlowSchema. */
export interface FlowFigures {
  dispatched(): void;
  rejected(reason: "queue-full" | "concurrency-limit" | "time-out" | "cancelled"): void;
  /** A request of so many seats waits (1), or waits no longer (-1). */
  waiting(by: 1 | -1, seats: number): void;
  waited(seconds: number, executed: boolean): void;
  executing(by: 1 | -1, seats: number): void;
  executed(seconds: number, isWatch: boolean): void;
}

export interface LevelFigures {
  limits(nominal: number, lendable: number): void;
}

export interface FlowControlFigures {
  of(level: string, schema: string): FlowFigures;
  level(level: string): LevelFigures;
}

/** Upper bounds in seconds, as upstream. */
const waits = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const runs = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60];

/** Names of users' own schemas and levels that become labels at most: those that come later share one. */
const mostNames = 100;

/** Under the names that kube-apiserver has. */
export function createFlowControlFigures(metrics: Metrics): FlowControlFigures {
  const where = ["priority_level", "flow_schema"];
  const dispatched = metrics.counter(
    "apiserver_flowcontrol_dispatched_requests_total",
    "Requests that began to be worked on.",
    where,
  );
  const rejected = metrics.counter(
    "apiserver_flowcontrol_rejected_requests_total",
    "Requests that were turned away, by why.",
    [...where, "reason"],
  );
  const inQueue = metrics.gauge("apiserver_flowcontrol_current_inqueue_requests", "Requests that wait.", where);
  const seatsInQueue = metrics.gauge(
    "apiserver_flowcontrol_current_inqueue_seats",
    "Seats that are waited for.",
    where,
  );
  const executing = metrics.gauge(
    "apiserver_flowcontrol_current_executing_requests",
    "Requests that are worked on; of a watch, its beginning.",
    where,
  );
  const seats = metrics.gauge("apiserver_flowcontrol_current_executing_seats", "Seats that they hold.", where);
  const waited = metrics.histogram(
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "Time that requests waited in a queue, by whether they were worked on then.",
    [...where, "execute"],
    waits,
  );
  const ran = metrics.histogram(
    "apiserver_flowcontrol_request_execution_seconds",
    "Time that requests held their seats.",
    [...where, "type"],
    runs,
  );
  const nominal = metrics.gauge("apiserver_flowcontrol_nominal_limit_seats", "Seats that are a level's own share.", [
    "priority_level",
  ]);
  const lendable = metrics.gauge("apiserver_flowcontrol_lower_limit_seats", "Seats that a level lends to nobody.", [
    "priority_level",
  ]);
  const known = new Set<string>();
  const label = (name: string): string => {
    if (!known.has(name) && known.size >= mostNames) return "other";
    known.add(name);
    return name;
  };
  return {
    of(level, schema) {
      const labels = [label(level), label(schema)] as const;
      const now = executing(...labels);
      const held = seats(...labels);
      const begun = dispatched(...labels);
      const regular = ran(...labels, "regular");
      return {
        dispatched: () => begun.inc(),
        rejected: (reason) => rejected(...labels, reason).inc(),
        waiting(by, wanted) {
          inQueue(...labels).inc(by);
          seatsInQueue(...labels).inc(by * wanted);
        },
        waited: (seconds, executed) => waited(...labels, String(executed)).observe(seconds),
        executing(by, taken) {
          now.inc(by);
          held.inc(by * taken);
        },
        executed: (seconds, isWatch) => (isWatch ? ran(...labels, "watch") : regular).observe(seconds),
      };
    },
    level(level) {
      const name = label(level);
      return {
        limits(own, lent) {
          nominal(name).set(own);
          lendable(name).set(own - lent);
        },
      };
    },
  };
}
