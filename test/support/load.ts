import { join } from "node:path";
import { printed } from "./cluster.ts";
import { type Lab, repository, type Running } from "./lab.ts";

export interface LoadOptions {
  readonly url: string;
  /** `Host` header. */
  readonly host?: string;
  /** So many requests, one after the other. */
  readonly count?: number;
  /** Requests a second, for `seconds`. */
  readonly rate?: number;
  readonly seconds?: number;
  readonly keepAlive?: boolean;
}

/** What came of a load of GETs on the echo image. */
export interface LoadResult {
  readonly sent: number;
  readonly ok: number;
  /** How many each pod answered. */
  readonly byPod: Readonly<Record<string, number>>;
  /** The first failures: when, why, and after how many milliseconds. */
  readonly failures: readonly { readonly at: number; readonly why: string; readonly after: number }[];
}

const script = join(repository, "test/support/load.mjs");

/** Sends a load from within a lab and waits for its end. */
export async function load(lab: Lab, options: LoadOptions): Promise<LoadResult> {
  return JSON.parse(printed(await lab.run(process.execPath, [script, JSON.stringify(options)]))) as LoadResult;
}

/** Starts a load that goes on until `end` is called, or for ten minutes. */
export function startLoad(
  lab: Lab,
  options: Omit<LoadOptions, "count" | "seconds">,
): { readonly end: () => Promise<LoadResult> } {
  const running: Running = lab.start(process.execPath, [script, JSON.stringify({ ...options, seconds: 600 })]);
  return {
    async end() {
      await running.stop();
      return JSON.parse(running.output()) as LoadResult;
    },
  };
}
