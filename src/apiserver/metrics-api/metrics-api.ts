import {
  resources,
  statusError,
  strategyFor,
  type KubeObject,
  type Node,
  type Pod,
  type Resource,
} from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import { kubeletAddress } from "../connect/target.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { methodNotAllowed } from "../registry/index.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { objectResponse } from "../request/respond.ts";
import { selection } from "../request/selection.ts";
import { notFoundPath } from "../resources/context.ts";
import type { KubeletClient } from "../resources/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";
import { metricsKinds } from "./kinds.ts";

export interface MetricsApiOptions {
  readonly storage: Storage;
  readonly kubelet: KubeletClient;
  readonly clock: Clock;
}

/** Amounts of the kubelet's Summary API that are looked at. */
interface Amounts {
  readonly cpu?: { readonly time?: string; readonly usageNanoCores?: number };
  readonly memory?: { readonly workingSetBytes?: number };
}

interface Summary {
  readonly node?: Amounts;
  readonly pods?: readonly {
    readonly podRef: { readonly uid: string };
    readonly containers?: readonly (Amounts & { readonly name: string })[];
  }[];
}

/** Milliseconds that a node's figures are good for, and that a kubelet has to give them. */
const freshMs = 5_000;
const patience = 10_000;
/** Bytes that the figures of one node may have. */
const mostBytes = 16 << 20;
const span = "10s";

/** Answers the group metrics.k8s.io from the figures of the kubelets. Throws StatusError. */
export function createMetricsApi({ storage, kubelet, clock }: MetricsApiOptions) {
  const known = new Map<string, { readonly at: number; readonly summary: Promise<Summary | undefined> }>();

  /** Asks a node at most once in a while, whoever asks for it. Undefined for one that does not answer. */
  const summaryOf = (node: Node): Promise<Summary | undefined> => {
    const { name } = node.metadata;
    const found = known.get(name);
    if (found && clock.now() - found.at < freshMs) return found.summary;
    for (const [other, { at }] of known) if (clock.now() - at > 10 * freshMs) known.delete(other);
    const address = kubeletAddress(node);
    const summary = address ? fetchSummary(address).catch(() => undefined) : Promise.resolve(undefined);
    known.set(name, { at: clock.now(), summary });
    return summary;
  };
  const fetchSummary = async (address: Parameters<KubeletClient["open"]>[0]): Promise<Summary | undefined> => {
    const answer = await kubelet.open(address, "/stats/summary", AbortSignal.timeout(patience));
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.chunks) {
      size += chunk.length;
      if (size > mostBytes) return undefined;
      parts.push(chunk);
    }
    return answer.status === 200 ? (JSON.parse(Buffer.concat(parts).toString()) as Summary) : undefined;
  };

  const nodes = async (chosen: readonly Node[]): Promise<object[]> => {
    const found = await Promise.all(
      chosen.map(async (node) => {
        const amounts = (await summaryOf(node))?.node;
        return amounts ? [{ ...headOf(node, amounts), usage: usageOf(amounts) }] : [];
      }),
    );
    return found.flat();
  };
  const pods = async (chosen: readonly Pod[]): Promise<object[]> => {
    const wanted = new Set(chosen.map(({ spec }) => spec?.nodeName));
    const all = objectsOf<Node>(storage, resources.Node).filter(({ metadata }) => wanted.has(metadata.name));
    const summaries = await Promise.all(all.map(summaryOf));
    const byUid = new Map(summaries.flatMap((one) => one?.pods ?? []).map((one) => [one.podRef.uid, one]));
    return chosen.flatMap((pod) => {
      const { containers = [] } = byUid.get(pod.metadata.uid ?? "") ?? {};
      const [first] = containers;
      if (!first || pod.status?.phase !== "Running") return [];
      return [
        { ...headOf(pod, first), containers: containers.map((one) => ({ name: one.name, usage: usageOf(one) })) },
      ];
    });
  };

  return async (request: ApiRequest, info: ResourceInfo): Promise<ApiResponse> => {
    const kind = metricsKinds.find(({ plural }) => plural === info.resource);
    if (!kind || info.subresource || (info.name && kind.namespaced && !info.namespace)) throw notFoundPath();
    if (info.version !== kind.version || (!kind.namespaced && info.namespace)) throw notFoundPath();
    if (info.verb !== "get" && info.verb !== "list") throw methodNotAllowed();
    await storage.caughtUp();
    const source = kind.plural === "nodes" ? resources.Node : resources.Pod;
    const { prefix, selects = () => true } = selection(
      { resource: source, strategy: strategyFor(source) },
      info.namespace,
      info.name,
      request.query,
    );
    const chosen = storage
      .of(source)
      .under(prefix)
      .filter((entry) => selects(entry))
      .map(({ object }) => object);
    const items = await (kind.plural === "nodes" ? nodes(chosen as Node[]) : pods(chosen as Pod[]));
    const head = { kind: kind.kind, apiVersion: `${kind.group}/${kind.version}` };
    const whole = items.map((item) => ({ ...head, ...item }));
    if (!info.name) return objectResponse(200, { ...head, kind: `${kind.kind}List`, metadata: {}, items: whole });
    const [only] = whole;
    if (!only) throw notFound(kind, info);
    return objectResponse(200, only);
  };
}

function objectsOf<T extends KubeObject>(storage: Storage, kind: Resource<T>): T[] {
  return storage
    .of(kind)
    .under(prefixFor(kind))
    .map(({ object }) => object as T);
}

function headOf({ metadata }: KubeObject, amounts: Amounts) {
  const { name, namespace, labels } = metadata;
  const timestamp = `${(amounts.cpu?.time ?? new Date(0).toISOString()).slice(0, 19)}Z`;
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      creationTimestamp: timestamp,
      ...(labels ? { labels } : {}),
    },
    timestamp,
    window: span,
  };
}

function usageOf({ cpu, memory }: Amounts): { cpu: string; memory: string } {
  return {
    cpu: `${Math.round(cpu?.usageNanoCores ?? 0)}n`,
    memory: `${Math.round((memory?.workingSetBytes ?? 0) / 1024)}Ki`,
  };
}

function notFound({ group, kind }: Resource, { namespace, name }: ResourceInfo): Error {
  const plural = kind.toLowerCase();
  const which = namespace ? `${namespace}/${name}` : name;
  return statusError("NotFound", `${plural}.${group} ${JSON.stringify(which)} not found`, {
    name: which,
    group,
    kind: plural,
  });
}
