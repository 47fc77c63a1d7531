import { ingressExposures, type IngressOptions } from "../ingresses.ts";
import { serviceExposures, type ServiceOptions } from "../services.ts";
import { keyOf } from "../../kube/index.ts";
import type { DrainingEndpoint } from "../../proxy/index.ts";
import type { Exposure, GatewayKind } from "../exposure.ts";
import { gatewayExposures } from "../gateway-exposures.ts";
import type { Gateway } from "../../routing/index.ts";
import type { Facts, Finding } from "../doctor/check.ts";
import { examine } from "../doctor/doctor.ts";
import { ExplainError } from "../error.ts";
import { findPod, missing } from "../packet/client.ts";
import { gatewayChapters, routeChapters } from "./gateway.ts";
import { ingressChapters } from "./ingress.ts";
import { podChapters } from "./pod.ts";
import { serviceChapters } from "./service.ts";

/** One stretch of the way, as lines. */
export interface Chapter {
  readonly title: string;
  readonly lines: readonly string[];
}

/** The whole way of one object: from its name to what answers, and why not. */
export interface Story {
  /** `Service shop/web`. */
  readonly object: string;
  readonly chapters: readonly Chapter[];
  /** What is wrong on the way, the first cause first; also of objects that it leads to. */
  readonly findings: readonly Finding[];
}

/** What a chapter is written from. */
export interface StoryContext {
  readonly facts: Facts;
  /** Where things answer, as `fairlead status` has it. */
  readonly exposures: readonly Exposure[];
  readonly draining: readonly NodeDraining[];
}

/** An endpoint that was taken out and still has connections by the proxy of a node. */
export type NodeDraining = DrainingEndpoint & { readonly node: string };

export type StoryOptions = ServiceOptions &
  IngressOptions & {
    /** What running proxies say of it; empty where none was asked. */
    readonly draining?: readonly NodeDraining[];
  };

export interface Subject {
  readonly kind: "service" | "ingress" | "pod" | GatewayKind;
  readonly namespace: string;
  readonly name: string;
}

const kinds: Readonly<Record<string, Subject["kind"]>> = {
  service: "service",
  services: "service",
  svc: "service",
  ingress: "ingress",
  ingresses: "ingress",
  ing: "ingress",
  pod: "pod",
  pods: "pod",
  po: "pod",
  gateway: "Gateway",
  gateways: "Gateway",
  gtw: "Gateway",
  httproute: "HTTPRoute",
  httproutes: "HTTPRoute",
  grpcroute: "GRPCRoute",
  grpcroutes: "GRPCRoute",
  tlsroute: "TLSRoute",
  tlsroutes: "TLSRoute",
  tcproute: "TCPRoute",
  tcproutes: "TCPRoute",
  udproute: "UDPRoute",
  udproutes: "UDPRoute",
};

/** Reads `service/NAME`, `ingress/NAME`, `gateway/NAME`, `httproute/NAME` and so on, or `pod/NAME`, perhaps with a namespace before the name. Throws ExplainError BAD_REFERENCE. */
export function parseSubject(text: string, namespace: string): Subject {
  const [word = "", ...rest] = text.split("/");
  const kind = kinds[word.toLowerCase()];
  const [a = "", b] = rest;
  if (!kind || a === "" || rest.length > 2)
    throw new ExplainError(
      "BAD_REFERENCE",
      `${JSON.stringify(text)} is nothing that can be explained`,
      "give service/NAME, ingress/NAME, gateway/NAME, httproute/NAME or pod/NAME",
    );
  return b === undefined ? { kind, namespace, name: a } : { kind, namespace: a, name: b };
}

/** Tells the way of one object. Pure. Throws ExplainError NOT_FOUND. */
export function tell(facts: Facts, subject: Subject, options: StoryOptions): Story {
  const { objects } = facts.cluster;
  const key = `${subject.namespace}/${subject.name}`;
  const all = examine(facts);
  const about = (...names: readonly string[]): Finding[] =>
    all.filter(({ object }) => names.includes(object) || object.startsWith("Node "));
  switch (subject.kind) {
    case "service": {
      const view = facts.services.find((one) => one.key === key);
      if (!view) throw missing("Service", key, objects.services.map(keyOf));
      const { announcement } = facts;
      const exposures = serviceExposures({ ...objects, services: [view.service] }, { ...options, announcement });
      return {
        object: view.object,
        chapters: serviceChapters(view, { facts, exposures, draining: options.draining ?? [] }),
        findings: about(view.object),
      };
    }
    case "ingress": {
      const ingress = objects.ingresses.find((one) => keyOf(one) === key);
      if (!ingress) throw missing("Ingress", key, objects.ingresses.map(keyOf));
      const exposures = ingressExposures(objects, options).filter(
        ({ name, namespace }) => name === subject.name && namespace === subject.namespace,
      );
      const { chapters, services } = ingressChapters(ingress, { facts, exposures, draining: [] });
      const own = about(`Ingress ${key}`);
      const beneath = about(...services.map((service) => `Service ${service}`));
      return { object: `Ingress ${key}`, chapters, findings: [...new Set([...own, ...beneath])] };
    }
    case "pod": {
      const pod = findPod(facts.cluster, key);
      const { chapters, services } = podChapters(pod, { facts, exposures: [], draining: [] });
      return { object: `Pod ${key}`, chapters, findings: about(...services.map((service) => `Service ${service}`)) };
    }
    default:
      return tellOfGateways(facts, { ...subject, kind: subject.kind }, about);
  }
}

/** A Gateway with its routes, or a route with what it leads to. */
function tellOfGateways(
  { gateways }: Facts,
  { kind, namespace, name }: Subject & { readonly kind: GatewayKind },
  about: (...names: readonly string[]) => Finding[],
): Story {
  const key = `${namespace}/${name}`;
  const object = `${kind} ${key}`;
  const all = (gateways?.objects.objects ?? []).filter((one) => one.kind === kind);
  if (!gateways || !all.some((one) => keyOf(one) === key)) throw missing(kind, key, all.map(keyOf));
  const { meaning } = gateways;
  if (kind === "Gateway") {
    const gateway = all.find((one) => keyOf(one) === key) as Gateway;
    const report = meaning.gateways.find((one) => keyOf(one.gateway) === key);
    const { chapters, routes } = gatewayChapters(gateway, report, gateways);
    return { object, chapters, findings: [...new Set([...about(object), ...about(...routes)])] };
  }
  const report = meaning.routes.get(`${kind} ${key}`);
  if (!report)
    return {
      object,
      chapters: [{ title: "parents", lines: ["none of them is a Gateway of Fairlead's"] }],
      findings: [],
    };
  const exposures = gatewayExposures(gateways).filter(
    (row) => row.kind === kind && row.namespace === namespace && row.name === name,
  );
  const { chapters, services } = routeChapters(report, gateways, { exposures });
  const parents = report.parents.map(
    ({ parentRef }) => `Gateway ${parentRef.namespace ?? namespace}/${parentRef.name}`,
  );
  // A listener that is wrong is no cause where the route answers by another.
  const answers = exposures.some(({ addresses }) => addresses.length > 0);
  const above = about(...parents).filter(({ field }) => !answers || !field.startsWith("spec.listeners["));
  const beneath = about(...services.map((service) => `Service ${service}`));
  return { object, chapters, findings: [...new Set([...about(object), ...above, ...beneath])] };
}
