import { invalid, resources, statusError, type FieldError, type Node, type Pod } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import type { Registry } from "../registry/index.ts";
import { isTrue, type ResourceInfo } from "../request/request-info.ts";
import { chooseContainer } from "../connect/pod-streams.ts";
import { kubeletAddress } from "../connect/target.ts";
import { keyFor, type Storage } from "../storage/index.ts";

/** Where the kubelet of a node answers. */
export interface KubeletAddress {
  readonly host: string;
  readonly port: number;
}

/** What the API server needs of a node's kubelet. The real one asks over HTTPS with a client certificate. */
export interface KubeletClient {
  /** Opens `path` (with query); the status, and the bytes as they come. Rejects when the kubelet can not be reached. */
  open(
    address: KubeletAddress,
    path: string,
    signal: AbortSignal,
  ): Promise<{ status: number; chunks: AsyncIterable<Uint8Array> }>;
  /** By which kubelets are known and this server shows who it is, PEM: for connections that are passed on. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** `pods/log`: passed on from the kubelet of the pod's node as it comes. */
export async function handlePodLog(
  { registry, storage, kubelet }: { registry: Registry; storage: Storage; kubelet: KubeletClient },
  request: ApiRequest,
  info: ResourceInfo,
): Promise<ApiResponse> {
  const query = logQuery(request.query, info.name);
  const pod = (await registry.get(resources.Pod, info.namespace, info.name)).object as Pod;
  const container = chooseContainer(pod, request.query.get("container") ?? "");
  const node = pod.spec?.nodeName;
  // Not scheduled yet: there is no log, which is no fault.
  if (!node) return { type: "object", status: 204, headers: {}, object: {}, bytes: () => [] };
  const entry = storage.of(resources.Node).get(keyFor(resources.Node, { name: node }));
  const address = entry && kubeletAddress(entry.object as Node);
  if (!address) throw statusError("InternalError", `Internal error occurred: no address of node ${node} is known`);
  const parts = [info.namespace, info.name, container].map(encodeURIComponent).join("/");
  const path = `/containerLogs/${parts}?${query.toString()}`;
  const answer = await kubelet.open(address, path, request.signal).catch((error: unknown) => {
    throw statusError("InternalError", `Internal error occurred: kubelet of node ${node}: ${(error as Error).message}`);
  });
  if (answer.status === 200) return logResponse(answer.chunks);
  const text = await readText(answer.chunks);
  throw statusError(
    answer.status === 400 || answer.status === 404 ? "BadRequest" : "InternalError",
    text || `kubelet of node ${node} answered ${answer.status}`,
  );
}

function logResponse(chunks: AsyncIterable<Uint8Array>): ApiResponse {
  return { type: "stream", status: 200, headers: { "content-type": "text/plain" }, chunks };
}

const mostText = 4096;

async function readText(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.length;
    if (size > mostText) break;
  }
  return Buffer.concat(parts).subarray(0, mostText).toString().trim();
}

/** Checks PodLogOptions and gives what the kubelet takes. Throws StatusError BadRequest or Invalid. */
function logQuery(query: URLSearchParams, pod: string): URLSearchParams {
  const passed = new URLSearchParams();
  const errors: FieldError[] = [];
  for (const name of ["follow", "previous", "timestamps"]) {
    if (isTrue(query.get(name))) passed.set(name, "true");
  }
  for (const [name, least] of Object.entries({ tailLines: 0, limitBytes: 1, sinceSeconds: 1 })) {
    const text = query.get(name);
    if (text === null) continue;
    if (!/^-?\d{1,15}$/.test(text))
      throw statusError("BadRequest", `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (Number(text) < least) {
      const detail = `must be greater than or equal to ${least}`;
      errors.push({
        type: "Invalid",
        field: name,
        value: Number(text),
        detail: least === 0 ? detail : "must be greater than 0",
      });
    }
    passed.set(name, text);
  }
  const since = query.get("sinceTime");
  if (since !== null) {
    if (!Number.isFinite(Date.parse(since)))
      throw statusError(
        "BadRequest",
        `parsing time ${JSON.stringify(since)} as "2006-01-02T15:04:05Z07:00": cannot parse`,
      );
    if (query.has("sinceSeconds"))
      errors.push({
        type: "Forbidden",
        field: "[]",
        detail: "at most one of `sinceTime` or `sinceSeconds` may be specified",
      });
    passed.set("sinceTime", since);
  }
  if (errors.length > 0) throw invalid({ group: "", kind: "PodLogOptions" }, pod, errors);
  return passed;
}
