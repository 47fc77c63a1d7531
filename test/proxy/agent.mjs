// Runs in a network namespace and does what the test asks for: serves, connects, sends. One message in, one answer out.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

const held = [];
const servers = new Map();

/** Answers every connection with "own address, client address", and echoes what comes after. */
function serveTcp({ address, port }) {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.write(`${socket.localAddress} ${socket.remoteAddress}\n`);
      socket.pipe(socket);
    });
    server.once("error", reject);
    server.listen(port, address, () => resolve(servers.set(`tcp ${address} ${port}`, server).size));
  });
}

function serveUdp({ address, port }) {
  return new Promise((resolve, reject) => {
    const server = createSocket(address.includes(":") ? "udp6" : "udp4");
    server.once("error", reject);
    server.on("message", (_, from) => server.send(`${address} ${from.address}\n`, from.port, from.address));
    server.bind(port, address, () => resolve(servers.set(`udp ${address} ${port}`, server).size));
  });
}

/** Milliseconds to wait for an answer: several times as long as until a lost packet is sent again. */
const patience = 8000;
/** What was answered later than this may have had a packet lost on its way: Linux sends a SYN again after one second. */
const sentAgain = 990;
let late = 0;

/** Resolves with the first line, or "refused", "silent", or the error code. */
function once({ address, port, source, timeout = patience, hold = false }) {
  const begun = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, ...(source ? { localAddress: source } : {}) });
    let text = "";
    const done = (result) => {
      if (!hold) socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeout, () => done("silent"));
    socket.on("error", (error) => done(error.code === "ECONNREFUSED" ? "refused" : error.code));
    const read = (data) => {
      text += data;
      if (!text.includes("\n")) return;
      socket.off("data", read);
      socket.setTimeout(0);
      if (hold) held.push(socket);
      if (performance.now() - begun > sentAgain) late++;
      done(text.trim());
    };
    socket.on("data", read);
    socket.on("close", () => resolve("closed"));
  });
}

function datagram({ address, port, source, localPort = 0, timeout = patience }) {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const done = (result) => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => done("silent"), timeout);
    socket.on("error", (error) => done(error.code === "ECONNREFUSED" ? "refused" : error.code));
    socket.on("message", (data) => done(String(data).trim()));
    socket.bind(localPort, source, () => socket.connect(port, address, () => socket.send("hello")));
  });
}

const actions = {
  serve: (options) => (options.protocol === "UDP" ? serveUdp(options) : serveTcp(options)),
  /** `count` connections, some at once; how often each answer came. */
  async ask({ count = 1, atOnce = 16, protocol, ...options }) {
    const answers = {};
    const lateBefore = late;
    let left = count;
    const worker = async () => {
      while (left-- > 0) {
        const answer = await (protocol === "UDP" ? datagram(options) : once(options));
        answers[answer] = (answers[answer] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
    const { address, port } = options;
    if (late > lateBefore)
      console.error(
        `agent: ${late - lateBefore} of ${count} from ${address}:${port} came after a second: packets lost, or a busy machine`,
      );
    return answers;
  },
  /** Whether the connections that were kept open still echo; they are closed by it. */
  echo: () =>
    Promise.all(
      held.splice(0).map(
        (socket) =>
          new Promise((resolve) => {
            socket.once("data", (data) => {
              resolve(String(data) === "ping");
              socket.destroy();
            });
            setTimeout(() => resolve(false), 2000).unref();
            socket.once("close", () => resolve(false));
            socket.write("ping");
          }),
      ),
    ),
};

/** The test may have ended meanwhile. */
const answer = (message) => process.send(message, () => {});

process.on("message", ({ id, action, options }) => {
  Promise.resolve()
    .then(() => actions[action](options ?? {}))
    .then(
      (result) => answer({ id, result }),
      (error) => answer({ id, error: String(error) }),
    );
});
process.on("disconnect", () => process.exit());
