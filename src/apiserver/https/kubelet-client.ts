import { request } from "node:https";
import type { KubeletClient } from "../resources/index.ts";

export interface KubeletClientOptions {
  /** Authority that kubelets' certificates are signed by, PEM. */
  readonly ca: string;
  /** Certificate by which the API server shows who it is, PEM. */
  readonly cert: string;
  readonly key: string;
}

/** Milliseconds in which a kubelet has to begin its answer. */
const patience = 10_000;

/** Asks kubelets over HTTPS with a client certificate. */
export function createKubeletClient({ ca, cert, key }: KubeletClientOptions): KubeletClient {
  return {
    tls: { ca, cert, key },
    open: ({ host, port }, path, signal) =>
      new Promise((resolve, reject) => {
        const asked = request({ host, port, path, ca, cert, key, signal, agent: false }, (answer) => {
          clearTimeout(timer);
          resolve({ status: answer.statusCode ?? 500, chunks: answer });
        });
        const timer = setTimeout(() => asked.destroy(new Error("no answer in time")), patience);
        asked.on("error", (error) => {
          clearTimeout(timer);
          reject(error);
        });
        asked.end();
      }),
  };
}
