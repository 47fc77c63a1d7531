import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
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
  options: { readonly address: string; readonly take?: TakePort },
): Promise<OpenListener> {
  const address = first.address ?? options.address;
  const { upstreams, limits } = context;
  let listener = first;
  const sessions = new Map<string, Session>();
  const { socket: front, bound } = options.take
    ? await bindTaken(await options.take(first), address)
    : await bind(first, address);
  front?.on("error", () => {});
  front?.on("message", (message, from) => {
    const key = `${from.address} ${from.port}`;
    const session = sessions.get(key) ?? open(key, from);
    session?.timer.refresh();
    session?.socket.send(message, session.upstream.port, session.upstream.address, () => {});
  });

  function open(key: string, client: RemoteInfo): Session | undefined {
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
      front?.send(answer, client.port, client.address, () => {});
    });
    return session;
  }

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
    drain: () => close(),
    close: () => close(),
  };

  async function close(): Promise<void> {
    for (const key of sessions.keys()) end(key);
    if (!front) return;
    const closed = once(front, "close");
    front.close();
    await closed;
  }
}

async function bindTaken(
  { bound, fd }: TakenPort,
  address: string,
): Promise<{ socket?: Socket; bound: BoundListener }> {
  if (fd === undefined) return { bound };
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  try {
    const listening = once(socket, "listening");
    socket.bind({ fd });
    await listening;
    return { socket, bound };
  } catch (caught) {
    socket.close();
    return { bound: withoutPort(bound, (caught as NodeJS.ErrnoException).code ?? String(caught)) };
  }
}

async function bind(listener: Listener, address: string): Promise<{ socket?: Socket; bound: BoundListener }> {
  const { name, protocol, port: wanted } = listener;
  const about = { name, protocol, wanted, ...(listener.address === undefined ? {} : { address }) };
  let error: string | undefined;
  for (const port of portOrder(listener)) {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    try {
      const listening = once(socket, "listening");
      socket.bind(port, address);
      await listening;
      const bound = { ...about, port: socket.address().port };
      return { socket, bound: error === undefined ? bound : { ...bound, error } };
    } catch (caught) {
      socket.close();
      error ??= `port ${port}/udp: ${(caught as NodeJS.ErrnoException).code ?? String(caught)}`;
    }
  }
  return { bound: { ...about, ...(error === undefined ? {} : { error }) } };
}
