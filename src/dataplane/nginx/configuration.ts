import { heldBodyBytes } from "../../routing/index.ts";
import type { Limits } from "../embedded/limits.ts";
import { type NamedRetry, retryName } from "../retry-sets.ts";
import { backlog } from "../sockets.ts";
import type { TraceSettings } from "../tracing/tracing.ts";
import { milliseconds, type Place, socketAddress, tlsText, whole, word } from "./directives.ts";
import { type NginxStream, streamsText } from "./stream-configuration.ts";
import { doorOf } from "./stream-rows.ts";

/** A port that nginx opens for HTTP. */
export interface NginxListener {
  /** Its name in rows: `l` and a number. */
  readonly id: string;
  /** Where it listens: one place an address. */
  readonly places: readonly Place[];
  readonly secure: boolean;
  /** Port as backends are told of it. */
  readonly clientPort: number;
  /** Routes of it have limits of bodies. */
  readonly limited?: boolean;
  /** Clients are asked for certificates: none is taken over from an earlier connection, which may have been to another server name. */
  readonly asking?: boolean;
  /** Codes of answers that others take the place of, one text for each rule that names some: `404,503`. */
  readonly errorSets?: readonly string[];
  /** Requests for which there is a location of their own. */
  readonly ways?: readonly Way[];
  /** Its port is a server's for streams, which leads here by a Unix socket. */
  readonly inside?: boolean;
}

/** By whom endpoints are checked, when a request is tried again, and whether answers have a rate, is said by a location: one for each way in which such requests are passed on. */
export interface Way {
  readonly kind: "full" | "h2c" | "mirrored";
  /** `Authorities.id`, where endpoints are checked. */
  readonly authorities?: string;
  /** `BackendTls.depth` */
  readonly depth?: number;
  /** Answers have a rate: never where endpoints speak HTTP/2, since nginx holds such answers to none. */
  readonly paced?: boolean;
  readonly retry?: NamedRetry;
  /** With `retry`, and not for `h2c`: the body is read before it is passed on, and can be sent again. */
  readonly held?: boolean;
  /** One of the listener's `errorSets`, for `full` only. */
  readonly errors?: string;
  /** `bodySlot`; absent: no limit of their own. */
  readonly slot?: string;
}

/** All that nginx is configured with. None of it comes from a user's objects. */
export interface NginxSettings {
  /** Absolute. See `layout`. */
  readonly directory: string;
  /** Number of the master in this folder. */
  readonly master: number;
  readonly listeners: readonly NginxListener[];
  /** Ports for connections and datagrams that are no HTTP, and those where the server name says what they are. */
  readonly streams?: readonly NginxStream[];
  /** Only to be tested: nothing may be taken from who serves now. */
  readonly trial?: boolean;
  /** Number of this configuration: how the control server shows that it is in force. */
  readonly generation: number;
  /** CIDRs. */
  readonly trustedForwarders: readonly string[];
  readonly limits: Limits;
  readonly workers: number;
  /** User of the workers; absent: that of the program. */
  readonly user?: string;
  readonly group?: string;
  /** Files of modules that this nginx loads when it starts. */
  readonly modules: readonly string[];
  /** Bytes of shared memory for rows. */
  readonly memory: number;
  /** Each request is told of on the socket for it. */
  readonly reports?: boolean;
  /** Requests are traced. */
  readonly tracing?: TraceSettings;
}

/**
 * What is where in the data plane's folder. `control` and `private` are closed to the workers. A master after the first has files of its own where
 * one that ends takes them away.
 */
export function layout(directory: string, master = 0) {
  const own = master === 0 ? "nginx" : `nginx.${whole(master)}`;
  return {
    configuration: `${directory}/${own}.conf`,
    candidate: `${directory}/candidate.conf`,
    control: `${directory}/control`,
    socket: `${directory}/control/${own}.sock`,
    /** Where workers tell of requests; they may connect, and no other user. */
    reports: `${directory}/reports`,
    /** Rows of streams, a file each; workers may read them, and no other user. */
    streams: `${directory}/streams`,
    doors: `${directory}/doors`,
    /** Unix socket of a server inside, as `doorOf` names it. */
    door: (listener: string, kind: string): string => `${directory}/doors/${whole(master)}.${word(listener)}.${kind}`,
    private: `${directory}/private`,
    authorities: (id: string): string => `${directory}/private/authorities-${word(id)}.pem`,
    rows: `${directory}/private/rows`,
    certificate: `${directory}/private/default.crt`,
    key: `${directory}/private/default.key`,
    program: `${directory}/program`,
    temporary: `${directory}/temporary`,
    pid: `${directory}/${own}.pid`,
  };
}

