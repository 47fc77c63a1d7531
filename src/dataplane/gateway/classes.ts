import type { Client, Informer } from "../../client/index.ts";
import { isStatus, jsonEqual, resources } from "../../kube/index.ts";
import {
  type GatewayClass,
  type GatewayCondition,
  gatewayResources as kinds,
  observed,
  timed,
} from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import type { Feature } from "../dataplane.ts";
import { gatewayControllerName } from "./controller-name.ts";
import { supportedFeatures } from "./supported-features.ts";

const className = "fairlead";
const bundle = "v1.6";
/** The definition whose version and channel stand for those of all. */
export const httpRouteDefinition = `${kinds.HTTPRoute.plural}.${kinds.HTTPRoute.group}`;

export interface GatewayClassOptions {
  readonly client: Client;
  readonly classes: Informer<GatewayClass>;
  readonly capabilities: () => ReadonlySet<Feature>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** Keeps the GatewayClasses: there is one of ours, and all of ours say what they can do. */
export interface GatewayClasses {
  /** "" makes the class `fairlead` when none is ours; a name keeps that class's status. */
  reconcile(name: string): Promise<void>;
}

export function createGatewayClasses(options: GatewayClassOptions): GatewayClasses {
  const { client, classes, capabilities, signal, clock } = options;
  return {
    async reconcile(name) {
      if (name === "") return ensureClass();
      const found = classes.get({ name });
      if (found?.spec.controllerName === gatewayControllerName) await writeStatus(found);
    },
  };

  async function ensureClass(): Promise<void> {
    if (classes.list().some(({ spec }) => spec.controllerName === gatewayControllerName)) return;
    await client
      .create(kinds.GatewayClass, {
        metadata: { name: className },
        spec: { controllerName: gatewayControllerName },
      })
      .catch((error: unknown) => {
        if (!isStatus(error, "AlreadyExists")) throw error;
      });
  }

  async function writeStatus(found: GatewayClass): Promise<void> {
    const { version, channel } = await installed();
    const { parametersRef } = found.spec;
    const condition = (type: string, good: boolean, reason: string, message: string): GatewayCondition => ({
      type,
      status: good ? "True" : "False",
      reason,
      message,
    });
    const accepted = parametersRef
      ? condition(
          "Accepted",
          false,
          "InvalidParameters",
          `no parameters of kind ${parametersRef.kind ?? ""} are known here`,
        )
      : condition("Accepted", true, "Accepted", "");
    const known = version.startsWith(`${bundle}.`);
    const supported = known
      ? condition("SupportedVersion", true, "SupportedVersion", "")
      : condition(
          "SupportedVersion",
          false,
          "UnsupportedVersion",
          `the definitions are of ${version}, tested is ${bundle}`,
        );
    const now = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
    const status = {
      ...found.status,
      conditions: timed(observed([accepted, supported], found.metadata.generation), found.status?.conditions, now),
      supportedFeatures: supportedFeatures(capabilities(), channel),
    };
    if (jsonEqual(status, found.status)) return;
    await client.updateStatus(kinds.GatewayClass, { ...found, status }, { signal }).catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
    });
  }

  /** Which definitions the cluster has. */
  async function installed(): Promise<{ version: string; channel: "standard" | "experimental" }> {
    const definition = await client.get(resources.CustomResourceDefinition, { name: httpRouteDefinition });
    const { annotations = {} } = definition.metadata;
    return {
      version: annotations["gateway.networking.k8s.io/bundle-version"] ?? "",
      channel: annotations["gateway.networking.k8s.io/channel"] === "experimental" ? "experimental" : "standard",
    };
  }
}
