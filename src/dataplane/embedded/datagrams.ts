import { type BindOptions, createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { type Listener, matchStream } from "../../routing/index.ts";
import type { BoundListener } from "../dataplane.ts";
import { portOrder, type TakenPort, type TakePort, withoutPort } from "./bind.ts";
import { pickBackend } from "./decision.ts";
import type { OpenListener } from "./listener.ts";
import type { StreamContext } from "./stream.ts";
import type { Upstream } from "./upstream.ts";

interface Session {
  readonly socket: Socket;
  readonly upstream: Upstream;
  timer: NodeJS.Timeout;
}

/** Opens a port for datagrams. Those of one client address and port go to one endpoint, as long as they keep coming. */
export async function openDatagrams(
  context: StreamContext,
  first: Listener,
  options: { readonly addresses: readonly string[]; readonly take?: TakePort },
): Promise<OpenListener> {
  const { upstreams, limits } = context;
  let listener = first;
  const sessions = new Map<string, Session>();
  const { sockets: fronts, bound } = options.take
    ? await bindTaken(await options.take(first))
    : await bind(first, first.address === undefined ? options.addresses : [first.address]);
  for (const [index, front] of fronts.entries()) {
    front.on("error", () => {});
    front.on("message", (message, from) => {
      const key = `${index} ${from.address} ${from.port}`;
      const session = sessions.get(key) ?? open(key, front, from);
      session?.timer.refresh();
      session?.socket.send(message, session.upstream.port, session.upstream.address, () => {});
    });
  }

  function open(key: string, front: Socket, client: RemoteInfo): Session | undefined {
    // Whoever comes when all places are taken is not served: an old client is worth more than a forged one.
    if (sessions.size >= limits.connections) return undefined;
    const pool = pickBackend(matchStream(listener, "")?.route?.rule.backends ?? [])?.pool;
    const upstream = pool === undefined ? undefined : upstreams.pick(pool, new Set(), { client: client.address });
    if (upstream === undefined || upstream === "full") return undefined;
    const socket = createSocket(upstream.address.includes(":") ? "udp6" : "udp4");
    const session = { socket, upstream, timer: setTimeout(() => end(key), limits.datagramIdle) };
    upstream.inFlight++;
    sessions.set(key, session);
    socket.on("error", () => end(key));
    socket.on("message", (answer, from) => {
      if (from.port !== upstream.port || from.address !== upstream.address) return;
      session.timer.refresh();
      front.send(answer, client.port, client.address, () => {});
    });
    return session;
  }

  /** Whoever has been drained is closed too, later. */
  let closed: Promise<void> | undefined;

  function end(key: string): void {
    const session = sessions.get(key);
    if (!session) return;
    sessions.delete(key);
    clearTimeout(session.timer);
    session.upstream.inFlight--;
    session.socket.close();
  }

  return {
    bound,
    update(next) {
      const [before, after] = [listener, next].map((each) =>
        JSON.stringify(matchStream(each, "")?.route?.rule ?? null),
      );
      listener = next;
      // Other backends now: nobody stays with one that the route no longer names.
      if (before !== after) for (const key of sessions.keys()) end(key);
    },
    drain: () => (closed ??= close()),
    close: () => (closed ??= close()),
  };

  async function close(): Promise<void> {
    for (const key of sessions.keys()) end(key);
    const all = Promise.all(fronts.map((front) => once(front, "close")));
    for (const front of fronts) front.close();
    await all;
  }
}

interface BoundSockets {
  /** One for each address. */
  readonly sockets: readonly Socket[];
  readonly bound: BoundListener;
}

async function bindTaken({ bound, ends }: TakenPort): Promise<BoundSockets> {
  const sockets = await openAll(ends.map(({ address, fd }) => ({ address, where: () => ({ fd }) })));
  return typeof sockets === "string" ? { sockets: [], bound: withoutPort(bound, sockets) } : { sockets, bound };
}

async function bind(listener: Listener, addresses: readonly string[]): Promise<BoundSockets> {
  const { name, protocol, port: wanted, address: own } = listener;
  const about = { name, protocol, wanted, ...(own === undefined ? {} : { address: own }) };
  let error: string | undefined;
  for (const port of portOrder(listener)) {
    // Where any port will do, the others take the one that the first got.
    const places = addresses.map((address) => ({
      address,
      where: ([first]: readonly Socket[]) => ({ port: first?.address().port ?? port, address }),
    }));
    const sockets = await openAll(places);
    if (typeof sockets !== "string") {
      const bound = { ...about, port: sockets[0]?.address().port ?? port };
      return { sockets, bound: error === undefined ? bound : { ...bound, error } };
    }
    error ??= `port ${port}/udp: ${sockets}`;
  }
  return { sockets: [], bound: { ...about, ...(error === undefined ? {} : { error }) } };
}

/** A socket for each of these places, or why one cannot be: then there is none. */
async function openAll(
  places: readonly { readonly address: string; readonly where: (open: readonly Socket[]) => BindOptions }[],
): Promise<Socket[] | string> {
  const open: Socket[] = [];
  for (const { address, where } of places) {
    // Beside a socket of IPv4, `::` is of IPv6 alone.
    const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", ipv6Only: places.length > 1 });
    open.push(socket);
    try {
      const listening = once(socket, "listening");
      socket.bind(where(open.slice(0, -1)));
      await listening;
    } catch (caught) {
      for (const each of open) each.close();
      return (caught as NodeJS.ErrnoException).code ?? String(caught);
    }
  }
  return open;
}
