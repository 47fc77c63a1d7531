import type { Node, Pod, Service } from "../../kube/index.ts";
import { type Answer, type DnsServer, get, lookUp, ping } from "./requests.ts";

/** One way of reaching the example, and the request that proves it. */
export interface Way {
  /** How, in a word or two: the first column of the table. */
  readonly how: string;
  readonly url: string;
  /** Makes the request once. Throws when there is no answer. */
  readonly attempt: () => Promise<Answer>;
  /** What the answer must be: its status, and what whoever answered must begin with. */
  readonly want: { readonly status: string; readonly by: string };
}

/** What the ways need to know about the cluster that the example runs in. */
export interface Stage {
  readonly services: ReadonlyMap<string, Service>;
  readonly nodes: readonly Node[];
  /** Pods behind the headless Service. */
  readonly catalogPods: readonly Pod[];
  readonly dns: DnsServer;
  readonly clusterDomain: string;
  /** Where the Ingress data plane listens. */
  readonly ingress: { readonly address: string; readonly httpPort: number; readonly httpsPort: number };
  /** Certificate of the authority that signed the example's. */
  readonly ca: string;
  /** Sends one GET from within a pod. */
  readonly fromPod: (url: string) => Promise<Answer>;
}

const ok = (by: string) => ({ status: "200", by });

/** Every way of reaching the example, in the order in which they build on one another. */
export function waysOf(stage: Stage): Way[] {
  const service = (name: string): Service => {
    const found = stage.services.get(name);
    if (!found) throw new Error(`the Service ${name} of the example is gone`);
    return found;
  };
  const direct = (how: string, url: string, by: string): Way => ({
    how,
    url,
    attempt: () => get({ url }),
    want: ok(by),
  });
  const viaIngress = (scheme: "http" | "https", host: string, path: string, by: string): Way => {
    const port = scheme === "http" ? stage.ingress.httpPort : stage.ingress.httpsPort;
    const usual = scheme === "http" ? 80 : 443;
    const url = `${scheme}://${host}${port === usual ? "" : `:${port}`}${path}`;
    const target = { url, address: stage.ingress.address, ...(scheme === "https" ? { ca: stage.ca } : {}) };
    return { how: `Ingress ${scheme.toUpperCase()}`, url, attempt: () => get(target), want: ok(by) };
  };
  const inPod = (how: string, url: string, by: string): Way => ({
    how,
    url,
    attempt: () => stage.fromPod(url),
    want: ok(by),
  });
  const dns = (how: string, type: "A" | "SRV" | "CNAME", name: string, status: string, by: string): Way => ({
    how,
    url: `${type} ${name}`,
    attempt: () => lookUp(stage.dns, type, name),
    want: { status, by },
  });

  const zone = `shop.svc.${stage.clusterDomain}`;
  const node =
    stage.nodes[0]?.status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "no node address";
  const balancer = service("storefront").status?.loadBalancer?.ingress?.[0]?.ip ?? "no address yet";
  const podAddresses = stage.catalogPods.flatMap((pod) => pod.status?.podIP ?? []).sort();

  return [
    direct("ClusterIP", `http://${service("catalog").spec.clusterIP}:8080/`, "catalog-"),
    inPod("ClusterIP, in a pod", `http://catalog.${zone}:8080/`, "catalog-"),
    direct("NodePort", `http://${node}:30080/`, "payments-"),
    {
      how: "NodePort UDP",
      url: `udp://${node}:30081`,
      attempt: () => ping(node, 30081),
      want: { status: "echoed", by: "payments-" },
    },
    direct("LoadBalancer", `http://${balancer}:8080/`, "storefront-"),
    viaIngress("http", "shop.example.test", "/", "storefront-"),
    viaIngress("http", "shop.example.test", "/catalog/books", "catalog-"),
    viaIngress("http", "api.example.test", "/pay", "payments-"),
    viaIngress("https", "shop.example.test", "/", "storefront-"),
    viaIngress("https", "api.example.test", "/catalog", "catalog-"),
    dns("Headless", "A", `catalog-pods.${zone}`, `${podAddresses.length} A`, podAddresses.join(" ")),
    dns("Headless SRV", "SRV", `_http._tcp.catalog-pods.${zone}`, `${podAddresses.length} SRV`, ""),
    dns("ExternalName", "CNAME", `partner.${zone}`, "1 CNAME", `storefront.${zone}`),
    inPod("ExternalName, in a pod", `http://partner.${zone}:8080/`, "storefront-"),
  ];
}

/** What came of one way. */
export interface Outcome {
  readonly how: string;
  readonly url: string;
  readonly status: string;
  readonly by: string;
  readonly milliseconds: number;
  /** Why it does not count; absent when it does. */
  readonly failure?: string;
}

/** Goes one way once, and judges the answer. */
export async function tryWay({ how, url, attempt, want }: Way, now: () => number): Promise<Outcome> {
  const started = now();
  const outcome = ({ status, by, milliseconds }: Answer, failure?: string): Outcome => ({
    how,
    url,
    status,
    by,
    milliseconds: Math.round((milliseconds ?? now() - started) * 10) / 10,
    ...(failure === undefined ? {} : { failure }),
  });
  try {
    const answer = await attempt();
    const { status, by } = answer;
    if (status !== want.status) return outcome(answer, `status ${status} instead of ${want.status}`);
    if (!by.startsWith(want.by)) return outcome(answer, `${by || "nobody"} answered instead of ${want.by}*`);
    return outcome(answer);
  } catch (error) {
    const failure = error instanceof Error ? error.message || error.name : String(error);
    return outcome({ status: "-", by: "-" }, failure);
  }
}
