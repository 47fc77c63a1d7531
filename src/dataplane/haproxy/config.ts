import { challengeProtocol, type ListenerProtocol } from "../../routing/index.ts";
import type { Limits } from "../embedded/limits.ts";
import { retryRules } from "./retry-rules.ts";
import type { TraceSettings } from "../tracing/tracing.ts";
import type { ClientDemand } from "./certificates.ts";
import { clientVariable, noteFormat, reportFormat } from "./reports.ts";
import { partsOf, type Slot, slotKinds, slotNames, type Slots } from "./slots.ts";
import { shareOf, traceFields, traceRules } from "./trace-rules.ts";

/** A frontend of the configuration. */
export interface Frontend {
  readonly tag: string;
  readonly protocol: ListenerProtocol;
  /** Descriptors of its listening sockets in the process, one an address. */
  readonly fds: readonly number[];
  /** Port that clients see. */
  readonly port: number;
  readonly clients: ClientDemand;
  /** Of HTTPS: names are proved here, so that connections are read first, and handed on to this listening Unix socket. */
  readonly inside?: { readonly fd: number; readonly path: string };
}

/** A server that is there from the start. */
export interface ServerLine {
  readonly name: string;
  /** `127.0.0.1:80`, `[::1]:80` */
  readonly address: string;
  readonly keywords: readonly string[];
}

export interface ConfigInput {
  /** Absolute; holds all files. */
  readonly directory: string;
  /** Of the runtime API. */
  readonly socket: string;
  readonly frontends: readonly Frontend[];
  readonly slots: Slots;
  readonly servers: ReadonlyMap<Slot, readonly ServerLine[]>;
  /** Files of certificates that are read at the start, so that servers that come later may name them. */
  readonly authorities: readonly string[];
  /** CIDRs. */
  readonly trusted: readonly string[];
  readonly limits: Limits;
  /** Milliseconds after which a process that drains ends by itself, should nobody be left who ends it. */
  readonly drained: number;
  readonly threads?: number;
  /** A line for each request on standard output. */
  readonly reports?: boolean;
  /** Requests are traced. */
  readonly tracing?: TraceSettings;
  /** Answers of some routes have a rate: HAProxy 2.7 or newer. */
  readonly paced?: boolean;
}

/** What cannot be a word of the configuration. It means a fault of this program: no text of a user's is ever one. */
export class UnsafeDirective extends Error {
  readonly code = "UNSAFE_DIRECTIVE";
}

const bare = /^[A-Za-z0-9._/:@()=,+*%[\]{}!?-]+$/;

