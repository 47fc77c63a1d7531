// Asks a TCP server of tcp-tell.mjs. Usage: node tcp-ask.mjs HOST PORT. Prints its answer, or "error CODE".
import { connect } from "node:net";

const [host = "", port = ""] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
let heard = "";
socket.setTimeout(8_000, () => socket.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
socket.on("connect", () => socket.write("ask\n"));
socket.on("data", (chunk) => (heard += chunk));
socket.on("error", (error) => process.stdout.write(`error ${error.code}\n`));
socket.on("end", () => process.stdout.write(heard || "error EMPTY\n"));
