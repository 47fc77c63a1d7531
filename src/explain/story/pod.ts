import { keyOf, type Pod } from "../../kube/index.ts";
import { podAddresses } from "../cluster.ts";
import { whyNotReady } from "../pods.ts";
import type { Chapter, StoryContext } from "./story.ts";

/** Where a pod is, how it is, and which Services lead to it. */
export function podChapters(pod: Pod, { facts }: StoryContext): { chapters: Chapter[]; services: string[] } {
  const key = keyOf(pod);
  const why = whyNotReady(pod, facts.cluster.objects.events);
  const addresses = podAddresses(pod);
  const declared = pod.spec.containers.flatMap(({ name, ports }) =>
    (ports ?? []).map(
      ({ name: port, containerPort, protocol = "TCP" }) =>
        `${containerPort}/${protocol}${port ? ` (${port})` : ""} of container ${name}`,
    ),
  );
  const services = facts.services.filter(
    (view) => view.pods.includes(pod) || view.ports.some(({ endpoints }) => endpoints.some((one) => one.pod === key)),
  );
  const lines = services.map(({ key: service, ports }) => {
    const own = ports.flatMap(({ endpoints }) => endpoints.filter((one) => one.pod === key));
    const [first] = own;
    if (!first) return `${service}: selects it, but no EndpointSlice names it`;
    if (own.some(({ ready }) => ready)) return `${service}: gets connections`;
    return `${service}: gets none, it is ${first.terminating ? "terminating" : "not ready"}`;
  });
  const chapters = [
    { title: "place", lines: [`${addresses.join(", ") || "no address"} on ${pod.spec.nodeName ?? "no node"}`] },
    { title: "state", lines: [why === undefined ? "ready" : why] },
    { title: "ports", lines: declared.length > 0 ? declared : ["none declared"] },
    { title: "services", lines: lines.length > 0 ? lines : ["no Service selects it"] },
  ];
  return { chapters, services: services.map(({ key: service }) => service) };
}
