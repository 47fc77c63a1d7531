import type { APIServiceCondition, EndpointSlice, Service } from "../../kube/index.ts";
import type { Aggregated } from "./api-services.ts";

export type Condition = Pick<APIServiceCondition, "status" | "reason" | "message">;

const no = (reason: string, message: string): Condition => ({ status: "False", reason, message });

/**
 * What keeps the server of an APIService from being asked at all, in upstream's words; undefined: nothing, so it has to be asked.
 * `slices` are those of the Service.
 */
export function obstacle(
  { service: { namespace, name, port } }: Aggregated,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): Condition | undefined {
  const where = `service/${name} in ${JSON.stringify(namespace)}`;
  if (!service) return no("ServiceNotFound", `${where} is not present`);
  if (service.spec?.type !== undefined && service.spec.type !== "ClusterIP") return undefined;
  const found = service.spec?.ports?.find((one) => one.port === port);
  if (!found) return no("ServicePortError", `${where} is not listening on port ${port}`);
  if (slices.length === 0) return no("EndpointsNotFound", `cannot find endpointslices for ${where}`);
  const portName = found.name ?? "";
  const ready = slices.some(
    (slice) =>
      (slice.ports ?? []).some((one) => (one.name ?? "") === portName) &&
      (slice.endpoints ?? []).some(({ conditions, addresses }) => conditions?.ready !== false && addresses.length > 0),
  );
  if (!ready)
    return no(
      "MissingEndpoints",
      `endpointslices for ${where} have no addresses with port name ${JSON.stringify(portName)}`,
    );
  return undefined;
}

/** What the answer to the question of what a server has says of it. `problem` absent: it answered. */
export function answered(url: string, problem?: string): Condition {
  if (problem === undefined) return { status: "True", reason: "Passed", message: "all checks passed" };
  return no("FailedDiscoveryCheck", `failing or missing response from ${url}: ${problem}`);
}
