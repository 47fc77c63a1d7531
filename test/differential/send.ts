import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import type { RawRequest } from "./request.ts";
import { withoutInterim } from "./verdict.ts";

/** Longer than any of the data planes' own limits in these tests. */
const patience = 30_000;

/** Sends bytes as they are on a connection of their own, ends it, and returns all that comes back until the other side ends it too. */
export function sendRaw(port: number, { bytes, serverName }: RawRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const at = { port, host: "127.0.0.1" };
    const secure = serverName !== undefined;
    const socket = secure
      ? connectTls({ ...at, servername: serverName, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] })
      : connectTcp({ ...at, noDelay: true });
    const end = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(patience, () => {
      socket.destroy();
      reject(new Error(`neither an answer nor an end in ${patience} ms; so far: ${JSON.stringify(text)}`));
    });
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      // What is refused in the middle may leave its connection open for a while: its answer is there.
      if (whole(text)) end();
    });
    socket.on("error", end).on("end", end).on("close", end);
    socket.once(secure ? "secureConnect" : "connect", () => socket.write(Buffer.from(bytes, "latin1")));
  });
}

/** True when an answer with a length is there. */
function whole(all: string): boolean {
  const text = withoutInterim(all);
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head));
  return length !== null && text.length >= head + 4 + Number(length[1]);
}
