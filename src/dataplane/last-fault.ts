/** Why the last of several pieces of work failed. */
export interface LastFault {
  /** Does it; throws what it throws. */
  watch(work: Promise<void>): Promise<void>;
  /** Undefined: the last went well, or there was none yet. */
  readonly text: string | undefined;
}

export function createLastFault(): LastFault {
  let text: string | undefined;
  return {
    async watch(work) {
      try {
        await work;
        text = undefined;
      } catch (error) {
        text = error instanceof Error ? error.message : String(error);
        throw error;
      }
    },
    get text() {
      return text;
    },
  };
}
