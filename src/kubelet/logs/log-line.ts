/** One line of a log in the CRI format. A partial one goes on in the next line of its stream. */
export interface LogLine {
  /** RFC 3339 with nanoseconds, as written. */
  readonly time: string;
  readonly stream: string;
  readonly partial: boolean;
  readonly content: Buffer;
}

const space = 32;

/** Reads `2026-01-01T00:00:00.000000000Z stdout F text`, without its line feed; undefined for anything else. */
export function parseLogLine(line: Buffer): LogLine | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 0 || second < 0 || third < 0) return undefined;
  const tag = line.toString("latin1", second + 1, third);
  return {
    time: line.toString("latin1", 0, first),
    stream: line.toString("latin1", first + 1, second),
    // Tags are separated by colons; the first says whether the line is whole.
    partial: tag.split(":")[0] === "P",
    content: line.subarray(third + 1),
  };
}
