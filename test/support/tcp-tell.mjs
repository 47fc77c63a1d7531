// A TCP server that says who it is and what it heard. Usage: node tcp-tell.mjs NAME HOST PORT [PORT...]. What it hears ends with a line
// "ask"; it answers "NAME " and all bytes before that, as JSON. Prints "ready" when it listens.
import { createServer } from "node:net";

const [name = "", host = "", ...ports] = process.argv.slice(2);
for (const port of ports) {
  const server = createServer((socket) => {
    let heard = "";
    socket.setEncoding("latin1");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      heard += chunk;
      if (heard.endsWith("ask\n")) socket.end(`${name} ${JSON.stringify(heard.slice(0, -4))}\n`);
    });
  });
  await new Promise((resolve) => server.listen(Number(port), host, resolve));
}
process.stdout.write("ready\n");
