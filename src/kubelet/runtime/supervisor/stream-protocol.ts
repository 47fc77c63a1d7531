import { join, dirname } from "node:path";
import type { Program } from "./protocol.ts";

/** What a connection to the supervisor's second socket begins with, as one line of JSON; frames follow, both ways. */
export type StreamRequest =
  | {
      readonly type: "exec";
      readonly id: string;
      readonly program: Program;
      readonly tty: boolean;
      readonly stdin: boolean;
    }
  | { readonly type: "attach"; readonly id: string; readonly stdin: boolean };

/** How it ended: a command's exit code (128 + signal number), or why it could not be run. */
export type StreamEnd = { readonly exitCode: number } | { readonly error: string };

/**
 * What a frame carries. To the supervisor: `stdin`, `stdinEnd`, `resize` (two numbers of two bytes: columns, rows). From it: `stdout`, `stderr`, and
 * last of all `end` (StreamEnd as JSON); `taken` (a number of four bytes) says how many bytes of input the process has got.
 */
export const streamChannel = { stdin: 0, stdout: 1, stderr: 2, end: 3, resize: 4, stdinEnd: 5, taken: 6 } as const;

/**
 * Bytes of input that may be under way before they are `taken`. The supervisor goes on reading whatever the process does: only so it learns
 * at once that whoever asked has gone.
 */
export const mostInput = 256 << 10;

/** Beside the socket for requests: streams must not hold those up. */
export const streamSocket = (requestSocket: string): string => join(dirname(requestSocket), "streams.sock");

const headLength = 5;
/** Longest frame that is not passed on in pieces. */
const mostWhole = 64 << 10;

/** Channel (1 byte), length (4), data. */
export function streamFrame(channel: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headLength + data.length);
  frame.writeUInt8(channel, 0);
  frame.writeUInt32BE(data.length, 1);
  frame.set(data, headLength);
  return frame;
}

/** Tells of frames as bytes come; `data` frames of streams in pieces, `end` and `resize` whole. Throws for one that is too long. */
export function streamFrameReader(onFrame: (channel: number, data: Buffer) => void): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let open: { readonly channel: number; left: number } | undefined;
  return (chunk) => {
    let rest = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    held = Buffer.alloc(0);
    while (rest.length > 0) {
      if (open) {
        const piece = rest.subarray(0, open.left);
        rest = rest.subarray(piece.length);
        open.left -= piece.length;
        const { channel } = open;
        if (open.left === 0) open = undefined;
        onFrame(channel, piece);
        continue;
      }
      if (rest.length < headLength) break;
      const channel = rest.readUInt8(0);
      const length = rest.readUInt32BE(1);
      if (channel <= streamChannel.stderr) {
        rest = rest.subarray(headLength);
        if (length > 0) open = { channel, left: length };
        continue;
      }
      if (length > mostWhole) throw new Error(`a frame of ${length} bytes is too long`);
      if (rest.length < headLength + length) break;
      onFrame(channel, rest.subarray(headLength, headLength + length));
      rest = rest.subarray(headLength + length);
    }
    if (rest.length > 0) held = Buffer.from(rest);
  };
}
