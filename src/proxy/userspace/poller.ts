import { errorName, events, type SocketCalls } from "./socket-calls.ts";

/** Tells of sockets that are ready: in turns of this thread's event loop, and by another thread that waits when nothing comes for a while. */
export interface Poller {
  /**
   * Calls `ready` with the events (`events`) of a socket: `edge`, once for whatever is new; `level`, as long as something is there. Returns
   * 0, or the error's number below zero.
   */
  watch(fd: number, how: "edge" | "level", ready: (events: number) => void): number;
  /** Is told no more of a socket; an edge-watched one has to be closed then. */
  forget(fd: number): void;
  /** Goes on in the next turn, after others had theirs. */
  soon(task: () => void): void;
}

interface Watched {
  readonly tag: number;
  readonly level: boolean;
  readonly ready: (events: number) => void;
}

const mostOthers = 8;

/** Throws where the system gives no epoll. It needs nothing, and keeps no process alive, while no socket is watched. */
export function openPoller({ epoll }: Pick<SocketCalls, "epoll">): Poller {
  const set = epoll.create();
  if (set < 0) throw new Error(`epoll: ${errorName(set)}`);
  const bell = epoll.bell();
  const watched = new Map<number, Watched>();
  let tasks: (() => void)[] = [];
  let tags = 0;
  let scheduled = false;
  let waiting = false;
  /** How many more turns, after one that told of something, may go to others before another thread is asked to wait. */
  let patience = 0;
  if (bell < 0 || epoll.add(set, bell, events.in, 0) < 0) throw new Error(`eventfd: ${errorName(bell)}`);
  // At its end the process waits for its threads.
  process.once("exit", () => epoll.ring(bell));

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    scheduled = false;
    const due = tasks;
    tasks = [];
    for (const task of due) task();
    if (!waiting) {
      let count = epoll.look(set);
      // Who has just been served mostly goes on at once: another thread would cost more than to wait for it here.
      const found = count <= 0 && patience > 0 && tasks.length === 0 ? epoll.linger(set) : "nothing";
      if (found === "ours") count = epoll.look(set);
      if (count > 0) {
        patience = mostOthers;
        tell(count);
        schedule();
      } else if (found === "others") {
        patience--;
        schedule();
      } else if (tasks.length === 0 && watched.size > 0) wait();
    }
    if (tasks.length > 0) schedule();
  }

  function wait(): void {
    waiting = true;
    patience = 0;
    epoll.wait(set, (count) => {
      waiting = false;
      patience = mostOthers;
      tell(count);
      schedule();
    });
  }

  function tell(count: number): void {
    for (let i = 0; i < count; i++) {
      epoll.at(i);
      const { fd, tag, events: found } = epoll.event;
      if (fd === bell) epoll.hear(bell);
      else {
        // A socket closed meanwhile may have left its number to another.
        const one = watched.get(fd);
        if (one?.tag === tag) one.ready(found);
      }
    }
  }

  return {
    watch(fd, how, ready) {
      const level = how === "level";
      const mask = level ? events.in : events.in | events.out | events.otherHangUp | events.edge;
      tags = (tags + 1) | 0;
      const failed = epoll.add(set, fd, mask, tags);
      if (failed < 0) return failed;
      watched.set(fd, { tag: tags, level, ready });
      if (!waiting) schedule();
      return 0;
    },
    forget(fd) {
      const one = watched.get(fd);
      if (!one) return;
      watched.delete(fd);
      // Closing takes it out of the set, but not while a program that is being started still has it: what says the same again and again must not stay.
      if (one.level) epoll.remove(set, fd);
      if (watched.size === 0 && waiting) epoll.ring(bell);
    },
    soon(task) {
      tasks.push(task);
      schedule();
    },
  };
}