export type Layout = ReturnType<typeof layout>;

/** Locations that no request can name: paths with control characters are refused before. */
const inner = (name: string): string => `"/\u0001${name}"`;

/** Own variants of the header fields that only we write, with `_` for any `-`: to a CGI-like backend they are the same. */
function variants(name: string): string[] {
  const [first = "", ...rest] = name.split("-");
  return rest.reduce<string[]>((all, part) => all.flatMap((text) => [`${text}-${part}`, `${text}_${part}`]), [first]);
}

const ownFields = [
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "x-request-id",
];

/** What the program and the configuration tell each other about a request. */
const variables =
  "upgrade host authority port kind h2c target mirrors id pool hsts tls sni certificate key held page original method redirect route meant traceparent tracestate parent rate after close".split(
    " ",
  );

const [kib, mib, gib] = [1 << 10, 1 << 20, 2 ** 30] as const;

/**
 * Bytes that a body may have whose size is not said before it (chunked, HTTP/2): nginx knows only limits of its configuration. Another
 * limit is rounded up to the next of these; what says its size is held to the very limit.
 */
export const bodySizes: readonly number[] = [
  ...[1, 4, 8, 16, 32, 64, 128, 256, 512].map((size) => size * kib),
  ...[1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 500, 512].map((size) => size * mib),
  ...[1, 2, 4, 5, 8, 10, 16, 32, 64].map((size) => size * gib),
];

/** The place of a limit in `bodySizes`, as locations are named: `b3`; the last one for what is larger. */
export function bodySlot(bytes: number): string {
  const index = bodySizes.findIndex((size) => size >= bytes);
  return `b${index < 0 ? bodySizes.length - 1 : index}`;
}

/** Most mirrors of one request. */
export const mirrors = 8;

