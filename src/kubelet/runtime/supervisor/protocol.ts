import type { ContainerRecord, Sandbox } from "../runtime.ts";
import type { TerminationLog } from "../termination-message.ts";

/** A sandbox as the supervisor keeps it. It only needs the ids; the rest belongs to the runtime that asks. */
export interface SandboxRecord extends Sandbox {
  /** Name of the network namespace; absent where the pod shares the node's. */
  readonly netns?: string;
  /** Host name of its containers. */
  readonly hostname: string;
}

/** What `start` runs: an argument array, never a shell string. */
export interface Program {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** With a terminal (Container.tty). */
  readonly tty?: boolean;
  /** Its input stays open for attachments (Container.stdin). */
  readonly stdin?: boolean;
  /** Its input ends when the first attachment to it does (Container.stdinOnce). */
  readonly stdinOnce?: boolean;
}

/** A container as the supervisor keeps it. */
export interface HeldContainer extends ContainerRecord {
  readonly stopSignal: string;
  readonly terminationLog?: TerminationLog;
  /** The argument array that comes before any command in this container, once in its namespaces. */
  readonly within: readonly string[];
  /** Where further commands begin, when not in a file system of its own. */
  readonly cwd?: string;
  /** With `pidStart` (field 22 of /proc/PID/stat) it names a process for good. */
  readonly pid?: number;
  readonly pidStart?: string;
}

/** Requests by name: what goes in and what comes back. One JSON document a line, both ways. */
export interface Requests {
  hello: { in: Record<string, never>; out: { pid: number } };
  list: { in: { podUid?: string }; out: { sandboxes: SandboxRecord[]; containers: HeldContainer[] } };
  putSandbox: { in: { sandbox: SandboxRecord }; out: null };
  deleteSandbox: { in: { id: string }; out: null };
  putContainer: { in: { container: HeldContainer }; out: null };
  startContainer: { in: { id: string; program: Program }; out: { pid: number } };
  /** Nothing happens when it does not run. */
  signalContainer: { in: { id: string; signal: string }; out: null };
  /** Ends it first when it still runs. */
  deleteContainer: { in: { id: string }; out: null };
  /** Kills every container, forgets nothing, ends the supervisor. */
  shutdown: { in: Record<string, never>; out: null };
}

export type Method = keyof Requests;

export interface RequestLine {
  readonly id: number;
  readonly method: Method;
  readonly params: Requests[Method]["in"];
}

/** An answer, or, without `id`, the news that something of a pod changed. */
export type ReplyLine =
  | { readonly id: number; readonly result: Requests[Method]["out"] }
  | { readonly id: number; readonly error: string }
  | { readonly changed: string };

/** Longest line either side accepts, in characters: an environment may be large, a stream without end may not. */
export const maxLine = 8 << 20;

/** Splits a stream into lines and gives each to `onLine`; `onOverflow` when one is too long. */
export function lineSplitter(onLine: (line: string) => void, onOverflow: () => void): (chunk: string) => void {
  let rest = "";
  return (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line) onLine(line);
    if (rest.length > maxLine) {
      rest = "";
      onOverflow();
    }
  };
}
