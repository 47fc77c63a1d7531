/** Reads a body that comes in chunks (RFC 9112 section 7.1), whatever way it is cut into reads. */
export interface ChunkReader {
  /**
   * Reads bytes and tells those of the body. The index of the first byte after the body when it has ended, `undefined` when it goes on,
   * -1 when it is malformed.
   */
  read(
    bytes: Buffer,
    start: number,
    end: number,
    tell: (bytes: Buffer, start: number, end: number) => void,
  ): number | undefined;
  /** Trailer section, once the body has ended: lines, without the empty one. */
  trailers(): string;
}

const longestLine = 1 << 10;
const sizeLine = /^([0-9a-fA-F]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

/** `trailerBytes`: the longest trailer section that is accepted. */
export function createChunkReader(trailerBytes: number): ChunkReader {
  let state: "size" | "data" | "after" | "trailers" = "size";
  let left = 0;
  let line = "";
  let trailers = "";
  return {
    read(bytes, start, end, tell) {
      let at = start;
      while (at < end) {
        if (state === "data") {
          const take = Math.min(left, end - at);
          tell(bytes, at, at + take);
          at += take;
          left -= take;
          if (left === 0) state = "after";
          continue;
        }
        const feed = bytes.indexOf(10, at);
        const stop = feed < 0 || feed >= end ? end : feed + 1;
        line += bytes.toString("latin1", at, stop);
        at = stop;
        if (line.length > (state === "trailers" ? trailerBytes : longestLine)) return -1;
        if (!line.endsWith("\n")) continue;
        if (!line.endsWith("\r\n")) return -1;
        const text = line.slice(0, -2);
        line = "";
        if (state === "after") {
          if (text !== "") return -1;
          state = "size";
        } else if (state === "size") {
          const [, size] = sizeLine.exec(text) ?? [];
          if (size === undefined) return -1;
          left = Number.parseInt(size, 16);
          state = left === 0 ? "trailers" : "data";
        } else if (text === "") {
          return at;
        } else {
          trailers += trailers === "" ? text : `\r\n${text}`;
          if (trailers.length > trailerBytes) return -1;
        }
      }
      return undefined;
    },
    trailers: () => trailers,
  };
}
