// A receiver of OTLP over HTTP that prints each message on a line. Usage: node print-receiver.mjs PORT. Prints "ready" when it listens.
import { createServer } from "node:http";

createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    process.stdout.write(`${body}\n`);
    response.end("{}");
  });
}).listen(Number(process.argv[2]), "127.0.0.1", () => process.stdout.write("ready\n"));
