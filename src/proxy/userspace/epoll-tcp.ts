import type { ServiceEndpoint } from "../../services/index.ts";
import { readSocketAddress, socketAddress } from "../../system/index.ts";
import { idOf } from "./balancer.ts";
import { createDeadlines } from "./deadlines.ts";
import type { Poller } from "./poller.ts";
import { relay, type Relay } from "./relay.ts";
import { errorName, errors, events, isOwnFault, type SocketCalls } from "./socket-calls.ts";
import { attempts, connectTimeout, type Connection, type OpenServer, type Target } from "./target.ts";

/** Clients accepted in a row, before others have their turn. */
const inARow = 64;
/** Clients that may have connected and not been accepted. */
const most = 4_096;
/** Milliseconds for which nobody is accepted when the system has no room. */
const pause = 100;

const tooMany = "too many open files: a client is turned away";

export interface Bounds {
  /** Descriptors that connections may use: the system gives the lowest that is free, so one above says that all are in use. */
  readonly files?: number;
  /** Milliseconds that an endpoint has to answer a connect. */
  readonly patience?: number;
}

/** TCP by the system's own calls, at half of the processor time that the sockets of Node.js take for a connection. */
export function openEpollTcpServer(calls: SocketCalls, poller: Poller, bounds: Bounds = {}): OpenServer {
  const { files = Number.POSITIVE_INFINITY } = bounds;
  const serve = createServing(calls, poller, bounds);
  /** Kept by all listeners together, to be given up when there are too many files. */
  let spare = calls.spare();
  return (where, target, report, connections) => {
    const name = socketAddress(where.address, where.port);
    const listener = name ? calls.listen(name) : undefined;
    const failed = (error: number | undefined): Promise<never> => {
      const code = error === undefined ? "EADDRNOTAVAIL" : errorName(error);
      return Promise.reject(Object.assign(new Error(`listen ${code} ${where.address}:${where.port}`), { code }));
    };
    if (listener === undefined || listener < 0) return failed(listener);
    let resting: NodeJS.Timeout | undefined;
    let closed = false;

    /** Whether there was somebody. */
    function accept(): boolean {
      const client = calls.accept(listener as number);
      if (client >= 0) {
        const from = readSocketAddress(calls.peer);
        if (from && client < files) serve(client, { ...from, local: where }, target, report, connections);
        else {
          calls.reset(client);
          report(`${where.address}:${where.port}: ${from ? tooMany : "a client without an address"}`);
        }
        return true;
      }
      if (client === errors.again) return false;
      if (client === errors.aborted) return true;
      report(`${where.address}:${where.port}: accept ${errorName(client)}`);
      if (isOwnFault(client) && turnAway()) return true;
      rest();
      return false;
    }

    /** Too many open files: with the one that was kept for it a client is told so, and does not wait for nothing. */
    function turnAway(): boolean {
      if (spare < 0) spare = calls.spare();
      if (spare < 0) return false;
      calls.close(spare);
      const client = calls.accept(listener as number);
      if (client >= 0) calls.reset(client);
      spare = calls.spare();
      return client >= 0;
    }

    function rest(): void {
      poller.forget(listener as number);
      resting ??= setTimeout(() => {
        resting = undefined;
        if (watch() < 0) rest();
      }, pause);
    }

    const ready = (): void => {
      for (let i = 0; i < inARow && !closed; i++) if (!accept()) return;
    };
    const watch = (): number => poller.watch(listener, "level", ready);
    const refused = watch();
    if (refused < 0) {
      calls.close(listener);
      return failed(refused);
    }
    return Promise.resolve({
      refresh() {},
      close() {
        if (closed) return;
        // Those that have connected would be reset with the socket.
        for (let i = 0; i < most && accept(); i++);
        closed = true;
        clearTimeout(resting);
        poller.forget(listener);
        calls.close(listener);
      },
    });
  };
}

/** Where a client came from and to. */
interface Coming {
  readonly address: string;
  readonly port: number;
  readonly local: { readonly address: string; readonly port: number };
}

