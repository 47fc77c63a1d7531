import type { Client } from "../../client/index.ts";
import {
  isStatus,
  keyOf,
  resources,
  semanticEqual,
  StatusError,
  type EndpointSlice,
  type KubeObject,
  type Resource,
  type Service,
} from "../../kube/index.ts";
import type { ServiceView } from "./service-view.ts";
import { frontEndLabel, wantedByAnnotation, type TwinDraft } from "./twin.ts";

/** A twin as it is to be, with the slices that are copied for it. */
export interface WantedTwin {
  readonly twin: TwinDraft;
  readonly slices: readonly EndpointSlice[];
}

export interface TwinKeeper {
  /** Makes twins as wanted, and removes all others of this keeper. Answers why a twin could not be made, by `namespace/name` of the twin. */
  keep(wanted: readonly WantedTwin[]): Promise<ReadonlyMap<string, string>>;
}

/**
 * Keeps the twins of one front end that are wanted by what begins with `scope`, a `TwinRequest.wantedBy`: others of the same front end, for
 * another ConfigMap or namespace, are another program's. What is as it is to be costs no call.
 */
export function createTwinKeeper(options: {
  readonly client: Client;
  readonly frontEnd: string;
  readonly scope: string;
  readonly view: ServiceView;
}): TwinKeeper {
  const { client, frontEnd, scope } = options;
  const { services, slices } = options.view;
  const isOurs = ({ metadata }: KubeObject) => metadata.labels?.[frontEndLabel] === frontEnd;
  const isMine = (object: KubeObject) =>
    isOurs(object) && object.metadata.annotations?.[wantedByAnnotation]?.startsWith(scope);

  async function put<T extends KubeObject>(
    resource: Resource<T>,
    found: T | undefined,
    draft: { readonly metadata: TwinDraft["metadata"] },
    isSame: (found: T) => boolean,
  ): Promise<void> {
    if (found && !isOurs(found))
      throw new Error(`${resource.kind} ${keyOf(found)} exists already and is someone else's`);
    if (found && isSame(found)) return;
    await client.apply(resource, draft as never);
  }

  return {
    async keep(wanted) {
      const faults = new Map<string, string>();
      const kept = new Set<string>();
      const keptSlices = new Set<string>();
      for (const { twin, slices: copies } of wanted) {
        const key = keyOf(twin);
        kept.add(key);
        try {
          await put(resources.Service, services.get(twin.metadata), twin, (found) => says(found, twin));
          for (const copy of copies) {
            keptSlices.add(keyOf(copy));
            const before = slices.get({ namespace: copy.metadata.namespace ?? "", name: copy.metadata.name });
            await put(resources.EndpointSlice, before, copy as never, (found) => saysSlice(found, copy));
          }
        } catch (error) {
          // What the API refuses is told to the user; what it cannot be asked is tried again.
          if (!(error instanceof StatusError) && !(error as Error).message.endsWith("someone else's")) throw error;
          if (isStatus(error, "Conflict")) throw error;
          faults.set(key, (error as Error).message);
        }
      }
      const gone = async (resource: Resource, object: KubeObject) => {
        if (object.metadata.deletionTimestamp) return;
        const { namespace = "", name, uid } = object.metadata;
        await client.delete(resource, { namespace, name }, uid ? { preconditions: { uid } } : {}).catch((error) => {
          if (!isStatus(error, "NotFound", "Conflict")) throw error;
        });
      };
      for (const service of services.list())
        if (isMine(service) && !kept.has(keyOf(service))) await gone(resources.Service, service);
      for (const slice of slices.list())
        if (isMine(slice) && !keptSlices.has(keyOf(slice))) await gone(resources.EndpointSlice, slice);
      return faults;
    },
  };
}

/** Whether a Service says what its twin's draft does; what the API server has added does not count. */
function says({ spec, metadata }: Service, draft: TwinDraft): boolean {
  const wanted = draft.spec;
  const portOf = ({ name, port, protocol, targetPort, appProtocol }: NonNullable<Service["spec"]["ports"]>[number]) => [
    name,
    port,
    protocol,
    targetPort ?? port,
    appProtocol,
  ];
  const of = (one: Service["spec"]) => [
    (one.ports ?? []).map(portOf),
    one.selector ?? {},
    one.externalTrafficPolicy ?? "Cluster",
    one.sessionAffinity === "ClientIP" ? (one.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) : 0,
    one.loadBalancerSourceRanges ?? [],
    one.publishNotReadyAddresses ?? false,
  ];
  const annotated = Object.entries(draft.metadata.annotations ?? {}).every(
    ([name, value]) => metadata.annotations?.[name] === value,
  );
  return annotated && semanticEqual(of(spec), of(wanted));
}

function saysSlice(found: EndpointSlice, wanted: EndpointSlice): boolean {
  const of = ({ endpoints, ports, metadata }: EndpointSlice) => [
    endpoints,
    ports,
    metadata.labels,
    metadata.annotations?.[wantedByAnnotation],
  ];
  return semanticEqual(of(found), of(wanted));
}
