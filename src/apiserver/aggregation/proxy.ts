import { rootCertificates } from "node:tls";
import { passOn } from "../connect/pass-on.ts";
import { EgressError, type ResolveService } from "../egress/index.ts";
import type { ApiRequest, ApiResponse, UserInfo } from "../handler.ts";
import { textResponse } from "../request/respond.ts";
import type { Aggregated } from "./api-services.ts";
import { userHeaders } from "./user-headers.ts";

export interface ProxyOptions {
  readonly resolve: ResolveService;
  /** Certificate by which this server shows that it may speak for users. */
  readonly client: () => Promise<{ cert: string; key: string } | undefined>;
}

/** Answers a request from the server behind an APIService, watches and upgrades included; 503 in upstream's words when it is not available. */
export async function askAggregated(
  { resolve, client }: ProxyOptions,
  service: Aggregated,
  request: ApiRequest,
  user: UserInfo,
): Promise<ApiResponse> {
  if (!service.available) return unavailable();
  let endpoint;
  try {
    endpoint = resolve(service.service);
  } catch (error) {
    if (error instanceof EgressError) return unavailable();
    throw error;
  }
  const { namespace, name } = service.service;
  const pair = await client();
  const servername = `${name}.${namespace}.svc`;
  const query = request.query.toString();
  return passOn(request, {
    backend: {
      ...endpoint,
      tls: {
        ...(service.insecure ? {} : { ca: service.ca ?? rootCertificates.join("\n") }),
        ...pair,
        servername,
      },
    },
    path: `${encodeURI(request.path).replaceAll("?", "%3F").replaceAll("#", "%23")}${query ? `?${query}` : ""}`,
    headers: { ...userHeaders(user), host: `${servername}:${service.service.port}` },
    name: `the server of ${service.name}`,
  });
}

const unavailable = (): ApiResponse => textResponse(503, "service unavailable\n");