/** The whole text of nginx.conf. Throws `TypeError` when a setting has characters that could mean something to nginx. */
export function configurationText(settings: NginxSettings): string {
  const { limits, generation } = settings;
  const paths = layout(word(settings.directory), settings.master);
  const trusted = settings.trustedForwarders.map(word);
  const retry = "error timeout";
  const lines = (...all: readonly (string | readonly string[])[]): string => all.flat().join("\n");
  return `${lines(
    settings.modules.map((file) => `load_module ${word(file)};`),
    settings.user === undefined ? [] : `user ${word(settings.user)} ${word(settings.group ?? settings.user)};`,
    `pid ${paths.pid};`,
    "daemon off;",
    "error_log stderr warn;",
    `worker_processes ${whole(settings.workers)};`,
    // After a reload: long connections may go on for so long. When the data plane ends, its master is told to hurry.
    "worker_shutdown_timeout 600s;",
    `events { worker_connections ${whole(limits.connections + 2048)}; multi_accept on; }`,
    "http {",
    `lua_package_path "${paths.program}/?.lua;;";`,
    `lua_shared_dict fairlead ${whole(settings.memory)};`,
    // Clients and what they have used up; beyond it the oldest is forgotten.
    "lua_shared_dict fairlead_guards 16m;",
    // What authorization services have said.
    "lua_shared_dict fairlead_answers 8m;",
    "lua_regex_match_limit 100000;",
    `init_by_lua_block { require("fairlead.start").init("${paths.rows}") }`,
    `init_worker_by_lua_block { require("fairlead.start").worker(${workerArguments(settings, paths)}) }`,
    "access_log off; server_tokens off; tcp_nodelay on; merge_slashes off; uninitialized_variable_warn off;",
    "ignore_invalid_headers off; underscores_in_headers on;",
    `client_body_temp_path ${paths.temporary}/body; proxy_temp_path ${paths.temporary}/proxy;`,
    `fastcgi_temp_path ${paths.temporary}/fastcgi; uwsgi_temp_path ${paths.temporary}/uwsgi; scgi_temp_path ${paths.temporary}/scgi;`,
    `client_header_buffer_size 2k; large_client_header_buffers 4 ${whole(limits.headerBytes)};`,
    `client_max_body_size ${Number.isFinite(limits.bodyBytes) ? whole(limits.bodyBytes) : "0"};`,
    `client_header_timeout ${milliseconds(limits.clientHeaders)}; client_body_timeout ${milliseconds(limits.clientIdle)};`,
    `send_timeout ${milliseconds(limits.clientIdle)}; keepalive_timeout ${milliseconds(limits.clientKeepAlive)};`,
    `keepalive_requests 10000; lingering_timeout ${milliseconds(limits.linger)}; reset_timedout_connection on;`,
    "proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; proxy_socket_keepalive on;",
    `proxy_buffer_size ${whole(limits.headerBytes)}; proxy_buffers 4 ${whole(limits.headerBytes)}; proxy_busy_buffers_size ${whole(limits.headerBytes * 2)}; proxy_max_temp_file_size 0;`,
    `proxy_connect_timeout ${milliseconds(limits.connect)}; proxy_send_timeout ${milliseconds(limits.clientIdle)};`,
    `proxy_read_timeout ${milliseconds(limits.responseStart)}; proxy_next_upstream ${retry};`,
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;",
    "proxy_pass_header Date; proxy_pass_header Server; proxy_pass_header X-Accel-Redirect;",
    `grpc_buffer_size ${whole(limits.headerBytes)}; grpc_connect_timeout ${milliseconds(limits.connect)};`,
    `grpc_read_timeout ${milliseconds(limits.responseStart)}; grpc_send_timeout ${milliseconds(limits.clientIdle)};`,
    `grpc_next_upstream ${retry}; grpc_socket_keepalive on;`,
    "grpc_pass_header Date; grpc_pass_header Server;",
    fields("proxy", settings),
    fields("grpc", settings),
    "map $fl_upgrade $fl_connection { default upgrade; '' $fl_close; }",
    "map $fl_tls $fl_upstream { default http://fl_full; 1 https://fl_tls; }",
    "map $fl_tls $fl_grpc { default grpc://fl_h2c; 1 grpcs://fl_tls; }",
    "map $fl_tls $fl_asked { default http://fl_ask; 1 https://fl_tls; }",
    // Whoever answers is trusted where nothing else is asked for; locations of their own say else.
    "proxy_ssl_certificate $fl_certificate; proxy_ssl_certificate_key $fl_key;",
    "grpc_ssl_certificate $fl_certificate; grpc_ssl_certificate_key $fl_key;",
    "proxy_ssl_name $fl_sni; proxy_ssl_server_name on; proxy_ssl_session_reuse off; proxy_ssl_protocols TLSv1.2 TLSv1.3;",
    "grpc_ssl_name $fl_sni; grpc_ssl_server_name on; grpc_ssl_session_reuse off; grpc_ssl_protocols TLSv1.2 TLSv1.3;",
    // With an entry for what is usual, no expression is tried.
    "map $http_te $fl_te { default ''; '' ''; '~*(?:^|,)\\s*trailers\\s*(?:;|,|$)' trailers; }",
    // nginx's own costs a call of the kernel; it is for requests that nobody decided on.
    "map $fl_id $fl_new_id { default $fl_id; '' $request_id; }",
    // nginx passes on what an endpoint calls itself, and leaves the field out where there is none (RFC 9110 section 10.2.4).
    "map $upstream_http_server $fl_server { default ''; '' fairlead; }",
    "map $http_x_request_id $fl_request_id { default $fl_new_id; '' $fl_new_id; '~^[A-Za-z0-9_.:=/+-]{1,128}$' $http_x_request_id; }",
    trusted.length > 0 ? forwarders(trusted) : [],
    upstreams(limits),
    tlsText("fairlead_tls"),
    `ssl_certificate ${paths.certificate}; ssl_certificate_key ${paths.key};`,
    `server { listen unix:${paths.socket}; client_max_body_size 8m; client_body_buffer_size 8m; lua_need_request_body off;`,
    // Named here, they are there for all servers, and empty: to empty them for each request would cost each request.
    variables.map((name) => `set $fl_${name} "";`),
    `location = /generation { return 200 "${whole(generation)}"; }`,
    'location = /rows { content_by_lua_block { require("fairlead.control").rows() } }',
    "location / { return 404; } }",
    settings.listeners.map((listener) => serverText(listener, settings, paths)),
    "}",
    streamsText(settings, paths),
  )}\n`;
}

/** What each worker is told at its start, as Lua. */
function workerArguments({ reports, tracing }: NginxSettings, paths: Layout): string {
  const words = [reports ? `"${paths.reports}/nginx.sock"` : "nil"];
  if (tracing) words.push(tracing.sample.toFixed(9), String(tracing.only));
  return words.join(", ");
}

/** When a request is tried again. How often is said by the program. */
function retryText(module: "proxy" | "grpc", { codes, only }: NamedRetry): string {
  const words = only.failures.map((failure) => (failure === "invalid" ? "invalid_header" : failure));
  const all = [
    ...words,
    ...codes.map((code) => `http_${whole(code)}`),
    ...(only.nonIdempotent ? ["non_idempotent"] : []),
  ];
  const limit = only.within > 0 ? ` ${module}_next_upstream_timeout ${milliseconds(only.within)};` : "";
  return `${module}_next_upstream ${all.length === 0 ? "off" : all.join(" ")};${limit}`;
}

/** What an endpoint is told beside what the client said. */
function fields(module: "proxy" | "grpc", { trustedForwarders, tracing }: NginxSettings): string[] {
  const trusting = trustedForwarders.length > 0;
  const set = (name: string, value: string): string => `${module}_set_header ${name} ${value};`;
  const dropped = [
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "HTTP2-Settings",
    "Expect",
    // To programs of CGI it would be the variable HTTP_PROXY (CVE-2016-5385).
    "Proxy",
  ];
  return [
    set("Host", "$fl_authority"),
    ...(module === "proxy" ? [set("Connection", "$fl_connection"), set("Upgrade", "$fl_upgrade")] : []),
    set("TE", "$fl_te"),
    ...[...dropped, "Forwarded"].map((name) => set(name, '""')),
    ...ownFields.flatMap((name) =>
      variants(name)
        .slice(1)
        .map((other) => set(other, '""')),
    ),
    set("x-forwarded-for", trusting ? "$fl_forwarded_for" : "$remote_addr"),
    set("x-forwarded-proto", trusting ? "$fl_forwarded_proto" : "$scheme"),
    set("x-forwarded-host", trusting ? "$fl_forwarded_host" : "$fl_host"),
    set("x-forwarded-port", trusting ? "$fl_forwarded_port" : "$fl_port"),
    set("x-real-ip", "$remote_addr"),
    set("x-request-id", "$fl_request_id"),
    ...(tracing ? [set("traceparent", "$fl_traceparent")] : []),
  ];
}

/** Takes over what trusted forwarders say of the client. */
function forwarders(trusted: readonly string[]): string[] {
  const said = (name: string, own: string): string =>
    `map $fl_trusted:$http_x_forwarded_${name} $fl_forwarded_${name} { default ${own}; '~^1:.' $http_x_forwarded_${name}; }`;
  return [
    ...trusted.map((cidr) => `set_real_ip_from ${cidr};`),
    "real_ip_header X-Forwarded-For; real_ip_recursive on;",
    // Servers inside are told it by the PROXY protocol.
    "map $proxy_protocol_addr $fl_peer { default $proxy_protocol_addr; '' $realip_remote_addr; }",
    `geo $fl_peer $fl_trusted { default 0; ${trusted.map((cidr) => `${cidr} 1;`).join(" ")} }`,
    "map $fl_trusted:$http_x_forwarded_for $fl_forwarded_for { default $fl_peer; '~^1:[0-9A-Fa-f.:, ]+$' \"$http_x_forwarded_for, $fl_peer\"; }",
    said("proto", "$scheme"),
    said("host", "$fl_host"),
    said("port", "$fl_port"),
  ];
}

function upstreams(limits: Limits): string[] {
  const kept = `keepalive 512; keepalive_timeout ${milliseconds(limits.endpointKeepAlive)}; keepalive_requests 100000;`;
  const upstream = (name: string, program: string): string =>
    `upstream fl_${name} { server 0.0.0.1; balancer_by_lua_block { ${program} } ${kept} }`;
  const request = 'require("fairlead.request")';
  const full = 'require("fairlead.full").attempt()';
  return [
    upstream("plain", `${request}.attempt()`),
    upstream("full", full),
    upstream("h2c", full),
    upstream("ask", full),
    upstream("mirror", 'require("fairlead.full").mirror()'),
    upstream("page", 'require("fairlead.full").page_endpoint()'),
    // Connections are kept by address alone: one over TLS might be used for another server name.
    `upstream fl_tls { server 0.0.0.1; balancer_by_lua_block { ${full} } }`,
  ];
}

function serverText(listener: NginxListener, settings: NginxSettings, paths: Layout): string {
  const { id, places, secure, clientPort, limited = false, asking = false, errorSets = [], ways = [] } = listener;
  const { inside = false } = listener;
  const program = (module: string, call: string): string => `require("fairlead.${module}").${call}`;
  const server = "add_header Server $fl_server always;";
  const plainFields = program("request", `answer_fields(${secure})`);
  const answerFields = `${server} header_filter_by_lua_block { ${plainFields} }`;
  const fullFields = `${server} header_filter_by_lua_block { ${plainFields} ${program("full", "answer_fields()")} }`;
  const report = settings.reports ? program("report", "note()") : "";
  const done = `log_by_lua_block { ${program("policies", "done()")} ${report} }`;
  const guarded = `internal; access_by_lua_block { ${program("authorize", "check()")} } ${fullFields} ${done}`;
  const slots = Array.from({ length: mirrors }, (_, index) => whole(index));
  /** Fields of a request that has no body, sent in the place of a client's. */
  const bodiless = [
    fields("proxy", settings),
    ...["Content-Length", "Content-Type", "Content-Encoding", "If-Modified-Since", "If-None-Match", "Range"].map(
      (name) => `proxy_set_header ${name} "";`,
    ),
  ]
    .flat()
    .join(" ");
  const place = (name: string, text: string, size?: number): string =>
    `location = ${inner(name)} { ${guarded} ${size === undefined ? "" : `client_max_body_size ${whole(size)};`} ${text} }`;
  /** A location, and the same for each limit of a body. */
  const sized = (name: string, text: string): string[] => [
    place(name, text),
    ...(limited ? bodySizes : []).map((size) => place(`${name}/${bodySlot(size)}`, text, size)),
  ];
  const texts = {
    full: "proxy_pass $fl_upstream$fl_target;",
    h2c: `rewrite_by_lua_block { ${program("full", "uri()")} } grpc_pass $fl_grpc;`,
    mirrored: `client_body_buffer_size 64k; ${slots.map((slot) => `mirror ${inner(`mirror/${slot}`)};`).join(" ")} proxy_pass $fl_upstream$fl_target;`,
  };
  const withPages = (set: string): string => {
    const pages = set.split(",").map((code) => `error_page ${whole(Number(code))} = ${inner(`error/${code}`)};`);
    return `proxy_intercept_errors on; ${pages.join(" ")} ${texts.full}`;
  };
  const wayPlace = ({ authorities, depth, kind, paced, errors, retry, held, slot }: Way): string => {
    const module = kind === "h2c" ? "grpc" : "proxy";
    const name = [
      kind,
      ...(errors === undefined ? [] : [`e${errors.replaceAll(",", "-")}`]),
      ...(retry ? [`${held ? "k" : "t"}${word(retryName(retry) ?? "")}`] : []),
      ...(authorities === undefined ? [] : [`c${word(authorities)}${depth === undefined ? "" : `-${whole(depth)}`}`]),
      ...(paced ? ["r"] : []),
    ].join("/");
    const text = [
      authorities === undefined
        ? ""
        : `${module}_ssl_verify on; ${module}_ssl_verify_depth ${whole(depth ?? 9)}; ${module}_ssl_trusted_certificate ${paths.authorities(authorities)};`,
      retry ? retryText(module, retry) : "",
      held ? "proxy_request_buffering on;" : "",
      held && kind === "full" ? `client_body_buffer_size ${whole(heldBodyBytes)};` : "",
      // What is not buffered goes as fast as it comes; buffers are those of `proxy_buffers`, and never files.
      paced ? "proxy_buffering on; limit_rate $fl_rate; limit_rate_after $fl_after;" : "",
      errors === undefined ? texts[kind] : withPages(errors),
    ].join(" ");
    return slot === undefined
      ? place(name, text)
      : place(
          `${name}/${slot}`,
          text,
          bodySizes.find((size) => bodySlot(size) === slot),
        );
  };
  return [
    "server {",
    ...(inside
      ? [
          `listen unix:${paths.door(id, doorOf.http)} backlog=${backlog}${secure ? " ssl http2" : ""} proxy_protocol;`,
          secure ? "" : `listen unix:${paths.door(id, doorOf.http2)} backlog=${backlog} http2 proxy_protocol;`,
        ]
      : places.map((at) => `listen ${socketAddress(at)} backlog=${backlog}${secure ? " ssl http2" : ""};`)),
    inside ? "set_real_ip_from unix:; real_ip_header proxy_protocol;" : "",
    asking ? "ssl_session_cache off; ssl_session_tickets off;" : "",
    secure ? `ssl_certificate_by_lua_block { ${program("certificate", `select("${word(id)}")`)} }` : "",
    `error_page 400 404 405 408 413 414 421 431 494 495 496 497 500 501 502 503 504 505 ${inner("page")};`,
    // Error pages and mirrors go through the server again, and are decided on by nobody: also not what was refused before.
    'if ($uri ~ "^/\u0001") { break; }',
    `set $fl_host $http_host; set $fl_port ${whole(clientPort)}; set $fl_authority $http_host;`,
    `set_by_lua_block $fl_pool { return ${program("request", `decide("${word(id)}")`)} }`,
    `if ($fl_kind) { rewrite ^ ${inner("$fl_kind")} last; }`,
    // Rows that are newer than this configuration, for as long as an earlier worker has a request to end.
    `location ^~ ${inner("")} { internal; return 503; }`,
    report === "" ? "" : `log_by_lua_block { ${report} }`,
    `location / { ${answerFields}`,
    `if ($fl_h2c) { ${fullFields} grpc_pass grpc://fl_h2c; }`,
    "proxy_pass http://fl_plain; }",
    ...sized("mirrored", texts.mirrored),
    ...sized("full", texts.full),
    ...sized("h2c", texts.h2c),
    ...errorSets.flatMap((set) => sized(`full/e${set.replaceAll(",", "-")}`, withPages(set))),
    ...ways.map(wayPlace),
    ...[...new Set(["503", ...errorSets.flatMap((set) => set.split(","))])].map(
      (code) =>
        `location = ${inner(`error/${code}`)} { internal; rewrite_by_lua_block { ${program("full", `page("${whole(Number(code))}")`)} }
header_filter_by_lua_block { ${plainFields} ${program("full", `page_status(${code})`)} } ${done} recursive_error_pages on;
error_page 500 502 503 504 =${code} ${inner("page")}; proxy_pass_request_body off; ${bodiless} proxy_pass http://fl_page/; }`,
    ),
    `location = ${inner("ask")} { internal; proxy_pass_request_body off; proxy_read_timeout 10s; ${bodiless}
proxy_set_header X-Original-URL $fl_original; proxy_set_header X-Original-Method $fl_method; proxy_set_header X-Sent-From nginx-ingress-controller;
proxy_set_header X-Auth-Request-Redirect $fl_redirect; proxy_pass $fl_asked$fl_target; }`,
    ...slots.map(
      (slot) =>
        `location = ${inner(`mirror/${slot}`)} { internal; rewrite_by_lua_block { ${program("full", `mirrored(${slot})`)} } proxy_pass http://fl_mirror$fl_target; }`,
    ),
    `location ^~ ${inner("bare/")} { internal; proxy_set_body ""; proxy_pass http://fl_mirror$fl_target; }`,
    `location = ${inner("answer")} { internal; ${done} content_by_lua_block { ${program("answer", "begin()")} } }`,
    `location = ${inner("page")} { internal; ${done} content_by_lua_block { ${program("answer", "send()")} } }`,
    "}",
  ]
    .filter((line) => line !== "")
    .join("\n");
}
