import { isIPv6 } from "node:net";
import type { ServicePort } from "../kube/index.ts";
import type { FrontendState } from "../proxy/index.ts";
import type { Exposure } from "./exposure.ts";

/** Somewhere a port of a Service answers. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly protocol: string;
}

/** Each address with each port. */
export function at(addresses: readonly string[], ports: readonly ServicePort[], which: "port" | "nodePort"): Place[] {
  return addresses.flatMap((address) =>
    ports.flatMap(({ [which]: port, protocol = "TCP" }) => (port ? { address, port, protocol } : [])),
  );
}

/** `ADDRESS:PORT/PROTOCOL` */
export const textOf = ({ address, port, protocol }: Place) => `${bracketed(address)}:${port}/${protocol}`;

/** What the proxy made of a Service's places: another port where it could not have the one asked for, or a problem. */
export function realisedOf(states: readonly FrontendState[]) {
  const stateOf = (way: Exposure["way"], { address, port, protocol }: Place) =>
    states.find(
      (state) =>
        state.kind === way &&
        state.port === port &&
        state.protocol === protocol &&
        (state.address === undefined || state.address === address),
    );
  return {
    place: (way: Exposure["way"], place: Place): Place => ({
      ...place,
      port: stateOf(way, place)?.actualPort ?? place.port,
    }),
    problem: (way: Exposure["way"], places: readonly Place[]) =>
      places.map((place) => stateOf(way, place)?.problem).find((problem) => problem !== undefined),
  };
}

const bracketed = (address: string) => (isIPv6(address) ? `[${address}]` : address);
