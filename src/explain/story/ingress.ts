import { type Ingress, keyOf } from "../../kube/index.ts";
import { poolsOf, routesOf } from "../../routing/index.ts";
import type { Chapter, StoryContext } from "./story.ts";

/** class, hosts and paths with what they lead to, certificates. */
export function ingressChapters(
  ingress: Ingress,
  { facts, exposures }: StoryContext,
): { chapters: Chapter[]; services: string[] } {
  const { model, served, problems } = facts.routing;
  const key = keyOf(ingress);
  const services = new Set<string>();
  const listener = model.listeners.find(({ protocol }) => protocol === "HTTP");
  const routes = listener ? [...routesOf(listener)] : [];
  const isOwn = ({ kind, namespace, name }: { kind: string; namespace?: string; name: string }) =>
    kind === "Ingress" && `${namespace ?? ""}/${name}` === key;
  const own = routes.filter(({ owner }) => isOwn(owner.object));
  const routeLines = own.flatMap((route) =>
    poolsOf(model, route).flatMap(({ pool }) => {
      const service = `${pool.service.namespace}/${pool.service.name}`;
      services.add(service);
      const ready = pool.endpoints.filter((endpoint) => endpoint.ready).length;
      const where = `${route.host || "any host"} ${route.path ? `${route.path.type} ${route.path.value || "/"}` : "default"}`;
      const state = pool.absent ?? `${ready} of ${pool.endpoints.length} endpoints ready`;
      return [`${where} -> Service ${service} port ${pool.port}`, `    ${state}; ${route.owner.field}`];
    }),
  );
  const tls = (ingress.spec.tls ?? []).map(({ hosts = [], secretName }, i) => {
    const problem = problems.find(({ object, field }) => isOwn(object) && field.startsWith(`spec.tls[${i}]`));
    return `${hosts.join(", ") || "all hosts"}: ${problem ? problem.message : `Secret ${secretName ?? "(the default certificate)"}`}`;
  });
  const isServed = served.includes(ingress);
  const name = ingress.spec.ingressClassName;
  const chapters = [
    {
      title: "class",
      lines: [`${name ?? "none named"}: ${isServed ? "served by Fairlead" : "not served by Fairlead"}`],
    },
    { title: "addresses", lines: [...new Set(exposures.flatMap(({ addresses }) => addresses))].slice(0, 20) },
    { title: "routes", lines: routeLines },
    { title: "certificates", lines: tls },
  ];
  return { chapters: chapters.filter(({ lines }) => lines.length > 0), services: [...services] };
}
