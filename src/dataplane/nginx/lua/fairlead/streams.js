// Where connections and datagrams go. nginx asks once for each of them; what it needs to know are rows, each in a file of its own that is
// replaced in one piece, named by the hash of the row's name. It is njs: its modules
// are named otherwise and export one thing.
import fs from "fs";
import crypto from "crypto";

// Bytes of an endpoint in the row of a pool.
const width = 56;
// Server names as clients may send them; any other one is no name at all.
const plain = /^[a-z0-9_-][a-z0-9._-]{0,252}$/;

function row(v, name) {
  const file = crypto.createHash("sha256").update(name).digest("hex");
  try {
    return fs.readFileSync(v.fl_rows + "/" + file);
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  }
}

function text(v, name) {
  const found = row(v, name);
  return found === undefined ? undefined : found.toString();
}

// What a table has for a name: itself, then the longest wildcard (one or more labels), then what is for any name.
function find(v, table, name) {
  if (name !== "") {
    const exact = text(v, table + name);
    if (exact !== undefined) return exact;
    for (let dot = name.indexOf("."); dot > 0; dot = name.indexOf(".", dot + 1)) {
      const wildcard = text(v, table + "*" + name.slice(dot));
      if (wildcard !== undefined) return wildcard;
    }
  }
  return text(v, table);
}

function nameOf(v) {
  const name = (v.ssl_preread_server_name || v.ssl_server_name || "").toLowerCase();
  return plain.test(name) ? name : "";
}

// The server of a listener that a name belongs to: what kind it is, and its own name.
function serverOf(v, listener, name) {
  const found = find(v, "server/" + listener + "/", name);
  if (found === undefined) return undefined;
  const cut = found.indexOf(" ");
  return { kind: found.slice(0, cut), name: found.slice(cut + 1) };
}

// The pool of a backend, by weight.
function pick(backends) {
  let left = 0;
  for (let i = 0; i < backends.length; i++) left += backends[i][0];
  left *= Math.random();
  for (let i = 0; i < backends.length; i++) {
    left -= backends[i][0];
    if (left < 0 && backends[i][0] > 0) return backends[i][1];
  }
  return undefined;
}

// Where those go who want to see a proof of a name by TLS-ALPN-01 (RFC 8737), and offer nothing else.
function challenge(v, name) {
  if (v.ssl_preread_alpn_protocols !== "acme-tls/1" || name === "") return undefined;
  return text(v, "challenge/" + v.fl_listener + "/" + name);
}

function routeOf(v, name) {
  const proof = challenge(v, name);
  if (proof !== undefined) return proof;
  const server = serverOf(v, v.fl_listener, name);
  return server && find(v, "route/" + v.fl_listener + "/" + server.name + "/", name);
}

// The address of an endpoint; empty where there is none: then nginx closes the connection.
function endpoint(s) {
  const v = s.variables;
  const route = routeOf(v, nameOf(v));
  const key = route && pick(JSON.parse(route));
  const pool = key ? row(v, "pool/" + key) : undefined;
  if (pool === undefined || pool.length < width) return "";
  const at = Math.floor(Math.random() * Math.floor(pool.length / width)) * width;
  return pool
    .slice(at, at + width)
    .toString()
    .trim();
}

// The server inside that goes on with a connection to a port of several kinds.
function door(s) {
  const v = s.variables;
  const name = nameOf(v);
  // Whatever is passed through goes by the same door.
  if (challenge(v, name) !== undefined) return "unix:" + v.fl_doors + ".p";
  const server = serverOf(v, v.fl_listener, name);
  return server ? "unix:" + v.fl_doors + "." + server.kind : "";
}

// How a client begins that speaks HTTP/2 without TLS (RFC 9113 section 3.4): no request of HTTP/1.1 begins so.
const begin = "PRI * HTTP/2.0\r\n";
// Of this connection alone, as all variables of a program in njs.
let isHttp2 = false;

// Waits until it is clear how a connection begins.
function preface(s) {
  s.on("upload", function (data) {
    const known = Math.min(data.length, begin.length);
    if (known === 0) return;
    const same = data.slice(0, known) === begin.slice(0, known);
    if (same && known < begin.length) return;
    isHttp2 = same;
    s.done();
  });
}

// The server inside for HTTP/1.1, or for HTTP/2.
function httpDoor(s) {
  return "unix:" + s.variables.fl_doors + (isHttp2 ? ".g" : ".h");
}

// The key pair for a handshake: exact name, then wildcard (one label), then the one for any name, then our own. Asked for before the server's
// own variables are there, so that the listener is known by the socket alone.
function pair(s, part) {
  const v = s.variables;
  const listener = /\.(l[0-9]+)\.[a-z]$/.exec(v.server_addr);
  const name = nameOf(v);
  const server = listener && serverOf(v, listener[1], name);
  let found;
  if (server) {
    const table = "certificate/" + listener[1] + "/" + server.name + "/";
    const dot = name.indexOf(".");
    if (name !== "") found = text(v, table + name);
    if (found === undefined && dot > 0) found = text(v, table + "*" + name.slice(dot));
    if (found === undefined) found = text(v, table);
  }
  if (found === undefined) found = text(v, "certificate");
  return found === undefined ? "" : JSON.parse(found)[part];
}

function certificate(s) {
  return pair(s, "certificate");
}

function key(s) {
  return pair(s, "key");
}

export default { endpoint, door, preface, httpDoor, certificate, key };
