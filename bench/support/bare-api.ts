// The least that can answer in the API's place: HTTP/2 and TLS by Node.js, bytes of the same size, nothing decided and nothing kept.
// Usage: node bare-api.js CERTIFICATE KEY   prints the port
//   GET /one   /list   the same bytes as an object, as a list;   GET /watch   a stream;   POST /create   to each stream a frame
import { readFileSync } from "node:fs";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

const [cert = "", key = "", one = "1500", items = "5000"] = process.argv.slice(2);
const object = Buffer.alloc(Number(one), "x");
const frame = Buffer.concat([object, Buffer.from("\n")]);
const list = Buffer.alloc(Number(one) * Number(items), "x");
const watching = new Set<ServerHttp2Stream>();
const head = { ":status": 200, "content-type": "application/json" };

const server = createSecureServer({
  cert: readFileSync(cert),
  key: readFileSync(key),
  settings: { maxConcurrentStreams: 1000, initialWindowSize: 1 << 20 },
});
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const path = String(headers[":path"]);
  if (path === "/watch") {
    stream.respond(head);
    watching.add(stream);
    stream.on("close", () => watching.delete(stream));
    return;
  }
  stream.resume();
  stream.on("end", () => {
    stream.respond(head);
    stream.end(path === "/list" ? list : object);
    if (path === "/create") for (const one of watching) one.write(frame);
  });
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
