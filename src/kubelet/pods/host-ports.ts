import type { Pod } from "../../kube/index.ts";
import type { HostPort } from "../network/network.ts";

/** The ports of the node that a pod asks for: those of its containers and of its sidecars, none with hostNetwork. */
export function hostPortsOf({ spec }: Pick<Pod, "spec">): HostPort[] {
  if (spec.hostNetwork) return [];
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...sidecars, ...spec.containers].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, containerPort, protocol = "TCP", hostIP }): HostPort[] => {
      if (!hostPort || (protocol !== "TCP" && protocol !== "UDP" && protocol !== "SCTP")) return [];
      return [{ protocol, hostPort, containerPort, ...(hostIP ? { hostIP } : {}) }];
    }),
  );
}
