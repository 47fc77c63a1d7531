import { keyOf } from "../../kube/index.ts";
import {
  type Gateway,
  type GatewayReport,
  poolsOf,
  routesOf,
  type RouteReport,
  streamsOf,
  textOf,
} from "../../routing/index.ts";
import { addressesOf, type GatewayView } from "../gateway-faults.ts";
import type { Chapter, StoryContext } from "./story.ts";

/** class, addresses, listeners with how many routes they have, and the routes. */
export function gatewayChapters(
  gateway: Gateway,
  report: GatewayReport | undefined,
  { meaning }: GatewayView,
): { chapters: Chapter[]; routes: string[] } {
  const key = keyOf(gateway);
  const listeners = (report?.listeners.own ?? []).map(({ spec, hostname, attached, usable }) => {
    const host = hostname === "" ? "any host" : hostname;
    const state = usable ? `${attached} route${attached === 1 ? "" : "s"}` : "not served";
    return `${spec.name}: ${spec.protocol} ${spec.port}, ${host}: ${state}`;
  });
  const routes = [...meaning.routes]
    .filter(([, { route, parents }]) =>
      parents.some(
        ({ parentRef: { kind = "Gateway", namespace = route.metadata.namespace, name } }) =>
          kind === "Gateway" && `${namespace ?? ""}/${name}` === key,
      ),
    )
    .map(([name]) => name);
  const chapters = [
    {
      title: "class",
      lines: [`${gateway.spec.gatewayClassName}: ${report ? "served by Fairlead" : "not served by Fairlead"}`],
    },
    { title: "addresses", lines: addressesOf(gateway) },
    { title: "listeners", lines: listeners },
    {
      title: "routes",
      lines: routes.slice(0, 20).concat(routes.length > 20 ? [`and ${routes.length - 20} more`] : []),
    },
  ];
  return { chapters: chapters.filter(({ lines }) => lines.length > 0), routes };
}

/** parents with what they say of it, where it answers, and what it leads to. */
export function routeChapters(
  { kind, route, parents }: RouteReport,
  { meaning }: GatewayView,
  { exposures }: Pick<StoryContext, "exposures">,
): { chapters: Chapter[]; services: string[] } {
  const object = `${kind} ${keyOf(route)}`;
  const { model } = meaning;
  const services = new Set<string>();
  const isOwn = ({ owner }: { owner: { object: Parameters<typeof textOf>[0] } }) => textOf(owner.object) === object;
  const found = model.listeners.flatMap((listener) => [
    ...[...routesOf(listener)].filter(isOwn).map((own) => ({
      rule: own,
      where: `${own.host || "any host"} ${own.path ? `${own.path.type} ${own.path.value || "/"}` : ""}`.trim(),
    })),
    ...[...streamsOf(listener)].filter(isOwn).map((own) => ({
      rule: own,
      where: own.host || `port ${listener.port}`,
    })),
  ]);
  const lines = found.flatMap(({ rule, where }) =>
    poolsOf(model, rule).flatMap(({ pool }) => {
      const service = `${pool.service.namespace}/${pool.service.name}`;
      services.add(service);
      const ready = pool.endpoints.filter((endpoint) => endpoint.ready).length;
      const state = pool.absent ?? `${ready} of ${pool.endpoints.length} endpoints ready`;
      return [`${where} -> Service ${service} port ${pool.port}`, `    ${state}; ${rule.owner.field}`];
    }),
  );
  const told = parents.map(({ parentRef, conditions }) => {
    const said = conditions.map(({ type, status }) => `${type} ${status}`).join(", ");
    return `${parentRef.kind ?? "Gateway"} ${parentRef.name}${parentRef.sectionName ? ` (${parentRef.sectionName})` : ""}: ${said}`;
  });
  const chapters = [
    { title: "parents", lines: told },
    { title: "addresses", lines: [...new Set(exposures.flatMap(({ addresses }) => addresses))].slice(0, 20) },
    { title: "routes", lines: [...new Set(lines)].slice(0, 40) },
  ];
  return { chapters: chapters.filter((chapter) => chapter.lines.length > 0), services: [...services] };
}
