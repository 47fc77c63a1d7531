import type { FakeClient } from "../../src/client/index.ts";
import { resources } from "../../src/kube/index.ts";
import { gatewayResources } from "../../src/routing/index.ts";

/** Puts the definitions of the Gateway API into a fake cluster. */
export function putGatewayKinds(client: FakeClient): void {
  for (const { group, kind, plural } of Object.values(gatewayResources))
    client.put(resources.CustomResourceDefinition, {
      metadata: { name: `${plural}.${group}` },
      spec: { group, names: { kind, plural }, scope: "Namespaced", versions: [] },
      status: { conditions: [{ type: "Established", status: "True" }] },
    });
}

/** The same, and a GatewayClass of Fairlead's. */
export function putGatewayClass(client: FakeClient, name = "fairlead"): void {
  putGatewayKinds(client);
  client.put(gatewayResources.GatewayClass, {
    metadata: { name, generation: 1 },
    spec: { controllerName: "fairlead.dev/gateway" },
  });
}
