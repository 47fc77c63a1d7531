import { backlog } from "../sockets.ts";
import type { Layout, NginxSettings } from "./configuration.ts";
import { milliseconds, type Place, socketAddress, tlsText, whole, word } from "./directives.ts";
import { doorOf } from "./stream-rows.ts";

/** A port that nginx opens for connections or datagrams. */
export interface NginxStream {
  /** Its name in rows: `l` and a number. */
  readonly id: string;
  readonly places: readonly Place[];
  /** HTTP: how a connection begins says which of two servers inside it is for. */
  readonly protocol: "HTTP" | "TLS" | "TCP" | "UDP";
  /** Endpoints are told the client by the PROXY protocol, version 1. */
  readonly told: boolean;
  /** Of a TLS port: some names are not passed through, or not always. Then a first server reads the name, and one inside goes on. */
  readonly ends: boolean;
}

/** The part of nginx.conf for streams; nothing where there are none. */
export function streamsText(settings: NginxSettings, paths: Layout): string[] {
  const { streams = [], limits } = settings;
  if (streams.length === 0) return [];
  return [
    "stream {",
    `js_import fairlead from ${paths.program}/fairlead/streams.js;`,
    `js_var $fl_rows ${paths.streams};`,
    "js_set $fl_endpoint fairlead.endpoint; js_set $fl_door fairlead.door; js_set $fl_http_door fairlead.httpDoor;",
    "js_set $fl_certificate fairlead.certificate; js_set $fl_key fairlead.key;",
    "access_log off; tcp_nodelay on; proxy_socket_keepalive on; proxy_half_close on;",
    `preread_timeout ${milliseconds(limits.clientHeaders)}; proxy_protocol_timeout ${milliseconds(limits.clientHeaders)};`,
    `proxy_connect_timeout ${milliseconds(limits.connect)}; proxy_timeout ${milliseconds(limits.responseIdle)};`,
    ...tlsText("fairlead_stream_tls"),
    ...streams.flatMap((stream) => serversOf(stream, settings, paths)),
    "}",
  ];
}

function serversOf(stream: NginxStream, { limits, trial = false }: NginxSettings, paths: Layout): string[] {
  const { id, places, protocol, told, ends } = stream;
  const own = `set $fl_listener ${word(id)};`;
  const pass = `${told ? "proxy_protocol on; " : ""}proxy_pass $fl_endpoint;`;
  // Each worker has a socket of its own for datagrams, so that a client stays with the worker that knows it. While it is only tested, none
  // of them may get one.
  const kind = protocol !== "UDP" ? `backlog=${whole(backlog)}` : trial ? "udp" : "udp reuseport";
  const front = `server { ${places.map((at) => `listen ${socketAddress(at)} ${kind};`).join(" ")} ${own}`;
  if (protocol === "UDP")
    return [`${front} proxy_timeout ${milliseconds(limits.datagramIdle)}; proxy_pass $fl_endpoint; }`];
  if (protocol === "TCP") return [`${front} ${pass} }`];
  const doors = `set $fl_doors ${paths.door(id, "").slice(0, -1)}; proxy_protocol on;`;
  if (protocol === "HTTP") return [`${front} js_preread fairlead.preface; ${doors} proxy_pass $fl_http_door; }`];
  if (!ends) return [`${front} ssl_preread on; ${pass} }`];
  const inside = (door: string, more: string): string =>
    `server { listen unix:${paths.door(id, door)} backlog=${whole(backlog)} proxy_protocol${more}; ${own}`;
  return [
    // Servers inside are told the client by the PROXY protocol; who serves HTTP needs it.
    `${front} ssl_preread on; ${doors} proxy_pass $fl_door; }`,
    `${inside(doorOf.pass, "")} ssl_preread on; ${pass} }`,
    `${inside(doorOf.end, " ssl")} ssl_certificate data:$fl_certificate; ssl_certificate_key data:$fl_key; ${pass} }`,
  ];
}
