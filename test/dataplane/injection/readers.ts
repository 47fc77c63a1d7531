// Readers of what data planes are told, written from their manuals and not from what writes it: they take nothing for granted.
import { mark } from "./values.ts";

/** What is no configuration of its kind, or has something in it that may not be there. */
export class Escaped extends Error {
  readonly code = "ESCAPED";
}

function fail(what: string, text: string): never {
  throw new Escaped(`${what}: ${JSON.stringify(text.slice(0, 300))}`);
}

/** Numbers, hashes, and names of when a request is tried again (`e-503-x2`) are not what a configuration is about. */
const general = (word: string): string =>
  word
    .replaceAll(/(?<=[tk_])e?t?i?n?(?:-\d+)*-x\d+(?:-w\d+)?/g, "TRIES")
    .replaceAll(/\b[lrux]?[0-9a-f]{8,64}\b|\d+/g, "N");

/**
 * The lines of haproxy.cfg as words (configuration manual, section 2.2): blanks part them, `\` takes the next byte as it is, nothing means
 * anything between `'` and `'`.
 */
export function haproxyLines(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const words: string[] = [];
    let word: string | undefined;
    for (let i = 0; i < line.length; i++) {
      const byte = line[i] as string;
      if (byte < " " || byte > "~") fail("a byte that haproxy.cfg never has", line);
      if (byte === " ") {
        if (word !== undefined) words.push(word);
        word = undefined;
      } else if (byte === "#") {
        break;
      } else if (byte === "'") {
        const end = line.indexOf("'", i + 1);
        if (end < 0) fail("a quote that does not end", line);
        word = (word ?? "") + line.slice(i + 1, end);
        i = end;
      } else if (byte === '"' || byte === "\\") {
        fail("a quote or escape that haproxy.cfg never has", line);
      } else word = (word ?? "") + byte;
    }
    if (word !== undefined) words.push(word);
    return words.length === 0 ? [] : [words.map(general).join(" ")];
  });
}

/** A server of HAProxy's with what may be said of one, as `haproxyLines` gives it: which of them come together is the objects' to say. */
export const serverLine = new RegExp(
  `^server [eN-]+ (?:N(?:\\.N){3}|\\[[0-9a-fN:]+\\]):N(?: (?:${[
    "ssl",
    "verify (?:none|required)",
    String.raw`ca-file (?:DIR\/authorities\/N\.pem|@system-ca)`,
    String.raw`sni str\([A-Za-z0-9.-]+\)`,
    "verifyhost [A-Za-z0-9.-]+",
    String.raw`alpn (?:hN|http\/N\.N)`,
    "proto hN",
    "send-proxy(?:-vN)?",
    "pool-max-conn -N",
    "pool-purge-delay Ns",
  ].join("|")}))*$`,
);

/** When a request is tried again, with the words that may say it: which of them come together is the objects' to say. */
export const retryLine = new RegExp(
  [
    "^retry-on(?: (?:none|conn-failure|empty-response|response-timeout|junk-response|N))+$",
    String.raw`^http > server > location = /\u0001[\w/-]+/[tk]TRIES(?:/[\w/-]+)? > (?:proxy|grpc)_next_upstream(?: (?:off|error|timeout|invalid_header|http_N|non_idempotent))+$`,
  ].join("|"),
);

