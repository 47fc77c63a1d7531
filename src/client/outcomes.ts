import { isStatus, type StatusReason } from "../kube/index.ts";

/** What `work` gives; undefined when the API refuses it for one of `reasons`, because then there is nothing left to do. */
export async function unless<T>(work: Promise<T>, ...reasons: readonly StatusReason[]): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isStatus(error, ...reasons)) return undefined;
    throw error;
  }
}

/** What an error says, for a log line, an event or a condition. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : "unknown error");
