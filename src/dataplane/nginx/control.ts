import { request } from "node:http";

/** The way into a running nginx. All reject with `ControlError` when nobody answers or the answer is no. */
export interface Control {
  /** Number of the configuration that new connections are served by. */
  generation(): Promise<number>;
  /** Applies a batch of rows, as `batchesOf` makes them. */
  send(batch: Buffer): Promise<void>;
}

export class ControlError extends Error {
  /** `UNREACHABLE`: nobody listens. `NO_SPACE`: shared memory is full. */
  readonly code: "UNREACHABLE" | "NO_SPACE" | "REFUSED";
  constructor(code: ControlError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** Milliseconds for an answer. Whoever asks again may: a batch that is applied twice is applied once. */
const patience = 3_000;

export function createControl(socketPath: string): Control {
  const ask = (method: string, path: string, body?: Buffer): Promise<string> =>
    new Promise((resolve, reject) => {
      const fail = (error: Error): void =>
        reject(new ControlError("UNREACHABLE", `nginx's control socket: ${error.message}`));
      const sent = request(
        { socketPath, method, path, agent: false, timeout: patience, headers: { "content-length": body?.length ?? 0 } },
        (response) => {
          let text = "";
          response.on("data", (chunk: Buffer) => (text += chunk.toString()));
          response.on("error", fail);
          response.on("end", () => {
            const { statusCode = 0 } = response;
            if (statusCode === 200) resolve(text);
            else if (statusCode === 507)
              reject(new ControlError("NO_SPACE", `nginx's shared memory is full: ${text.trim()}`));
            else reject(new ControlError("REFUSED", `nginx refused a batch of rows: ${statusCode} ${text.trim()}`));
          });
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", fail);
      sent.end(body);
    });
  return {
    generation: async () => Number(await ask("GET", "/generation")),
    send: async (batch) => void (await ask("POST", "/rows", batch)),
  };
}
