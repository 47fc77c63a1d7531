// Runs in a lab: asks the echo image by HTTP, a new connection each time, and by UDP at every address that it is given.
// Usage: node ask-ways.mjs '[{"address":"fd00::1","http":80,"udp":53}]'   prints [{"http":["POD",…],"udp":"POD"}] in the same order;
// in place of a pod's name stands why there was none.
import { createSocket } from "node:dgram";
import { get } from "node:http";

const times = 4;
const patience = 15_000;

function askHttp(host, port) {
  return new Promise((resolve) => {
    const request = get({ host, port, agent: false, timeout: patience }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve(response.statusCode === 200 ? JSON.parse(text).pod : `${response.statusCode}`));
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", (error) => resolve(error.message));
  });
}

function askUdp(address, port) {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const done = (what) => {
      clearInterval(asking);
      clearTimeout(late);
      socket.close();
      resolve(what);
    };
    const ask = () => socket.send("hello", port, address);
    const asking = setInterval(ask, 1000);
    const late = setTimeout(() => done("no answer"), patience);
    socket.on("message", (text) => done(String(text).split(":")[0]));
    socket.on("error", (error) => done(error.message));
    ask();
  });
}

const ways = JSON.parse(process.argv[2]);
const results = await Promise.all(
  ways.map(async ({ address, http, udp }) => ({
    http: await Promise.all(Array.from({ length: times }, () => askHttp(address, http))),
    udp: await askUdp(address, udp),
  })),
);
console.log(JSON.stringify(results));