/** One line: words, quoted where they need it. Nothing else writes configuration. */
export function directive(...words: readonly (string | number)[]): string {
  return words
    .map((each) => {
      const text = String(each);
      if (bare.test(text)) return text;
      // oxlint-disable-next-line no-control-regex
      if (text === "" || /[\0-\x1f\x7f']/.test(text))
        throw new UnsafeDirective(`${JSON.stringify(text)} cannot be a word`);
      return `'${text}'`;
    })
    .join(" ");
}

/** Names of the files in a data plane's directory. */
export const files = {
  config: (directory: string): string => `${directory}/haproxy.cfg`,
  program: (directory: string): string => `${directory}/program.lua`,
  /** Addresses whose `X-Forwarded-*` are believed, as a map. */
  trusted: (directory: string): string => `${directory}/maps/trusted.map`,
  /** Unix socket of `servePasswords`. */
  passwords: (directory: string): string => `${directory}/run/passwords`,
  routes: (directory: string): string => `${directory}/maps/routes.map`,
  hosts: (directory: string, tag: string): string => `${directory}/maps/${tag}-hosts.map`,
  paths: (directory: string, tag: string): string => `${directory}/maps/${tag}-paths.map`,
  list: (directory: string, tag: string): string => `${directory}/${tag}.crt-list`,
  certificate: (directory: string, id: string): string => `${directory}/certificates/${id}.pem`,
  authorities: (directory: string, id: string): string => `${directory}/authorities/${id}.pem`,
  revoked: (directory: string, id: string): string => `${directory}/authorities/${id}.crl`,
} as const;

/** Path characters that make `canonicalPath` more than a look: whatever has one is the Lua program's. */
const oddPath = String.raw`[%\\#\x00-\x20\x7f-\xff]|/\.`;
const harmlessId = String.raw`^[\w.:=/+-]{1,128}$`;
/** Fields that only one connection is meant by; `proxy` is none at all, but the variable HTTP_PROXY of CGI programs (CVE-2016-5385). */
const perConnection = "keep-alive|proxy(-(connection|authenticate|authorization))?|http2-settings";
/** What ingress-nginx writes, and programs behind it believe. */
const saidScheme = "x[-_](forwarded[-_])?scheme";
/** The same, and those that are ours to write; with `_` they are the same to a CGI program. */
const foreign = `^(x[-_]forwarded[-_](for|host|port|proto)|x[-_]real[-_]ip|x_request[-_]id|x-request_id|forwarded|${saidScheme}|${perConnection})$`;

const statuses: readonly [status: number, text: string][] = [
  [400, "Bad request: host or path have no clear meaning."],
  [404, "No route matches this host and path."],
  [421, "This connection was made for another host."],
  [500, "The route for this host and path cannot be served as it is written."],
];

/** The whole configuration: the same program for every model; only listeners, spare backends and first servers differ. */
export function configText(input: ConfigInput): string {
  const { directory, socket, slots, limits } = input;
  const lines: string[] = ["# Written by Fairlead; changes are overwritten."];
  const section = (text: string): void => void lines.push("", text);
  /** A line of this program's own words, then of words that it must quote. */
  const say = (text: string, ...more: (string | number)[]): void => line(...text.split(" "), ...more);
  const line = (...words: readonly (string | number)[]): void => void lines.push(`  ${directive(...words)}`);
  /** An answer of its own, perhaps under a condition. */
  const page = (status: number, text: string, condition = ""): void =>
    say(
      `http-request return status ${status} content-type`,
      "text/plain; charset=utf-8",
      ...own.split(" "),
      ...(status === 503 ? ["hdr", "retry-after", "1"] : []),
      "lf-string",
      `${status} ${text} Request %[var(txn.id)]`,
      ...(condition === "" ? [] : condition.split(" ")),
    );

  section("global");
  say("stats socket", socket, "mode", 600, "level", "admin");
  say("stats timeout 1h");
  say("no strict-limits");
  say(`hard-stop-after ${input.drained}`);
  // Two descriptors each, and a few besides, within twice the limit.
  say(`maxconn ${Math.floor(limits.connections * 0.99)}`);
  if (input.threads !== undefined) say(`nbthread ${input.threads}`);
  say("setenv FAIRLEAD_ROUTES", files.routes(directory));
  say("setenv FAIRLEAD_TRUSTED", files.trusted(directory));
  say("setenv FAIRLEAD_PASSWORDS", files.passwords(directory));
  if (input.reports) say("setenv FAIRLEAD_REPORTS 1");
  if (input.tracing) say(`setenv FAIRLEAD_SAMPLE ${shareOf(input.tracing)}`);
  say("lua-load-per-thread", files.program(directory));
  say("tune.ssl.default-dh-param 2048");
  // The cache is one for all names: whoever has shown a certificate for one of them would come in by another.
  if (input.frontends.some(({ clients }) => clients.asks)) say("tune.ssl.cachesize 0");
  say("ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets");
  say("ssl-default-bind-ciphers", ciphers);
  say("ssl-default-server-options ssl-min-ver TLSv1.2");

  section("defaults web");
  say("mode http");
  say(`timeout connect ${limits.connect}`);
  say(`timeout client ${limits.clientIdle}`);
  say(`timeout server ${limits.responseStart}`);
  say(`timeout tunnel ${limits.responseIdle}`);
  say(`timeout http-request ${limits.clientHeaders}`);
  say(`timeout http-keep-alive ${limits.clientKeepAlive}`);
  // In a process that drains, a connection is closed with its next answer, and not under a request that is on its way.
  say("option idle-close-on-response");
  say("option http-no-delay");
  say("option abortonclose");

  section("defaults pools from web");
  say("option redispatch 1");
  say("retries 3");
  // No more: to repeat what an endpoint has lost, HAProxy keeps a copy of every request, which costs a third of its speed.
  say("retry-on conn-failure");
  say("balance leastconn");
  for (const status of [502, 503]) say(`errorfile ${status}`, `${directory}/502.http`);
  say("errorfile 504", `${directory}/504.http`);
  // In a process that drains a backend counts no server, and serves all the same.
  page(503, "No endpoint is ready to take this request.", "if { nbsrv eq 0 } !{ stopping -m bool }");
  say("http-request set-timeout server var(txn.timeout) if { var(txn.timeout) -m found }");
  say("http-request set-header connection close if { var(txn.close) -m found } !{ req.hdr(upgrade) -m found }");

  section("defaults streams");
  say("mode tcp");
  say(`timeout connect ${limits.connect}`);
  say(`timeout client ${limits.responseIdle}`);
  say(`timeout server ${limits.responseIdle}`);
  say("option redispatch 1");

  for (const frontend of input.frontends) {
    if (frontend.protocol === "UDP") continue;
    const http = frontend.protocol === "HTTP" || frontend.protocol === "HTTPS";
    section(`frontend ${frontend.tag} from ${http ? "web" : "streams"}`);
    if (http) httpFrontend(frontend);
    else streamFrontend(frontend);
    if (frontend.inside) helloFrontend(frontend, frontend.inside.path);
  }

  if (input.authorities.length > 0) {
    section("backend authorities from web");
    for (const [index, file] of input.authorities.entries())
      say(`server a${index} 127.0.0.1:1 disabled ssl verify required ca-file`, file);
  }

  // What clients have used up; beyond it the oldest is forgotten.
  section("backend fl_rates from web");
  say("stick-table type string len 96 size 64k expire 1h store gpt0");
  // Where nothing may be forgotten: one that finds no room is not taken.
  section("backend fl_nonces from web");
  say("stick-table type string len 48 size 64k expire 310s nopurge store gpc0");
  section("backend fl_connections from web");
  say("stick-table type string len 96 size 64k expire 1h store conn_cur");

  for (const kind of slotKinds(slots)) {
    const [usual, retryName] = partsOf(kind);
    const [protocol, balance] = usual.split("-");
    const retry = retryName === undefined ? undefined : slots.retries.get(retryName);
    for (const slot of slotNames(slots, kind)) {
      section(`backend ${slot} from ${protocol === "http" ? "pools" : "streams"}`);
      if (balance !== undefined) say(`balance ${balance}`);
      if (retry) for (const words of retryRules(retry, limits)) line(...words);
      if (protocol === "http") say("use-server %[var(txn.server)] if { var(txn.server) -m found }");
      // Who stays with one server stays there when others come and go.
      if (balance === "source") say("hash-type consistent");
      for (const { name, address, keywords } of input.servers.get(slot) ?? [])
        say("server", name, address, ...keywords);
    }
  }
  lines.push("");
  return lines.join("\n");

  function httpFrontend({ tag, protocol, fds, port, clients, inside }: Frontend): void {
    const scheme = protocol === "HTTPS" ? "https" : "http";
    if (scheme === "http") for (const fd of fds) say(`bind fd@${fd}`);
    else {
      // What is wrong with a certificate is the program's to judge, unless nobody is served without a good one.
      const judged = clients.requires ? [] : ["ca-ignore-err", "all", "crt-ignore-err", "all"];
      const secure = ["ssl", "crt-list", files.list(directory, tag), "alpn", "h2,http/1.1", ...judged];
      if (inside) say(`bind fd@${inside.fd} accept-proxy`, ...secure);
      else for (const fd of fds) say(`bind fd@${fd}`, ...secure);
      if (clients.requires) say("tcp-request session reject unless { ssl_c_used } { ssl_c_verify 0 }");
    }
    // For every request there is, if only to be passed by: not where no route asks for it.
    if (input.paced) say("filter bwlim-out fl_pace default-limit 1g default-period 1s");
    const trusting = input.trusted.length > 0;
    const { tracing } = input;
    if (tracing) for (const words of traceRules(tracing)) line(...words);
    if (input.reports) {
      // Whoever reads too slowly loses lines: nothing waits for them.
      say("log stdout len 16384 format raw local0");
      say("option dontlognull");
      say("log-format", reportFormat(trusting, tracing !== undefined));
      const noted = tracing?.only ? "if { var(txn.sampled) -m found }".split(" ") : [];
      say("http-request set-var-fmt(txn.note)", noteFormat(tracing !== undefined), ...noted);
    }

    say("http-request set-var(txn.id) req.hdr(x-request-id) if { req.hdr(x-request-id) -m reg", harmlessId, "}");
    say("http-request set-var(txn.id) uuid() unless { var(txn.id) -m found }");
    say("http-request set-header x-request-id %[var(txn.id)]");

    page(405, "This method is not allowed here.", "if { method TRACE CONNECT }");
    page(400, "Bad request: what HTTP is that?", "if !{ req.ver 1.1 1.0 } { fc_http_major 1 }");
    page(400, "Bad request: there must be one Host.", "if { req.hdr_cnt(host) gt 1 }");
    page(400, "Bad request: no codings in HTTP/1.0.", "if { req.ver 1.0 } { req.hdr(transfer-encoding) -m found }");
    // HAProxy leaves out `Upgrade` where there is a body. An offer of HTTP/2 is ignored with it, anything else refused.
    const offer = "{ req.hdr(connection) -i -m sub http2-settings }";
    const upgrade = "{ req.hdr(connection) -i -m sub upgrade }";
    page(400, "Bad request: a body and another protocol.", `if ${upgrade} !${offer} { req.body_size gt 0 }`);
    say("http-request del-header upgrade if { req.hdr(upgrade) -i -m sub h2c }");

    const odd = (where: string): string =>
      `{ ${where}.hdr(connection) -m found } !{ ${where}.hdr(connection) -i keep-alive close upgrade }`;
    say(`http-request lua.connection if ${odd("req")}`);
    say("http-request del-header connection unless { req.hdr(upgrade) -m found }");
    // No Connection field takes these away.
    if (tracing) for (const words of traceFields) line(...words);
    say("http-request set-header te trailers if { req.hdr(te) -m found }");

    const told: [string, string | number][] = [
      ["x-forwarded-for", "%[src]"],
      ["x-forwarded-proto", scheme],
      ["x-forwarded-host", "%[req.hdr(host)]"],
      ["x-forwarded-port", port],
      ["x-real-ip", "%[src]"],
    ];
    if (trusting) say("acl believed src", ...input.trusted);
    const others = trusting ? ["unless", "believed"] : [];
    say("http-request del-header", foreign, "-m", "reg", ...others);
    if (trusting) say("http-request del-header", `^(${saidScheme}|${perConnection})$`, "-m", "reg", "if", "believed");
    // Added, not set: there is none left, and to look for it once more would cost a walk through all fields.
    for (const [name, value] of told) say("http-request add-header", name, value, ...others);
    if (trusting) say("http-request lua.forwarded", scheme, port, "if", "believed");
    if (input.reports && trusting) say(`http-request set-var(${clientVariable}) req.hdr(x-real-ip)`);

    // An absolute target with a user name or without an authority is an error (RFC 9110 section 4.2).
    say("http-request set-var(txn.absolute) url if { fc_http_major 1 } !{ url_beg / }");
    page(
      400,
      "Bad request: what target is that?",
      "if { var(txn.absolute) -m found } !{ var(txn.absolute) -i -m reg ^https?://[^/?#@]+([/?#]|$) }",
    );
    // It is passed on as a path. Its authority is that of Host: HAProxy refuses any other.
    say("http-request set-uri %[pathq] if { var(txn.absolute) -m found }");

    // What the native tables know; the rest is the program's.
    say(
      `http-request set-var(txn.slot) base,concat(?),map_beg(${files.paths(directory, tag)})`,
      ...`if { req.hdr(host),map_str(${files.hosts(directory, tag)}) -m found } !{ path -m reg`.split(" "),
      oddPath,
      "}",
    );
    say("http-request allow if { var(txn.slot) -m found }");
    // Whose host the tables know has one.
    page(400, "Bad request: there must be one Host.", "if !{ req.hdr_cnt(host) eq 1 } !{ req.ver 1.0 }");
    say(`http-request lua.route ${tag}`);
    if (tracing?.only) {
      // The program has found that its span is recorded after all.
      const late = "if { var(txn.late) -m found }".split(" ");
      say("http-request set-var-fmt(txn.note)", noteFormat(true, "var(txn.late)"), ...late);
      say("http-request set-log-level info", ...late);
    }
    // Who asks for it is tracked, in the same table by all threads, and then looked at.
    const counters: readonly [counter: string, key: string, table: string][] = [
      ["sc0", "txn.rate1", "fl_rates"],
      ["sc2", "txn.nonce", "fl_nonces"],
      ["sc2", "txn.rate2", "fl_rates"],
      ["sc1", "txn.connections", "fl_connections"],
    ];
    for (const [counter, key, table] of counters)
      say(`http-request track-${counter} var(${key}) table ${table} if { var(${key}) -m found }`);
    say("http-request lua.limits if { var(txn.limited) -m found }");
    for (const [index, counter] of [1, 2].entries())
      say(
        `http-request sc-set-gpt0(${index === 0 ? 0 : 2}) var(txn.kept${counter}) if { var(txn.kept${counter}) -m found }`,
      );
    // Who is not let in never has a slot: neither has one for whom the program fails.
    say("http-request lua.settle if { var(txn.unsettled) -m found }");
    // A copy has the whole body, or there is none.
    say(
      `http-request wait-for-body time ${limits.clientIdle}`,
      ..."if { var(txn.copied) -m found } { req.hdr(content-length) -m found } { req.body_size le 12288 }".split(" "),
    );
    say("http-request lua.copy if { var(txn.copied) -m found } { var(txn.slot) -m found }");
    say("http-request allow if { var(txn.slot) -m found }");
    for (const [status, text] of statuses) page(status, text, `if { var(txn.status) -m int ${status} }`);
    for (const status of [301, 302, 303, 307, 308])
      say(
        `http-request return status ${status} hdr location %[var(txn.location)] ${own} if { var(txn.status) -m int ${status} }`,
      );
    page(503, "No endpoint is ready to take this request.");

    say("http-response lua.page if { var(txn.pages) -m found }");
    say(`http-response lua.connection_answer if ${odd("res")}`);
    say("http-response set-header server fairlead unless { res.hdr(server) -m found }");
    say("http-response lua.answer if { var(txn.answer) -m found }");
    if (input.paced) {
      say("http-response lua.pace if { var(txn.paced) -m found }");
      say("http-response set-bandwidth-limit fl_pace limit var(txn.pace) period 1s if { var(txn.pace) -m found }");
    }
    say("use_backend %[var(txn.slot)]");
  }

  /** Reads how a connection of TLS begins; who wants to see a proof of a name, and says nothing else, has its way then. */
  function readHello(tag: string): void {
    say(`tcp-request inspect-delay ${limits.clientHeaders}`);
    say("tcp-request content set-var(txn.name) req.ssl_sni,lower if { req.ssl_hello_type 1 }");
    // The first of perhaps several protocols: whether it is alone, the program looks.
    say(`tcp-request content lua.challenge ${tag} if { req.ssl_hello_type 1 } { req.ssl_alpn ${challengeProtocol} }`);
  }

  /** Stands before a frontend for HTTPS where names are proved. */
  function helloFrontend({ tag, fds }: Frontend, path: string): void {
    section(`frontend ${tag}-hello from streams`);
    for (const fd of fds) say(`bind fd@${fd}`);
    readHello(tag);
    say("tcp-request content accept if { req.ssl_hello_type 1 }");
    say("tcp-request content reject if WAIT_END");
    say("use_backend %[var(txn.slot)] if { var(txn.slot) -m found }");
    say(`default_backend ${tag}${insideSuffix}`);
    section(`backend ${tag}${insideSuffix} from streams`);
    say(`server inside unix@${path} send-proxy-v2`);
  }

  function streamFrontend({ tag, protocol, fds }: Frontend): void {
    for (const fd of fds) say(`bind fd@${fd}`);
    const hello = protocol === "TLS" ? " if { req.ssl_hello_type 1 }" : "";
    if (protocol === "TLS") readHello(tag);
    say(`tcp-request content lua.stream ${tag}${hello}${hello === "" ? "" : " !{ var(txn.slot) -m found }"}`);
    say("tcp-request content accept if { var(txn.slot) -m found }");
    say(`tcp-request content reject${hello}`);
    // Whatever does not begin with a client's hello gets nothing.
    if (protocol === "TLS") say("tcp-request content reject if WAIT_END");
    say("use_backend %[var(txn.slot)]");
  }
}

/** Backends end so that hand connections on to another frontend, whose requests they carry. */
export const insideSuffix = "-inside";

const own = "hdr x-content-type-options nosniff hdr cache-control no-store hdr x-request-id %[var(txn.id)]";

const ciphers = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** Answers that HAProxy makes itself. That no endpoint could be reached is 502: 503 is for pools without any. */
export function errorPages(): Readonly<Record<string, string>> {
  const make = (status: number, reason: string, text: string): string => {
    const body = `${status} ${reason}\n${text}\n`;
    return [
      `HTTP/1.1 ${status} ${reason}`,
      "Content-Type: text/plain; charset=utf-8",
      "X-Content-Type-Options: nosniff",
      "Cache-Control: no-store",
      `Content-Length: ${Buffer.byteLength(body)}`,
      "",
      body,
    ].join("\r\n");
  };
  return {
    "502.http": make(502, "Bad Gateway", "The endpoint did not answer."),
    "504.http": make(504, "Gateway Timeout", "The endpoint did not answer in time."),
  };
}