/** The directives of nginx.conf, each with the blocks that it stands in. What stands in a block of Lua is one word of it. */
export function nginxDirectives(text: string): string[] {
  const found: string[] = [];
  const blocks: string[] = [];
  let words: string[] = [];
  let at = 0;
  const close = (what: string): void => {
    if (words.length === 0) fail(`${what} without words`, text.slice(Math.max(0, at - 100), at + 100));
    found.push([...blocks, words.map(general).join(" ")].join(" > "));
  };
  while (at < text.length) {
    const byte = text[at] as string;
    // The one control character is ours, in names of locations.
    if ((byte < " " && byte !== "\n" && byte !== "\u0001") || byte > "~")
      fail("a byte that nginx.conf never has", text.slice(Math.max(0, at - 100), at + 100));
    if (byte === " " || byte === "\n") at++;
    else if (byte === "#") fail("a comment", text.slice(at, at + 200));
    else if (byte === ";") {
      close(";");
      words = [];
      at++;
    } else if (byte === "{") {
      if (words[0]?.endsWith("_by_lua_block")) {
        let depth = 1;
        const begin = ++at;
        for (; depth > 0; at++) {
          if (at >= text.length) fail("a block of Lua that does not end", text.slice(begin, begin + 200));
          if (text[at] === "{") depth++;
          else if (text[at] === "}") depth--;
        }
        words.push(text.slice(begin, at - 1).trim());
        close("Lua");
        words = [];
      } else {
        close("{");
        blocks.push(general(words.join(" ")));
        words = [];
        at++;
      }
    } else if (byte === "}") {
      if (words.length > 0 || blocks.pop() === undefined) fail("a } of nothing", text.slice(Math.max(0, at - 200), at));
      at++;
    } else if (byte === '"' || byte === "'") {
      let word = "";
      for (at++; text[at] !== byte; at++) {
        if (at >= text.length) fail("a quote that does not end", text.slice(-200));
        if (text[at] === "\\") word += text[at++];
        word += text[at];
      }
      words.push(word);
      at++;
    } else {
      let word = "";
      // `${name}` is a part of a word.
      for (; at < text.length && !/[\s;{}"']/.test(text[at] as string); at++) word += text[at];
      words.push(word);
    }
  }
  if (blocks.length > 0 || words.length > 0) fail("it ends in the middle", text.slice(-200));
  return found;
}

const file = String.raw`\/[A-Za-z0-9_.\/-]+`;
const slot = String.raw`[A-Za-z0-9_-]+\/[A-Za-z0-9_-]+`;
const key = String.raw`[A-Za-z0-9._~\/*:=|?%-]+`;
const command = new RegExp(
  `^(?:${[
    "prompt",
    "show (?:info|sess)",
    `add map ${file} <<`,
    String.raw`set map ${file} ${key} (?:[A-Za-z0-9._~\/*:=()-]|\\ )+`,
    `del map ${file} ${key}`,
    String.raw`add server ${slot} (?:[0-9.]+|\[[0-9a-f:.]+\]):\d+(?: [A-Za-z0-9._\/:@()=*,-]+)*`,
    `set server ${slot} state (?:ready|maint)`,
    String.raw`set server ${slot} addr [0-9a-f:.]+ port \d+`,
    `del server ${slot}`,
    "shutdown frontend l[0-9a-f]{12}",
    `(?:new|commit|del) ssl (?:cert|ca-file|crl-file) ${file}`,
    `set ssl (?:cert|ca-file|crl-file) ${file} <<`,
    `add ssl crt-list ${file} <<`,
    `del ssl crt-list ${file} ${file}`,
  ].join("|")})$`,
);
const payloads: Readonly<Record<string, RegExp>> = {
  map: new RegExp(String.raw`^${key} [A-Za-z0-9._~\/*:=|?()% -]*$`),
  pem: /^(?:-----(?:BEGIN|END) [A-Z0-9 ]+-----|[A-Za-z0-9+/=]+)$/,
  list: new RegExp(
    String.raw`^${file} (?:\[verify (?:optional|required) ca-file (?:${file}|@system-ca)(?: crl-file ${file})?\] )?[a-z0-9_*.-]+$`,
  ),
};

/** Commands of HAProxy's runtime API as they went over its socket (management guide, section 9.3); throws for any line that is none. */
export function haproxyCommands(sent: string): string[] {
  const found: string[] = [];
  let payload: RegExp | undefined;
  for (const line of sent.split("\n").slice(0, -1)) {
    if (payload) {
      if (line === "") payload = undefined;
      else if (!payload.test(line)) fail("a line of a payload", line);
      continue;
    }
    if (!command.test(line)) fail("a command", line);
    found.push(line);
    if (line.endsWith("<<"))
      payload = payloads[line.startsWith("add map") ? "map" : /crt-list/.test(line) ? "list" : "pem"];
  }
  return found;
}

/** A line of one of HAProxy's maps, and of its list of certificates. */
export const mapLine = payloads["map"] as RegExp;
export const listLine = payloads["list"] as RegExp;

/** Bodies of the requests with which nginx is sent rows. */
export function nginxBatches(sent: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  let rest = sent;
  while (rest.length > 0) {
    const end = rest.indexOf("\r\n\r\n");
    const head = rest.subarray(0, Math.max(0, end)).toString("latin1");
    const [, method, length = "0"] =
      /^(GET|POST) \/(?:generation|rows) HTTP\/1\.1\r\n[\s\S]*?content-length: (\d+)(?:\r\n|$)/i.exec(head) ?? [];
    if (end < 0 || method === undefined) fail("a request to nginx", rest.subarray(0, 300).toString("latin1"));
    const body = rest.subarray(end + 4, end + 4 + Number(length));
    if (body.length !== Number(length)) fail("a body that is cut off", head);
    if (method === "POST") bodies.push(body);
    rest = rest.subarray(end + 4 + Number(length));
  }
  return bodies;
}

/** A value of nginx's rows: a netstring whose last byte says what it is. */
export type Netstring = string | readonly Netstring[];

/** Reads one value; what is left over, or does not say its length, is none. */
export function netstring(bytes: Buffer): Netstring {
  const [value, end] = readNetstring(bytes, 0);
  if (end !== bytes.length) fail("bytes after the end", bytes.subarray(end).toString("latin1"));
  return value;
}

function readNetstring(bytes: Buffer, at: number): [Netstring, number] {
  const colon = bytes.indexOf(":", at);
  const digits = bytes.subarray(at, Math.max(at, colon)).toString("latin1");
  if (!/^(?:0|[1-9]\d*)$/.test(digits)) fail("no length", bytes.subarray(at, at + 100).toString("latin1"));
  const begin = colon + 1;
  const end = begin + Number(digits);
  const kind = bytes.toString("latin1", end, end + 1);
  if (kind === "," || kind === "^" || kind === "!") return [bytes.toString("latin1", begin, end), end + 1];
  if (kind !== "]" && kind !== "}") fail("no kind", bytes.subarray(at, end + 1).toString("latin1"));
  const list: Netstring[] = [];
  let next = begin;
  while (next < end) {
    const [value, after] = readNetstring(bytes, next);
    list.push(value);
    next = after;
  }
  if (next !== end) fail("a value longer than what it stands in", bytes.subarray(at, end + 1).toString("latin1"));
  return [list, end + 1];
}

/** Names of rows of nginx, of one batch. */
export function rowsOf(batch: Buffer): (readonly [name: string, row: Buffer])[] {
  const list = netstring(batch);
  if (typeof list === "string") fail("a batch is a list", list);
  return list.map((pair) => {
    const [name, row] = pair;
    if (typeof pair === "string" || pair.length !== 2 || typeof name !== "string" || typeof row !== "string")
      return fail("a row is a name and a text", JSON.stringify(pair));
    return [name, Buffer.from(row, "latin1")];
  });
}

/** Throws where a user's bytes are in what may have none. */
export function withoutMark(what: string, text: string): void {
  const at = text.indexOf(mark);
  if (at >= 0) fail(what, text.slice(Math.max(0, at - 150), at + 50));
}
