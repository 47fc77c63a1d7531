// Leads a socket file to a port (default 6443) of an address. Usage: node vip-forward.mjs FILE ADDRESS [PORT]
import { connect, createServer } from "node:net";

const [file = "", address = "", port = "6443"] = process.argv.slice(2);
createServer((socket) => {
  const other = connect(Number(port), address);
  for (const [from, to] of [
    [socket, other],
    [other, socket],
  ]) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}).listen(file, () => process.stdout.write("ready\n"));
