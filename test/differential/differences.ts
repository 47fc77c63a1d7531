// Where a data plane is not what `match` says, and why that is no harm. Anything else is a fault.
import type { DataPlaneName } from "../../src/dataplane/index.ts";
import type { RawRequest } from "./request.ts";
import type { Expected, observed, Verdict } from "./verdict.ts";

type Found = ReturnType<typeof observed>;

interface Difference {
  readonly planes: readonly DataPlaneName[];
  readonly why: string;
  readonly holds: (wanted: Expected, found: Found, raw: RawRequest) => boolean;
}

const all = ["embedded", "haproxy", "nginx"] as const;
/** Method, target and version, as they are. */
const targetOf = ({ bytes }: RawRequest): string => /^[^ ]* ([^ \r\n]*)/.exec(bytes)?.[1] ?? "";
const isRefusal = (found: Found): boolean => found.at === "answer" && found.status === "refused";
const same = (found: Found, other: Verdict | undefined): boolean => JSON.stringify(found) === JSON.stringify(other);
const plainHost = (host: string): string => host.toLowerCase().replace(/:(?:80|443)?$/, "");
const causeOf = ({ reading }: Expected): string => ("refused" in reading ? reading.refused : "");

const differences: readonly Difference[] = [
  {
    planes: all,
    why: "what may be refused has the one meaning that RFC 9112 gives it otherwise",
    holds: ({ otherwise }, found) => otherwise !== undefined && same(found, otherwise),
  },
  {
    planes: all,
    why: "an answer of the proxy's own was there before the fault in the body",
    holds: ({ head }, found) => head !== undefined && found.at !== "endpoint" && same(found, head),
  },
  {
    planes: ["embedded"],
    why: "where every listener has a name, a connection for another name ends at its handshake",
    holds: ({ strange }, found) => strange && isRefusal(found),
  },
  {
    planes: ["embedded"],
    why: "a connection ends when bytes come behind the request that says it is the last one",
    holds: (_wanted, found, { bytes }) => isRefusal(found) && /\r\n\r\n.*\/smuggled/s.test(bytes),
  },
  {
    planes: ["haproxy"],
    why: "HAProxy refuses an absolute target whose authority is not the very text of Host",
    holds: (_wanted, found, raw) => isRefusal(found) && /^https?:/i.test(targetOf(raw)),
  },
  {
    planes: ["nginx"],
    why: "nginx refuses a path that leads above the root",
    holds: (_wanted, found, raw) => isRefusal(found) && /(?:^|\/)(?:\.|%2e)(?:\.|%2e)(?:[/?#]|$)/i.test(targetOf(raw)),
  },
  {
    planes: ["nginx"],
    why: "nginx reads a line without a colon as a field without a value, and leaves out fields whose names are no tokens",
    holds: (wanted, found) => causeOf(wanted) === "field name" && found.at !== "fault",
  },
  {
    planes: ["nginx"],
    why: "nginx takes an absolute target of any scheme for one of HTTP; what it passes on is a path",
    holds: (_wanted, found, raw) => found.at !== "fault" && /^(?!https?:)[a-z]+:\/\//i.test(targetOf(raw)),
  },
  {
    planes: ["nginx"],
    why: "nginx refuses a tab behind the name in Host",
    holds: (_wanted, found, { bytes }) => isRefusal(found) && /\r\nHost: [^\r]*\t\r\n/.test(bytes),
  },
  {
    planes: ["haproxy"],
    why: "HAProxy passes Host on as the client wrote it where the absolute target says the same in other letters, or with its port",
    holds: ({ verdict }, found, raw) =>
      /^https?:/i.test(targetOf(raw)) &&
      verdict.at === "endpoint" &&
      found.at === "endpoint" &&
      same({ ...found, host: plainHost(found.host) }, { ...verdict, host: plainHost(verdict.host) }),
  },
  {
    planes: ["nginx"],
    why: "nginx cannot pass an empty Host on, and refuses it",
    holds: ({ reading }, found) => isRefusal(found) && !("refused" in reading) && reading.host === "",
  },
  {
    planes: ["haproxy"],
    why: "HAProxy 2.6 reads NUL as a byte of the value that it stands in",
    holds: (wanted, found, { bytes }) =>
      causeOf(wanted) === "field value" && bytes.includes("\0") && found.at === "answer",
  },
  {
    planes: ["haproxy"],
    why: "HAProxy takes two Host fields with the same name in them for one, and passes one on",
    holds: (wanted, found) => causeOf(wanted) === "Host" && found.at !== "fault",
  },
];

/** Why a difference is allowed; `undefined`: it is not. */
export function differenceFor(
  plane: DataPlaneName,
  wanted: Expected,
  found: Found,
  raw: RawRequest,
): string | undefined {
  const difference = differences.find(({ planes, holds }) => planes.includes(plane) && holds(wanted, found, raw));
  return difference && `${plane}: ${difference.why}`;
}
