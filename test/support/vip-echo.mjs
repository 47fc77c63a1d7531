// Answers datagrams on addresses that may come later, with a name. Usage: node vip-echo.mjs NAME PORT ADDRESS...
import { createSocket } from "node:dgram";

const [name = "", port = "0", ...addresses] = process.argv.slice(2);
let bound = 0;
for (const address of addresses) {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("error", () => {});
  socket.on("message", (message, from) => socket.send(`${name} ${String(message)}`, from.port, from.address));
  socket.bind(Number(port), address, () => {
    bound += 1;
    if (bound === addresses.length) process.stdout.write("ready\n");
  });
}
