import type { LevelState, RequestState } from "./flow-control.ts";

/** Path that kube-apiserver has its dumps under. */
const root = "/debug/api_priority_and_fairness/dump_";

/**
 * What waits and what is worked on, as kube-apiserver's debug endpoints of priority and fairness tell it; undefined for other paths. A request
 * gets a queue when it has to wait: those that did not are in none (-1).
 */
export function flowControlDump(
  path: string,
  query: URLSearchParams,
  levels: () => readonly LevelState[],
): string | undefined {
  if (!path.startsWith(root)) return undefined;
  switch (path.slice(root.length)) {
    case "priority_levels":
      return table([levelColumns, ...sorted(levels()).map(levelRow)]);
    case "queues":
      return table([queueColumns, ...sorted(levels()).flatMap(queueRows)]);
    case "requests": {
      const details = Boolean(query.get("includeRequestDetails"));
      const columns = details ? [...requestColumns, ...detailColumns] : requestColumns;
      return table([columns, ...sorted(levels()).flatMap((level) => requestRows(level, details))]);
    }
    default:
      return undefined;
  }
}

const levelColumns = [
  "PriorityLevelName",
  "ActiveQueues",
  "IsIdle",
  "IsQuiescing",
  "WaitingRequests",
  "ExecutingRequests",
  "DispatchedRequests",
  "RejectedRequests",
  "TimedoutRequests",
  "CancelledRequests",
];

function levelRow({ name, queues = [], executing, counts }: LevelState): string[] {
  const waiting = queues.reduce((sum, queue) => sum + queue.waiting.length, 0);
  const active = queues.filter((queue) => queue.waiting.length > 0).length;
  const figures = [waiting, executing.length, counts.dispatched, counts.rejected, counts.timedOut, counts.cancelled];
  return [name, `${active}`, `${waiting + executing.length === 0}`, "false", ...figures.map(String)];
}

const queueColumns = [
  "PriorityLevelName",
  "Index",
  "PendingRequests",
  "ExecutingRequests",
  "SeatsInUse",
  "NextDispatchR",
  "InitialSeatsSum",
  "MaxSeatsSum",
  "TotalWorkSum",
];

function queueRows({ name, queues = [], executing }: LevelState): string[][] {
  return queues.map(({ waiting, begins }, index) => {
    const running = executing.filter(({ queue }) => queue === index);
    const wanted = seatsOf(waiting);
    const figures = [index, waiting.length, running.length, seatsOf(running)];
    return [name, ...figures.map(String), work(begins), `${wanted}`, `${wanted}`, work(wanted)];
  });
}

const seatsOf = (requests: readonly RequestState[]): number => requests.reduce((sum, { seats }) => sum + seats, 0);

/** In seat-seconds: of how long a request will take nothing is known, so a second is assumed. */
const work = (amount: number): string => `${amount.toFixed(8)}ss`;

const requestColumns = [
  "PriorityLevelName",
  "FlowSchemaName",
  "QueueIndex",
  "RequestIndexInQueue",
  // As upstream spells it: programs look for the name.
  "FlowDistingsher",
  "ArriveTime",
  "InitialSeats",
  "FinalSeats",
  "AdditionalLatency",
  "StartTime",
];

const detailColumns = ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"];

function requestRows({ name, queues = [], executing }: LevelState, details: boolean): string[][] {
  const row = (request: RequestState, place: number): string[] => [
    name,
    request.schema,
    `${request.queue}`,
    `${place}`,
    request.distinguisher,
    time(request.arrived),
    `${request.seats}`,
    "0",
    "0s",
    request.started === undefined ? "0001-01-01T00:00:00Z" : time(request.started),
    ...(details ? detailsOf(request) : []),
  ];
  return [...queues.flatMap(({ waiting }) => waiting.map(row)), ...executing.map((request) => row(request, -1))];
}

function detailsOf({ request: { user, info } }: RequestState): string[] {
  if (info.type === "path") return [user.name, info.verb, info.path, "", "", "", "", ""];
  const { verb, path, namespace, name, group, version, resource, subresource } = info;
  return [user.name, verb, path, namespace, name, group ? `${group}/${version}` : version, resource, subresource];
}

const time = (milliseconds: number): string => new Date(performance.timeOrigin + milliseconds).toISOString();

const sorted = (levels: readonly LevelState[]): readonly LevelState[] =>
  levels.toSorted((a, b) => (a.name < b.name ? -1 : 1));

/** Narrower columns are widened to this, as upstream's. */
const narrowest = 8;

/** Rows of values with commas between them, padded so that columns stand below each other. What users chose is kept to its line. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell, i) => cell.replaceAll(/\p{Cc}/gu, " ") + (i < row.length - 1 ? "," : "")),
  );
  const widths = (cells[0] ?? []).map((_, i) => Math.max(narrowest, ...cells.map((row) => (row[i]?.length ?? 0) + 1)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell)).join("");
  return `${cells.map(line).join("\n")}\n`;
}
