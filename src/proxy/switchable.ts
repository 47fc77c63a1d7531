import { isLoopback, type NodePlan, type ProxyContext } from "../services/index.ts";
import { type Logger, whenAborted } from "../system/index.ts";
import type { Backend, FrontendState, ProxyMode } from "./backend.ts";

/** A mode was not switched to; the one before serves on as if nothing had happened. */
export class SwitchError extends Error {
  readonly code = "SWITCH_FAILED";

  constructor(mode: ProxyMode, reason: string, options?: ErrorOptions) {
    super(`the proxy was not switched to ${mode}: ${reason}`, options);
    this.name = "SwitchError";
  }
}

export interface SwitchableOptions {
  readonly first: Backend;
  /** A backend of this mode that holds nothing yet, for the context as it is. Throws `ProxyModeError`. */
  make(mode: ProxyMode): Promise<Backend>;
  /** What a new backend is told: every Service, and the canary of its mode. */
  plans(mode: ProxyMode): AsyncIterable<readonly [string, NodePlan]>;
  /** Called before a new backend starts beside the old one. */
  prepare(from: Backend, to: ProxyMode): Promise<void>;
  /** Sends packets through the new mode alone. Resolves with why they did not come through. */
  selfTest(mode: ProxyMode): Promise<string | undefined>;
  /** Takes what a mode has in the kernel out of it, while another one serves. */
  remove(mode: ProxyMode): Promise<void>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** A backend behind which another one can be put while it serves. */
export interface SwitchableBackend extends Backend {
  /**
   * Serves by this mode from now on: it is built beside the old one, tried with packets, and then the old one goes. Connections that
   * exist go on. Throws `SwitchError` when that did not work; then all is as before. Does nothing when it is the mode already.
   */
  switchTo(mode: ProxyMode): Promise<void>;
}

/** Milliseconds in which a new backend must have everything in force. */
const patience = 120_000;

export function createSwitchable(options: SwitchableOptions): SwitchableBackend {
  const { signal, log } = options;
  let current = options.first;
  /** One that is being built: it is told of changes too, so that it misses none. */
  let coming: Backend | undefined;
  let context: ProxyContext | undefined;
  let switching = false;
  const all = new Set<Backend>([current]);
  let retire = false;

  /** Builds the new backend beside the old; when anything is wrong with it, it is taken away again. */
  async function build(mode: ProxyMode): Promise<Backend> {
    const next = await options.make(mode);
    if (context) next.setContext(context);
    coming = next;
    all.add(next);
    try {
      await options.prepare(current, mode);
      let told = 0;
      for await (const [key, plan] of options.plans(mode)) {
        next.update(key, plan);
        if (++told % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      next.start();
      await within(next.settled());
      if (next.failure) throw next.failure;
      const unable = unableNow(next);
      if (unable !== undefined) throw new Error(unable);
      const problem = await options.selfTest(mode);
      if (problem !== undefined) throw new Error(problem);
      return next;
    } catch (error) {
      coming = undefined;
      await next.retire();
      all.delete(next);
      await options.remove(mode).catch((failed: unknown) => log.error({ error: failed, mode }, "left-overs stay"));
      throw error;
    }
  }

  /**
   * What the new mode cannot serve although the one before does: a port that another program has, say. SCTP it may never be able to, and
   * load-balancer addresses may be on no node.
   */
  function unableNow(next: Backend): string | undefined {
    const placeOf = ({ kind, protocol, address, port }: FrontendState) =>
      `${kind} ${protocol} ${address ?? ""} ${port}`;
    const before = new Set(current.frontends().map(placeOf));
    const one = next.frontends().find((state) => {
      // On localhost NodePorts are served by user space in every mode: the one before has them open yet.
      const isOpenYet = state.kind === "NodePort" && isLoopback(state.address ?? "");
      const isOwn = state.kind === "ClusterIP" || (state.kind === "NodePort" && !isOpenYet);
      return isOwn && state.problem !== undefined && state.protocol !== "SCTP" && !before.has(placeOf(state));
    });
    if (!one) return undefined;
    const { service, protocol, address = "the node", port, problem } = one;
    return `${protocol} port ${port} of ${address} (Service ${service}) cannot be served: ${problem}`;
  }

  async function within(done: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not in force after ${patience / 1000} s`)), patience);
    });
    await Promise.race([done, late]).finally(() => clearTimeout(timer));
  }

  async function switchTo(mode: ProxyMode): Promise<void> {
    if (mode === current.mode) return;
    if (switching) throw new SwitchError(mode, "another switch is under way");
    switching = true;
    const old = current;
    try {
      const next = await build(mode).catch((error: unknown) => {
        throw new SwitchError(mode, error instanceof Error ? error.message : String(error), { cause: error });
      });
      current = next;
      coming = undefined;
      await old.retire();
      await options.remove(old.mode);
      log.info({ from: old.mode, to: mode }, "Services are served in another mode");
    } finally {
      switching = false;
    }
  }

  const each = (): Backend[] => (coming ? [current, coming] : [current]);
  return {
    get mode() {
      return current.mode;
    },
    switchTo,
    update(key, plan) {
      for (const backend of each()) backend.update(key, plan);
    },
    setContext(next) {
      context = next;
      for (const backend of each()) backend.setContext(next);
    },
    start: () => current.start(),
    async settled() {
      for (;;) {
        const asked = current;
        try {
          return await asked.settled();
        } catch (error) {
          // One that was switched away from settles no more: its successor does.
          if (signal.aborted || retire || asked === current) throw error;
        }
      }
    },
    frontends: (service) => current.frontends(service),
    get failure() {
      return current.failure;
    },
    repair: () => current.repair(),
    retire() {
      retire = true;
      return Promise.all(each().map((backend) => backend.retire())).then(() => {});
    },
    connections: () => [...all].flatMap((backend) => backend.connections()),
    async serviceConnections() {
      const lists = await Promise.all([...all].map((backend) => backend.serviceConnections()));
      // Modes that were before carry some yet, and two kernel modes see the same.
      return [...new Map(lists.flat().map((one) => [`${one.client} ${one.frontend}`, one])).values()];
    },
    stopped: new Promise((resolve, reject) => {
      whenAborted(signal, () => void Promise.all([...all].map(({ stopped }) => stopped)).then(() => resolve(), reject));
    }),
  };
}
