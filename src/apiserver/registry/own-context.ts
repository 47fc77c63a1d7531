import { strategyFor, type Resource, type Strategy } from "../../kube/index.ts";
import type { Conversion, WriteContext } from "./admission.ts";

/** A write of a built-in kind by the API server itself. */
export function ownContext(resource: Resource, namespace: string): WriteContext {
  return {
    user: { name: "system:apiserver", groups: ["system:masters"] },
    resource,
    strategy: strategyFor(resource),
    namespace,
    subresource: "",
    dryRun: false,
    warn: () => {},
  };
}

/** A write of any kind that is served, by the API server itself. */
export function ownContextFor(
  served: {
    readonly resource: Resource;
    readonly stored: Resource;
    readonly strategy: Strategy;
    readonly conversion?: Conversion;
  },
  namespace: string,
): WriteContext {
  const { resource, stored, strategy, conversion } = served;
  return {
    user: { name: "system:apiserver", groups: ["system:masters"] },
    resource: conversion ? resource : stored,
    strategy,
    namespace,
    subresource: "",
    dryRun: false,
    ...(conversion ? { conversion } : {}),
    warn: () => {},
  };
}
