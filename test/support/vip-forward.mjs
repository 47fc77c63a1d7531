// Leads a socket file to port 6443 of an address. Usage: node vip-forward.mjs FILE ADDRESS
import { connect, createServer } from "node:net";

const [file = "", address = ""] = process.argv.slice(2);
createServer((socket) => {
  const other = connect(6443, address);
  for (const [from, to] of [
    [socket, other],
    [other, socket],
  ]) {
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
    from.pipe(to);
  }
}).listen(file, () => process.stdout.write("ready\n"));
