import { createServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { createSecureContext, createServer as createTlsServer, type SecureContext } from "node:tls";
import { challengeProtocol } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import { challengeCertificate } from "./challenge-certificate.ts";
import type { Challenge } from "./issue.ts";

export const challengePath = "/.well-known/acme-challenge/";

/** Milliseconds for a handshake, or for a request's header section. */
const patience = 10_000;
const mostConnections = 256;

/** Two small servers that answer what authorities ask while names are proved. */
export interface Answers {
  /** Of HTTP-01 and of TLS-ALPN-01. */
  readonly ports: { readonly http: number; readonly tls: number };
  /** Answers these from now on. */
  add(challenges: readonly Challenge[]): Promise<void>;
  remove(challenges: readonly Challenge[]): void;
  close(): void;
}

/** Listens on any free ports of `address`. */
export async function startAnswers(address: string, clock: Clock): Promise<Answers> {
  /** By token. */
  const texts = new Map<string, string>();
  /** By name, with the answer that it shows. */
  const proofs = new Map<string, { readonly answer: string; readonly context: SecureContext }>();

  const http = createServer((request, response) => {
    const answer = texts.get((request.url ?? "").replace(challengePath, ""));
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/octet-stream" });
    response.end(answer ?? "");
  });
  http.headersTimeout = http.requestTimeout = patience;

  const tls = createTlsServer({
    minVersion: "TLSv1.2",
    ALPNProtocols: [challengeProtocol],
    handshakeTimeout: patience,
    SNICallback(name, done) {
      const proof = proofs.get(name.toLowerCase());
      if (proof) done(null, proof.context);
      else done(new Error("this name is not being proved"));
    },
  });
  // The handshake is all there is to it.
  tls.on("secureConnection", (socket) => socket.on("error", () => socket.destroy()).destroySoon());
  tls.on("tlsClientError", (_error, socket) => socket.destroy());

  const listen = async (server: Server): Promise<number> => {
    server.maxConnections = mostConnections;
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, address, resolve));
    return (server.address() as AddressInfo).port;
  };
  const ports = { http: await listen(http), tls: await listen(tls) };

  return {
    ports,
    async add(challenges) {
      for (const { type, host, token, answer } of challenges)
        if (type === "http-01") texts.set(token, answer);
        else {
          const { certificate, key } = await challengeCertificate(host, answer, clock.now());
          proofs.set(host, { answer, context: createSecureContext({ cert: certificate, key }) });
        }
    },
    remove(challenges) {
      for (const { host, token, answer } of challenges) {
        texts.delete(token);
        if (proofs.get(host)?.answer === answer) proofs.delete(host);
      }
    },
    close() {
      http.close();
      http.closeAllConnections();
      // Its connections end with their handshakes.
      tls.close();
    },
  };
}
