import { expect, test } from "vitest";
import type { ClientValidation, RoutingModel, Server } from "../../routing/index.ts";
import { refusedBy } from "./capabilities.ts";

const owner = { object: { kind: "Gateway", name: "g" }, field: "" };

function modelAsking(clients: ClientValidation): RoutingModel {
  const rule = { id: "r", filters: [], backends: [], timeouts: {}, owner };
  const fallback = { id: "only", host: "", headers: [], query: [], rule, owner };
  const hosts = { semantics: "Gateway" as const, exact: new Map(), wildcard: new Map(), fallback };
  const server: Server = { kind: "http", hostname: "", owner, hosts, tls: { certificates: new Map(), clients } };
  return {
    listeners: [{ name: "https", port: 443, protocol: "HTTPS", servers: new Map([["", server]]) }],
    pools: new Map(),
  };
}

test("nobody is served past a certificate that would not be looked at as it is asked for", () => {
  const authorities = "PEM";
  expect(refusedBy(modelAsking({ mode: "Ask", authorities }))).toEqual([]);
  expect(refusedBy(modelAsking({ mode: "Ask", authorities, revoked: "PEM" }))).toEqual([
    { route: "only", feature: "ClientCertificate" },
  ]);
  for (const mode of ["AllowValidOnly", "AllowInsecureFallback"] as const)
    expect(refusedBy(modelAsking({ mode, authorities }))).toEqual([
      { route: "only", feature: "GatewayFrontendClientCertificateValidation" },
    ]);
});
