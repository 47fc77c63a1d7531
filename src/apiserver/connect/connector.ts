import {
  beforePort,
  resources,
  statusError,
  type GroupVersionKind,
  type KubeObject,
  type Pod,
} from "../../kube/index.ts";
import { authorize, type Authorizer } from "../auth/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import { methodNotAllowed, type AdmissionChain, mutate, validate } from "../registry/index.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { anonymous, contextOf } from "../resources/context.ts";
import type { Served } from "../resources/index.ts";
import { passOn } from "./pass-on.ts";
import { hostOf, kindOf, readStreamRequest, type StreamedPart } from "./pod-streams.ts";
import { proxyChange, redirectToSlash, restOfPath } from "./proxy-path.ts";
import { createTargets, type TargetOptions } from "./target.ts";

export interface ConnectorOptions extends TargetOptions {
  readonly authorizer: Authorizer;
  readonly admission: AdmissionChain;
}

/** Answers the parts of an object that lead somewhere else: exec, attach, portforward, proxy. Throws StatusError. */
export type Connector = (request: ApiRequest, info: ResourceInfo, served: Served) => Promise<ApiResponse>;

const proxyKinds: Readonly<Record<string, string>> = {
  pods: "PodProxyOptions",
  services: "ServiceProxyOptions",
  nodes: "NodeProxyOptions",
};

export function createConnector(options: ConnectorOptions): Connector {
  const { registry, authorizer, admission } = options;
  const targets = createTargets(options);

  /** Admission is asked before anything is looked up, as upstream's ConnectResource. */
  const admit = async (
    request: ApiRequest,
    info: ResourceInfo,
    served: Served,
    kind: GroupVersionKind,
    object: KubeObject,
  ): Promise<void> => {
    const context = contextOf(request, info, served, false, () => {});
    const question = { operation: "CONNECT", context, name: info.name, kind, object } as const;
    await mutate(admission, question);
    await validate(admission, question);
  };

  const streams: Connector = async (request, info, served) => {
    const part = info.subresource as StreamedPart;
    if (info.verb !== "get" && info.verb !== "create") throw methodNotAllowed();
    const wanted = readStreamRequest(part, request.query);
    await admit(request, info, served, kindOf(part), wanted.options);
    // Reading a pod must not be enough to run commands in it, whatever the protocol (AuthorizePodWebsocketUpgradeCreatePermission).
    authorize(authorizer, request.user ?? anonymous, { ...info, verb: "create" });
    const pod = (await registry.get(resources.Pod, info.namespace, info.name)).object as Pod;
    const path = wanted.pathFor(pod);
    const node = hostOf(pod);
    if (!request.transport?.upgrade) throw statusError("BadRequest", "Upgrade request required");
    const backend = await targets.kubelet(node);
    return passOn(request, {
      backend,
      path,
      name: `kubelet of node ${node}`,
      headers: { host: `${beforePort(backend.host)}:${backend.port}` },
    });
  };

  const proxy: Connector = async (request, info, served) => {
    const { resource, name, namespace } = info;
    const path = restOfPath(request, info);
    const kind = { group: "", version: "v1", kind: proxyKinds[resource] ?? "" };
    await admit(request, info, served, kind, { kind: kind.kind, apiVersion: "v1", path } as unknown as KubeObject);
    const redirect = redirectToSlash(request, path);
    if (redirect) return redirect;
    const backend = await (resource === "pods"
      ? targets.pod(namespace, name)
      : resource === "services"
        ? targets.service(namespace, name)
        : targets.node(name));
    return passOn(request, {
      backend,
      path: path.startsWith("/") ? path : `/${path}`,
      name: `${resource} ${name}`,
      ...proxyChange(request, path, backend),
    });
  };

  return (request, info, served) => {
    if (!info.name) throw methodNotAllowed();
    return info.subresource === "proxy" ? proxy(request, info, served) : streams(request, info, served);
  };
}
