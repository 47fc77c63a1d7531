import { constants, endianness } from "node:os";
import { isMainThread } from "node:worker_threads";
import { isEveryAddress, socketFamily } from "../../system/index.ts";

/**
 * The system's calls for sockets that never wait. What gives a number gives the error's number below zero, as the kernel does
 * (`errors`).
 */
export interface SocketCalls {
  /** Bytes that `receive` has put and `send` sends: good until the next `receive`. */
  readonly data: Buffer;
  /** The address (`readSocketAddress`) of the last client that was accepted. */
  readonly peer: Buffer;
  /** A socket that listens; clients' sockets send at once, as theirs does. */
  listen(name: Buffer): number;
  accept(listener: number): number;
  /** A socket that is on its way to an address. */
  connect(name: Buffer): number;
  /** 0: it has arrived. */
  arrived(fd: number): number;
  /** Bytes that are in `data` now; 0: the other side has ended. */
  receive(fd: number): number;
  /** Sends the first bytes of a buffer; how many of them the system took. */
  send(fd: number, data: Buffer, length: number): number;
  /** Tells the other side that nothing more comes. */
  end(fd: number): void;
  close(fd: number): void;
  /** Closes it so that the other side sees a reset. */
  reset(fd: number): void;
  /** A descriptor that stands for nothing, kept in order to be given up. */
  spare(): number;
  readonly epoll: EpollCalls;
}

/** Epoll, and what wakes who waits for it. */
export interface EpollCalls {
  create(): number;
  /** @param tag comes back with the events, beside the descriptor */
  add(epoll: number, fd: number, events: number, tag: number): number;
  remove(epoll: number, fd: number): void;
  /** What is there now, without waiting: how many `at` can tell. */
  look(epoll: number): number;
  /**
   * Waits in this thread for one of the set (`ours`), and no longer than the event loop has nothing to do (`others`) nor than a millisecond
   * (`nothing`; at once where this cannot be done).
   */
  linger(epoll: number): "ours" | "others" | "nothing";
  /** Waits in another thread; nothing else may be asked of `look` and `at` meanwhile. */
  wait(epoll: number, found: (count: number) => void): void;
  at(index: number): void;
  /** Of the event that `at` was asked for. */
  readonly event: { fd: number; tag: number; events: number };
  /** A descriptor that is ready when it was `rung`, until it is `heard`. */
  bell(): number;
  ring(bell: number): void;
  hear(bell: number): void;
}

const { EAGAIN, EINPROGRESS, EALREADY, EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRINUSE, EADDRNOTAVAIL, ECONNABORTED } =
  constants.errno;

/** The errors that are told apart here, as they are given. */
export const errors = {
  again: -EAGAIN,
  inProgress: -EINPROGRESS,
  already: -EALREADY,
  aborted: -ECONNABORTED,
  tooManyFiles: -EMFILE,
} as const;

/** Whether an error is of this machine and not of who is on the other side. */
export const isOwnFault = (error: number): boolean => [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].includes(-error);

/** The name of an error: `ECONNREFUSED`. */
export function errorName(error: number): string {
  for (const [name, number] of Object.entries(constants.errno)) if (number === -error) return name;
  return `error ${-error}`;
}

/** Events of epoll, from sys/epoll.h. */
export const events = { in: 0x1, out: 0x4, error: 0x8, hangUp: 0x10, otherHangUp: 0x2000, edge: 1 << 31 } as const;

// From asm-generic and bits/socket.h, Linux.
const stream = 1;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
const [levelSocket, levelTcp, levelIpv6] = [1, 6, 41];
const [reuseAddress, pendingError, linger, reusePort] = [2, 4, 13, 15];
const noDelay = 1;
const onlyIpv6 = 26;
const noSignal = 0x4000;
const writing = 1;
const [addToEpoll, removeFromEpoll] = [1, 2];
/** Clients that wait until they are accepted; the system has a bound of its own (`net.core.somaxconn`). */
const backlog = 4096;
const bufferSize = 1 << 16;
const mostEvents = 512;
/** Milliseconds. */
const lingering = 1;

