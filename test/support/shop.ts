import { join } from "node:path";
import type { Service } from "../../src/kube/index.ts";
import { printed, type TestCluster } from "./cluster.ts";
import { repository } from "./lab.ts";

const deployments = ["storefront", "catalog", "payments"];

/** Applies the example and waits until all of it is ready. */
export async function applyShop({ kubectl }: TestCluster): Promise<void> {
  printed(await kubectl(["apply", "-f", join(repository, "examples/shop")]));
  for (const name of deployments) {
    printed(await kubectl(["rollout", "status", `deployment/${name}`, "-n", "shop", "--timeout=90s"]));
  }
  const balancer = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}";
  printed(await kubectl(["wait", "-n", "shop", balancer, "service/storefront", "--timeout=30s"]));
  printed(await kubectl(["wait", "-n", "shop", balancer, "ingress/shop", "--timeout=30s"]));
}

/** The addresses that Services of the example have: they must never change. */
export async function addressesOf({ kubectl }: TestCluster): Promise<Record<string, readonly (string | number)[]>> {
  const json = printed(await kubectl(["get", "services", "-n", "shop", "-o", "json"]));
  const { items } = JSON.parse(json) as { items: Service[] };
  return Object.fromEntries(
    items.map(({ metadata, spec, status }) => [
      metadata.name,
      [
        ...(spec.clusterIPs ?? []),
        ...(spec.ports ?? []).flatMap(({ nodePort }) => nodePort ?? []),
        ...(status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
      ],
    ]),
  );
}

/** The three ways in to the storefront that traffic is tested through: URL and Host. */
export async function waysIn(cluster: TestCluster): Promise<Record<string, { url: string; host?: string }>> {
  const read = async (path: string, object: string) =>
    printed(await cluster.kubectl(["get", object, "-n", "shop", "-o", `jsonpath={${path}}`]));
  const ingress = JSON.parse(
    printed(await cluster.kubectl(["get", "ingress", "shop", "-n", "shop", "-o", "json"])),
  ) as {
    status: { loadBalancer: { ingress: { ip: string; ports?: { port: number }[] }[] } };
  };
  const [entry] = ingress.status.loadBalancer.ingress;
  const port = entry?.ports?.[0]?.port ?? 80;
  return {
    ClusterIP: { url: `http://${await read(".spec.clusterIP", "service/storefront")}:8080/` },
    LoadBalancer: { url: `http://${await read(".status.loadBalancer.ingress[0].ip", "service/storefront")}:8080/` },
    Ingress: { url: `http://${entry?.ip}:${port}/`, host: "shop.example.test" },
  };
}