/** Leads one client to an endpoint, another one where that fails, and copies from then on. */
function createServing(calls: SocketCalls, poller: Poller, bounds: Bounds) {
  const { files = Number.POSITIVE_INFINITY, patience = connectTimeout } = bounds;
  const deadlines = createDeadlines(patience);
  const names = new WeakMap<ServiceEndpoint, Buffer>();
  const nameOf = (endpoint: ServiceEndpoint): Buffer | undefined => {
    const name = names.get(endpoint) ?? socketAddress(endpoint.address, endpoint.port);
    if (name) names.set(endpoint, name);
    return name;
  };

  return (
    client: number,
    { address, port, local }: Coming,
    target: Target,
    report: (problem: string) => void,
    connections: Set<Connection>,
  ): void => {
    let copying: Relay | undefined;
    let open = true;
    /** Of the endpoint that is tried: ends the attempt. */
    let giveUp: (() => void) | undefined;
    let ended: (() => void) | undefined;
    const connection: Connection = {
      remoteAddress: address,
      remotePort: port,
      localAddress: local.address,
      localPort: local.port,
      get bytesRead() {
        return copying?.received ?? 0;
      },
      get bytesWritten() {
        return copying?.sent ?? 0;
      },
      destroy: () => leave("close"),
      resetAndDestroy: () => leave("reset"),
    };
    connections.add(connection);
    target.came(connection);
    const endpoints = target.endpointsFor(address);
    if (endpoints.length > 0) attempt(endpoints, 0);
    else
      void target.hold(address).then((there) => {
        if (open) attempt(there ? target.endpointsFor(address) : [], 0);
      });

    function leave(how: "close" | "reset"): void {
      if (!open) return;
      if (copying) return copying.stop(how);
      giveUp?.();
      calls[how](client);
      over();
    }

    function over(): void {
      open = false;
      connections.delete(connection);
      ended?.();
    }

    function attempt(endpoints: readonly ServiceEndpoint[], index: number): void {
      const endpoint = index < attempts ? endpoints[index] : undefined;
      if (!endpoint) return leave("reset");
      const name = nameOf(endpoint);
      const upstream = name ? calls.connect(name) : -1;
      const failed = (problem: string): void => {
        report(`${idOf(endpoint)}: ${problem}`);
        // Nothing has been sent yet, so another endpoint may answer in its place.
        target.failed(endpoint);
        attempt(endpoints, index + 1);
      };
      if (upstream >= files) {
        calls.close(upstream);
        report(`${idOf(endpoint)}: ${tooMany}`);
        return leave("reset");
      }
      if (upstream < 0) {
        if (!isOwnFault(upstream)) return failed(name ? `connect ${errorName(upstream)}` : "no address");
        report(`${idOf(endpoint)}: connect ${errorName(upstream)}`);
        return leave("reset");
      }
      giveUp = () => {
        giveUp = undefined;
        inTime();
        poller.forget(upstream);
        calls.close(upstream);
      };
      const arrive = (): Relay => {
        giveUp = undefined;
        inTime();
        target.reached(address, endpoint);
        copying = relay({ calls, poller }, client, upstream, over);
        ended = target.began(connection, endpoint);
        return copying;
      };
      const inTime = deadlines.begin(() => {
        // It may have arrived and nobody was told yet, when this process was kept from running for so long.
        const state = calls.arrived(upstream);
        if (state === 0) {
          arrive();
          return;
        }
        giveUp?.();
        failed(state === errors.inProgress ? "no answer to connect" : `connect ${errorName(state)}`);
      });
      const refused = poller.watch(upstream, "edge", (found) => {
        if (copying) return copying.upstreamReady(found);
        const state = (found & (events.error | events.hangUp)) === 0 ? 0 : calls.arrived(upstream);
        if (state === errors.inProgress) return;
        if (state === 0) {
          // Who speaks first may have done so.
          return arrive().upstreamReady(found);
        }
        giveUp?.();
        failed(`connect ${errorName(state)}`);
      });
      if (refused < 0) {
        giveUp();
        report(`${idOf(endpoint)}: ${errorName(refused)}`);
        leave("reset");
      }
    }
  };
}
