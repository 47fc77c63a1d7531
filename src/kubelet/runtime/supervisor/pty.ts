import { constants, closeSync, openSync } from "node:fs";
import { ReadStream } from "node:tty";

/** A pseudo-terminal. */
export interface Pty {
  /** The end that a process gets as its three standard streams. */
  readonly peer: number;
  /** Closes `peer` here, once the process has it. */
  release(): void;
  /** Open it once: output of the process, and input to it. It ends with an error EIO when no process has the terminal any more. */
  master(): ReadStream;
  resize(columns: number, rows: number): void;
}

// From asm-generic/ioctls.h: all that Linux runs Node on, but mips, powerpc and sparc.
const setLock = 0x40045431;
const openPeer = 0x5441;
const setWindowSize = 0x5414;

/** Opens a terminal by ioctls of /dev/ptmx (pty(7), ioctl_tty(2)). Throws when the machine gives none. */
export async function openPty(): Promise<Pty> {
  const { default: koffi } = await import("koffi");
  const ioctl = koffi.load(null).func("int ioctl(int fd, unsigned long request, ...)");
  const asked = (fd: number, request: number, type: string, value: unknown): number => {
    const result = ioctl(fd, request, type, value) as number;
    if (result < 0) throw new Error(`no terminal: ioctl ${request.toString(16)} failed with error ${koffi.errno()}`);
    return result;
  };
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const master = openSync("/dev/ptmx", flags);
  let peer: number;
  try {
    asked(master, setLock, "void *", Buffer.alloc(4));
    peer = asked(master, openPeer, "int", flags);
  } catch (error) {
    closeSync(master);
    throw error;
  }
  let stream: ReadStream | undefined;
  let released = false;
  return {
    peer,
    release() {
      if (!released) closeSync(peer);
      released = true;
      if (!stream) closeSync(master);
    },
    master: () => (stream ??= new ReadStream(master)),
    resize(columns, rows) {
      if (!stream || stream.destroyed) return;
      const size = new Uint16Array([rows, columns, 0, 0]);
      asked(master, setWindowSize, "void *", Buffer.from(size.buffer));
    },
  };
}

/** The argument array that makes a command the leader of a session with the terminal on its standard input. */
export const withTerminal: readonly string[] = ["setsid", "--ctty", "--"];
