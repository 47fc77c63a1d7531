// An HTTP server that says who it is and what it was asked. Usage: node http-tell.mjs NAME HOST PORT. Prints "ready" when it listens.
import { createServer } from "node:http";

const [name = "", host = "", port = ""] = process.argv.slice(2);
createServer((request, response) => response.end(`${name} ${request.headers.host} ${request.url}\n`)).listen(
  Number(port),
  host,
  () => process.stdout.write("ready\n"),
);
