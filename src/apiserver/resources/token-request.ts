import type { TokenRequest } from "../../kube/index.ts";
import type { ApiRequest, ApiResponse } from "../handler.ts";
import type { Registry } from "../registry/index.ts";
import { readObject } from "../request/body.ts";
import { writeQuery } from "../request/params.ts";
import type { ResourceInfo } from "../request/request-info.ts";
import { objectResponse } from "../request/respond.ts";
import { warningHeader } from "../request/warnings.ts";
import type { TokenIssuer } from "../tokens/index.ts";
import { contextOf } from "./context.ts";
import type { Served } from "./served.ts";

const kind = { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" };

/** `serviceaccounts/token`: a token for the account, which is answered and not kept. */
export async function requestToken(
  { registry, issuer }: { registry: Registry; issuer: TokenIssuer },
  request: ApiRequest,
  info: ResourceInfo,
  served: Served,
): Promise<ApiResponse> {
  const warnings: string[] = [];
  const warn = (text: string): void => {
    warnings.push(text);
  };
  const { dryRun, fieldValidation } = writeQuery(request.query, "CreateOptions");
  const asked = await readObject<TokenRequest>(request, kind, fieldValidation, warn);
  const context = contextOf(request, info, served, dryRun, warn);
  const admitted = await registry.admit(context, { operation: "CREATE", name: info.name, kind, object: asked });
  const answered = await issuer.issue(admitted, { namespace: info.namespace, name: info.name });
  return objectResponse(201, answered, warningHeader(warnings));
}
