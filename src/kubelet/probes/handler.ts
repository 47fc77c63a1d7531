import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import {
  beforePort,
  type ExecAction,
  type GRPCAction,
  type HTTPGetAction,
  type IntOrString,
  type Pod,
  type TCPSocketAction,
} from "../../kube/index.ts";
import { type Runtime, RuntimeError } from "../runtime/runtime.ts";

/** What probes and life-cycle hooks have in common. */
export interface Handler {
  readonly exec?: ExecAction;
  readonly httpGet?: HTTPGetAction;
  readonly tcpSocket?: TCPSocketAction;
  readonly grpc?: GRPCAction;
}

export interface HandlerTarget {
  readonly pod: Pod;
  readonly containerName: string;
  readonly containerId: string;
  /** The pod's address. */
  readonly address: string;
}

export interface HandlerResult {
  readonly ok: boolean;
  /** What was answered, or why it failed; in upstream's words, cut to `messageLimit`. */
  readonly message: string;
}

export type RunHandler = (handler: Handler, target: HandlerTarget, timeoutMs: number) => Promise<HandlerResult>;

const messageLimit = 1024;
const bodyLimit = 10 << 10;
const mostRedirects = 10;

/** Runs handlers from where the kubelet is, `exec` ones inside their container. Never throws: what fails is a result. */
export function createHandlerRunner(runtime: Pick<Runtime, "exec">): RunHandler {
  return async (handler, target, timeoutMs) => {
    try {
      const result = await run(handler, target, timeoutMs);
      return { ...result, message: result.message.slice(0, messageLimit) };
    } catch (error) {
      return { ok: false, message: (error instanceof Error ? error.message : String(error)).slice(0, messageLimit) };
    }
  };

  async function run(handler: Handler, target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
    if (handler.exec) {
      const command = handler.exec.command ?? [];
      try {
        const { exitCode, stdout, stderr } = await runtime.exec(target.containerId, command, { timeoutMs });
        return { ok: exitCode === 0, message: `${stdout}${stderr}`.trim() };
      } catch (error) {
        if (error instanceof RuntimeError && error.code === "TIMEOUT") {
          return {
            ok: false,
            message: `command timed out: "${command.join(" ")}" timed out after ${timeoutMs / 1000}s`,
          };
        }
        throw error;
      }
    }
    if (handler.httpGet) return httpGet(handler.httpGet, target, timeoutMs);
    if (handler.tcpSocket) {
      const port = portNumber(handler.tcpSocket.port, target);
      return tcpConnect(handler.tcpSocket.host ?? target.address, port, timeoutMs);
    }
    if (handler.grpc) {
      const { checkGrpcHealth } = await import("./grpc-health.ts");
      return checkGrpcHealth(target.address, handler.grpc, timeoutMs);
    }
    return { ok: false, message: "the handler names no action" };
  }
}

/** A port by number or by the name that the container gives it. Throws `Error`. */
export function portNumber(port: IntOrString, { pod, containerName }: HandlerTarget): number {
  if (typeof port === "number") return port;
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const ports = containers.find((container) => container.name === containerName)?.ports ?? [];
  const found = ports.find((candidate) => candidate.name === port)?.containerPort ?? Number(port);
  if (!Number.isInteger(found) || found < 1 || found > 65535) throw new Error(`couldn't find port: "${port}"`);
  return found;
}

async function httpGet(action: HTTPGetAction, target: HandlerTarget, timeoutMs: number): Promise<HandlerResult> {
  const scheme = (action.scheme ?? "HTTP").toLowerCase();
  const host = action.host || target.address;
  const path = action.path?.startsWith("/") ? action.path : `/${action.path ?? ""}`;
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.35", accept: "*/*", connection: "close" };
  for (const { name, value } of action.httpHeaders ?? []) {
    if (value === "" && name.toLowerCase() !== "host") delete headers[name.toLowerCase()];
    else headers[name.toLowerCase()] = value;
  }
  const first = new URL(`${scheme}://${beforePort(host)}:${portNumber(action.port, target)}${path}`);
  const end = Date.now() + timeoutMs;
  let url = first;
  for (let redirects = 0; ; redirects++) {
    const { status, location, body } = await get(url, headers, end - Date.now(), timeoutMs);
    const next = status >= 300 && status < 400 && location ? new URL(location, url) : undefined;
    // A redirect to another host says that this one answers; following it would probe someone else.
    if (next?.hostname === first.hostname && redirects < mostRedirects) {
      url = next;
      continue;
    }
    if (status >= 200 && status < 400) return { ok: true, message: body };
    return { ok: false, message: `HTTP probe failed with statuscode: ${status}` };
  }
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

async function get(url: URL, headers: Record<string, string>, leftMs: number, timeoutMs: number): Promise<Answer> {
  // Certificates are not checked: a probe asks whether the pod answers, not who it is.
  const https = url.protocol === "https:" ? (await import("node:https")).request : undefined;
  const options = { headers, agent: false, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const request = https ? https(url, options) : httpRequest(url, options);
    const timer = setTimeout(
      () => request.destroy(new Error(`no answer within ${timeoutMs / 1000}s (context deadline exceeded)`)),
      Math.max(leftMs, 1),
    );
    request.once("error", (error) => {
      clearTimeout(timer);
      reject(new Error(`Get "${url.href}": ${error.message}`));
    });
    request.once("response", (response) => {
      let body = "";
      const done = (): void => {
        clearTimeout(timer);
        resolve({ status: response.statusCode ?? 0, location: response.headers.location, body });
      };
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
        if (body.length < bodyLimit) return;
        done();
        response.destroy();
      });
      response.once("end", done);
      response.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
    request.end();
  });
}

function tcpConnect(host: string, port: number, timeoutMs: number): Promise<HandlerResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (ok: boolean, message: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ ok, message });
    };
    const timer = setTimeout(() => done(false, `dial tcp ${beforePort(host)}:${port}: i/o timeout`), timeoutMs);
    socket.once("connect", () => done(true, ""));
    socket.once("error", (error) => done(false, `dial tcp ${beforePort(host)}:${port}: ${error.message}`));
  });
}
