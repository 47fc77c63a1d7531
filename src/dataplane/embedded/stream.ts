import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { StreamRoute } from "../../routing/index.ts";
import { proxyHeader } from "../proxy-protocol.ts";
import { pickBackend } from "./decision.ts";
import type { Limits } from "./limits.ts";
import type { Upstream, Upstreams } from "./upstream.ts";

export interface StreamContext {
  readonly upstreams: Upstreams;
  readonly limits: Limits;
}

/**
 * Leads a connection to one endpoint of a route, bytes untouched both ways. Each side may end its own direction alone.
 * Without a route or an endpoint the connection is reset, so that its client knows at once.
 */
export function forwardStream(
  context: StreamContext,
  client: Socket | TLSSocket,
  route: StreamRoute | undefined,
): void {
  const { upstreams, limits } = context;
  client.on("error", () => client.destroy());
  client.setNoDelay(true);
  const pool = route && pickBackend(route.rule.backends)?.pool;
  if (pool === undefined) return reset(client);
  const tried = new Set<Upstream>();
  const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = client;
  attempt(pool);

  function attempt(key: string): void {
    const upstream = tried.size < limits.tries ? upstreams.pick(key, tried, { client: remoteAddress }) : undefined;
    if (upstream === undefined || upstream === "full" || client.destroyed) return reset(client);
    tried.add(upstream);
    upstream.inFlight++;
    const { address: host, port, tls, proxyProtocol } = upstream;
    const endpoint = tls ? connectTls({ ...tls(), host, port }) : connect({ host, port, allowHalfOpen: true });
    let connected = false;
    endpoint.setNoDelay(true);
    endpoint.setTimeout(limits.connect, () => endpoint.destroy());
    endpoint.once("close", () => {
      upstream.inFlight--;
      if (connected) client.destroy();
      else {
        upstream.avoid();
        attempt(key);
      }
    });
    endpoint.on("error", () => endpoint.destroy());
    endpoint.once(tls ? "secureConnect" : "connect", () => {
      connected = true;
      const ends = { source: remoteAddress, sourcePort: remotePort, destination: localAddress };
      if (proxyProtocol) endpoint.write(proxyHeader(proxyProtocol, { ...ends, destinationPort: localPort }));
      join(endpoint);
    });
    client.once("close", () => endpoint.destroy());
  }

  function join(endpoint: Socket): void {
    for (const side of [client, endpoint]) side.setTimeout(limits.responseIdle, () => side.destroy());
    client.pipe(endpoint).pipe(client);
  }
}

/** Closes a connection so that its peer sees an error and not an end. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return;
  // Only what is a plain TCP connection can be reset.
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}
