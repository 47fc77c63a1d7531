import type { Listener, Server, StreamRoute, StreamTable } from "./model.ts";

/** Keys under which wildcards for a name may stand, the longest first: `.b.example.com`, `.example.com`, `.com`. */
export function* suffixesOf(name: string): Generator<string> {
  for (let dot = name.indexOf("."); dot > 0; dot = name.indexOf(".", dot + 1)) yield name.slice(dot);
}

/** What a listener serves for a name: exact, then the longest wildcard (one or more labels), then that for any name. */
export function serverFor(listener: Listener, name: string): Server | undefined {
  const { servers } = listener;
  if (servers.size === 1) {
    const any = servers.get("");
    if (any) return any;
  }
  if (name !== "") {
    const exact = servers.get(name);
    if (exact) return exact;
    for (const suffix of suffixesOf(name)) {
      const server = servers.get(`*${suffix}`);
      if (server) return server;
    }
  }
  return servers.get("");
}

/** Where a connection with a server name goes; without TLS the name is "". */
export function streamFor(streams: StreamTable, name: string): StreamRoute | undefined {
  const exact = streams.exact.get(name);
  if (exact) return exact;
  for (const suffix of suffixesOf(name)) {
    const route = streams.wildcard.get(suffix);
    if (route) return route;
  }
  return streams.any;
}