/** Rejects where there is no Linux or no foreign function interface. */
export async function openSocketCalls(): Promise<SocketCalls> {
  if (process.platform !== "linux") throw new Error("epoll is Linux's");
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  const func = (prototype: string) => libc.func(prototype);
  type Call = (...values: (number | Buffer | null)[]) => number;
  const call = (prototype: string): Call => func(prototype) as Call;
  const socket = call("int socket(int, int, int)");
  const setOption = call("int setsockopt(int, int, int, const void *, unsigned int)");
  const getOption = call("int getsockopt(int, int, int, void *, void *)");
  const bind = call("int bind(int, const void *, unsigned int)");
  const listen = call("int listen(int, int)");
  const accept = call("int accept4(int, void *, void *, int)");
  const connect = call("int connect(int, const void *, unsigned int)");
  const nameOfPeer = call("int getpeername(int, void *, void *)");
  const receive = call("long recv(int, void *, size_t, int)");
  const send = call("long send(int, const void *, size_t, int)");
  const shutDown = call("int shutdown(int, int)");
  const close = call("int close(int)");
  const epollCreate = call("int epoll_create1(int)");
  const epollControl = call("int epoll_ctl(int, int, int, const void *)");
  const epollWait = func("int epoll_wait(int, void *, int, int)");
  const eventFd = call("int eventfd(unsigned int, int)");
  const poll = call("int poll(void *, unsigned long, int)");
  const loop = eventLoop();
  const read = call("long read(int, void *, size_t)");
  const write = call("long write(int, const void *, size_t)");

  /** The descriptor that tells of what Node.js's own event loop waits for; undefined where that is not known. */
  function eventLoop(): number | undefined {
    if (!isMainThread) return undefined;
    try {
      const fd = (func("int uv_backend_fd(void *)") as (loop: unknown) => number)(func("void *uv_default_loop()")());
      return fd < 0 ? undefined : fd;
    } catch {
      // A program that does not show the functions of its libuv.
      return undefined;
    }
  }

  const orError = (given: number): number => (given < 0 ? -koffi.errno() : given);
  const number = (value: number): Buffer => Buffer.from(new Int32Array([value]).buffer);
  const one = number(1);
  const lingerNot = Buffer.from(new Int32Array([1, 0]).buffer);
  const size = number(0);
  const word = number(0);
  const setWord = (buffer: Buffer, value: number): void => {
    if (endianness() === "LE") buffer.writeInt32LE(value);
    else buffer.writeInt32BE(value);
  };
  const familyOf = (name: Buffer): number => (name.length > 16 ? socketFamily.ipv6 : socketFamily.ipv4);
  const option = (fd: number, level: number, name: number): boolean =>
    setOption(fd, level, name, one, one.length) === 0;
  const peer = Buffer.alloc(28);
  const peerSize = number(peer.length);
  const data = Buffer.alloc(bufferSize);

  /**
   * A program that listens on every address and allows it (the HTTP data planes do) leaves single ones to others of its user; the system gives
   * a connection to who has its very address. Asked for only when the place is taken, so that nobody shares with another one unawares.
   */
  const bindTo = (fd: number, name: Buffer): boolean =>
    bind(fd, name, name.length) === 0 ||
    (koffi.errno() === EADDRINUSE &&
      !isEveryAddress(name) &&
      option(fd, levelSocket, reusePort) &&
      bind(fd, name, name.length) === 0);

  const calls: SocketCalls = {
    data,
    peer,
    listen(name) {
      const fd = orError(socket(familyOf(name), stream | nonBlocking | closeOnExec, 0));
      if (fd < 0) return fd;
      const isOpen =
        option(fd, levelSocket, reuseAddress) &&
        (familyOf(name) === socketFamily.ipv4 || option(fd, levelIpv6, onlyIpv6)) &&
        option(fd, levelTcp, noDelay) &&
        bindTo(fd, name) &&
        listen(fd, backlog) === 0;
      if (isOpen) return fd;
      const error = -koffi.errno();
      close(fd);
      return error;
    },
    accept(listener) {
      setWord(peerSize, peer.length);
      return orError(accept(listener, peer, peerSize, nonBlocking | closeOnExec));
    },
    connect(name) {
      const fd = orError(socket(familyOf(name), stream | nonBlocking | closeOnExec, 0));
      if (fd < 0) return fd;
      option(fd, levelTcp, noDelay);
      const error = orError(connect(fd, name, name.length));
      if (error === 0 || error === errors.inProgress) return fd;
      close(fd);
      return error;
    },
    arrived(fd) {
      setWord(size, word.length);
      if (getOption(fd, levelSocket, pendingError, word, size) < 0) return -koffi.errno();
      const error = endianness() === "LE" ? word.readInt32LE() : word.readInt32BE();
      if (error !== 0) return -error;
      setWord(peerSize, peer.length);
      return nameOfPeer(fd, peer, peerSize) === 0 ? 0 : errors.inProgress;
    },
    receive(fd) {
      const length = receive(fd, data, bufferSize, 0);
      return length < 0 ? -koffi.errno() : length;
    },
    send(fd, from, length) {
      const sent = send(fd, from, length, noSignal);
      return sent < 0 ? -koffi.errno() : sent;
    },
    end: (fd) => void shutDown(fd, writing),
    close: (fd) => void close(fd),
    reset(fd) {
      setOption(fd, levelSocket, linger, lingerNot, lingerNot.length);
      close(fd);
    },
    spare: () => orError(eventFd(0, closeOnExec)),
    epoll: openEpoll(),
  };

  function openEpoll(): EpollCalls {
    // On x86-64 alone the struct is packed: the number of events, and then eight bytes that are ours.
    const stride = process.arch === "x64" ? 3 : 4;
    const own = stride - 2;
    const found = new Int32Array(mostEvents * stride);
    const foundBytes = Buffer.from(found.buffer);
    const wanted = new Int32Array(stride);
    const wantedBytes = Buffer.from(wanted.buffer);
    const bellValue = Buffer.from(new BigUint64Array([1n]).buffer);
    const heard = Buffer.alloc(8);
    const event = { fd: 0, tag: 0, events: 0 };
    /** Two of `struct pollfd`: descriptor, what is asked for, what there is. */
    const either = Buffer.alloc(16);
    const eitherWords = new Int32Array(either.buffer, either.byteOffset, 4);
    const eitherHalves = new Int16Array(either.buffer, either.byteOffset, 8);
    return {
      event,
      create: () => orError(epollCreate(closeOnExec)),
      add(epoll, fd, mask, tag) {
        wanted[0] = mask;
        wanted[own] = fd;
        wanted[own + 1] = tag;
        return orError(epollControl(epoll, addToEpoll, fd, wantedBytes));
      },
      remove: (epoll, fd) => void epollControl(epoll, removeFromEpoll, fd, wantedBytes),
      look: (epoll) => epollWait(epoll, foundBytes, mostEvents, 0) as number,
      linger(epoll) {
        if (loop === undefined) return "nothing";
        eitherWords[0] = epoll;
        eitherWords[2] = loop;
        eitherHalves[2] = events.in;
        eitherHalves[6] = events.in;
        if (poll(either, 2, lingering) <= 0) return "nothing";
        return eitherHalves[3] === 0 ? "others" : "ours";
      },
      wait: (epoll, tell) => {
        epollWait.async(epoll, foundBytes, mostEvents, -1, (_error: unknown, count: unknown) =>
          tell(typeof count === "number" ? count : 0),
        );
      },
      at(index) {
        event.events = found[index * stride] ?? 0;
        event.fd = found[index * stride + own] ?? -1;
        event.tag = found[index * stride + own + 1] ?? 0;
      },
      bell: () => orError(eventFd(0, nonBlocking | closeOnExec)),
      ring: (bell) => void write(bell, bellValue, bellValue.length),
      hear: (bell) => void read(bell, heard, heard.length),
    };
  }

  return calls;
}
