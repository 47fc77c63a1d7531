import {
  apiVersionOf,
  isStatus,
  StatusError,
  resources,
  type KubeObject,
  type LabelSelector,
  type Resource,
} from "../kube/index.ts";
import type { Condition, CustomResourceDefinition } from "../kube/index.ts";
import type { Client } from "../client/index.ts";
import type { Clock } from "../system/index.ts";
import { advertisementSchema, bgpDefinitions, type BgpAdvertisement } from "./bgp/definitions.ts";
import { column, conditions, definitionOf, labelSelector, list, oneOf, record, text, whole } from "./schema.ts";

/** How addresses of a pool become known to the network. None: the nodes answer for them, and something else leads packets there. */
export type Announcement = "None" | "VRRP" | "BGP";

/** What becomes of an address whose Service is gone: others get it last, never, or like any other. */
export type Reservation = "Preferred" | "Strict" | "None";

/** A pool of addresses for Services. Cluster-scoped. */
export interface AddressPool extends KubeObject {
  readonly spec?: AddressPoolSpec;
  readonly status?: AddressPoolStatus;
}

export interface AddressPoolSpec {
  /** Blocks, ranges FIRST-LAST and single addresses, of either family. */
  readonly addresses?: readonly string[];
  /** False: only for Services that ask for the pool or for an address of it. Default true. */
  readonly autoAssign?: boolean;
  /** Pools with a lower number come first; 0, the default, comes last. */
  readonly priority?: number;
  /** Names of the only namespaces it serves. */
  readonly namespaces?: readonly string[];
  /** Labels of the only namespaces it serves; a namespace has to meet one of them. */
  readonly namespaceSelectors?: readonly LabelSelector[];
  /** Labels of the only Services it serves; a Service has to meet one of them. */
  readonly serviceSelectors?: readonly LabelSelector[];
  /** Leaves out addresses whose last byte is 0 or 255. */
  readonly avoidBuggyIPs?: boolean;
  /** Default Preferred. */
  readonly reservation?: Reservation;
  readonly announce?: AnnounceSpec;
}

/** How the addresses of a pool are announced, and from which nodes. */
export interface AnnounceSpec {
  readonly protocol?: Announcement;
  /** Nodes that may hold the addresses. Absent: all. */
  readonly nodeSelector?: LabelSelector;
  /** Interface on those nodes. Absent: the one that the node's own address is on. */
  readonly interface?: string;
  /** What a client meets at a Service without endpoints: a refusal, or no address at all. Default Refuse. */
  readonly withoutEndpoints?: "Refuse" | "Withdraw";
  /** VRRP: milliseconds between two adverts, 10 to 40950. Default 100. */
  readonly advertisementIntervalMs?: number;
  /** BGP: what routers are told. Absent: each address by itself, to all peers. */
  readonly advertisements?: readonly BgpAdvertisement[];
  /** BGP, policy Local: nodes without an endpoint announce the address as well, with a lower preference. Default false. */
  readonly localFallback?: boolean;
}

export interface AddressPoolStatus {
  readonly assigned?: number;
  readonly reserved?: number;
  /** How many are left; a decimal, as IPv6 pools are large. */
  readonly free?: string;
  readonly conditions?: readonly Condition[];
}

/** Who has an address. */
export interface ClaimOwner {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** `443/TCP`. */
  readonly ports: readonly string[];
  /** Who may have the address beside it: see `sharingOf`. Absent: nobody. */
  readonly sharing?: string;
}

/** One address that is taken: its name is the address, so the API itself refuses to give one twice. Cluster-scoped. */
export interface AddressClaim extends KubeObject {
  readonly spec: AddressClaimSpec;
  readonly status?: AddressClaimStatus;
}

export interface AddressClaimSpec {
  readonly address: string;
  readonly pool?: string;
  /** 1 to 255: addresses of one group move together, and the group is their VRRP router id (RFC 9568). */
  readonly group?: number;
  readonly owners?: readonly ClaimOwner[];
  /** Who had it last, when nobody has it now. */
  readonly reservedFor?: { readonly kind: string; readonly namespace: string; readonly name: string };
  /** RFC 3339. */
  readonly releasedAt?: string;
}

/** Condition of an AddressClaim: whether a node holds it. */
export const announcedCondition = "Announced";

/** Condition of an AddressClaim: whether another machine than the holder answers for the address. */
export const conflictCondition = "AddressConflict";

/** Written by the nodes that announce it. */
export interface AddressClaimStatus {
  /** Node that holds it now, where one does. */
  readonly holder?: string;
  /** RFC 3339. */
  readonly holderSince?: string;
  readonly transitions?: number;
  readonly conditions?: readonly Condition[];
}

const group = "fairlead.dev";
const version = "v1alpha1";
const common = { group, version, namespaced: false, subresources: ["status"] };

export const addressPools: Resource<AddressPool> = {
  ...common,
  kind: "AddressPool",
  plural: "addresspools",
  singular: "addresspool",
  shortNames: ["apool"],
  categories: [],
};

export const addressClaims: Resource<AddressClaim> = {
  ...common,
  kind: "AddressClaim",
  plural: "addressclaims",
  singular: "addressclaim",
  shortNames: ["aclaim"],
  categories: [],
};

const announce = record({
  protocol: oneOf("None", "VRRP", "BGP"),
  nodeSelector: labelSelector,
  interface: { ...text(15), pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]*$" },
  withoutEndpoints: oneOf("Refuse", "Withdraw"),
  advertisementIntervalMs: whole(10, 40_950),
  advertisements: list(advertisementSchema, 16),
  localFallback: { type: "boolean" },
});

const pool = record(
  {
    spec: record(
      {
        addresses: { ...list(text(91), 256), minItems: 1 },
        autoAssign: { type: "boolean" },
        priority: whole(0, 2_147_483_647),
        namespaces: list(text(63), 256),
        namespaceSelectors: list(labelSelector, 32),
        serviceSelectors: list(labelSelector, 32),
        avoidBuggyIPs: { type: "boolean" },
        reservation: oneOf("Preferred", "Strict", "None"),
        announce,
      },
      ["addresses"],
    ),
    status: record({ assigned: { type: "integer" }, reserved: { type: "integer" }, free: text(40), conditions }),
  },
  ["spec"],
);

const who = { kind: text(63), namespace: text(63), name: text() };

const claim = record(
  {
    spec: record(
      {
        address: text(45),
        pool: text(),
        group: whole(1, 255),
        owners: list(
          record({ ...who, uid: text(), ports: list(text(16), 1000), sharing: text(4096) }, ["kind", "name"]),
          1000,
        ),
        reservedFor: record(who),
        releasedAt: { type: "string", format: "date-time" },
      },
      ["address"],
    ),
    status: record({
      holder: text(),
      holderSince: { type: "string", format: "date-time" },
      transitions: { type: "integer" },
      conditions,
    }),
  },
  ["spec"],
);

/** The custom resource definitions that the load balancer needs. */
export function definitions(): Partial<CustomResourceDefinition>[] {
  return [
    definitionOf(addressPools, pool, [
      column("Addresses", ".spec.addresses"),
      column("Auto", ".spec.autoAssign", "boolean"),
      column("Announced", ".spec.announce.protocol"),
      column("Assigned", ".status.assigned", "integer"),
      column("Reserved", ".status.reserved", "integer"),
      column("Free", ".status.free"),
      column("Valid", '.status.conditions[?(@.type=="Valid")].status'),
    ]),
    definitionOf(addressClaims, claim, [
      column("Address", ".spec.address"),
      column("Pool", ".spec.pool"),
      column("Namespace", ".spec.owners[*].namespace"),
      column("Owner", ".spec.owners[*].name"),
      column("Reserved for", ".spec.reservedFor.name"),
      column("Holder", ".status.holder"),
      column("Age", ".metadata.creationTimestamp", "date"),
    ]),
    ...bgpDefinitions(),
  ];
}

export interface EnsureOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Go on when the API does not answer. Default false. */
  readonly retry?: boolean;
  /** Kinds that have to be served before this settles. Default: AddressPool and AddressClaim. */
  readonly kinds?: readonly Resource[];
}

/**
 * Makes sure that the definitions are there and served. One that is there is brought up to date; where that is not permitted it is used as
 * it is. Settles when `kinds` can be listed; rejects with the API's refusal when they can never be, and when the API does not answer, unless
 * it is to `retry` that.
 */
export async function ensureDefinitions(
  client: Client,
  { clock, signal, retry = false, kinds = [addressPools, addressClaims] }: EnsureOptions,
): Promise<void> {
  for (;;) {
    try {
      return await ensureOnce(client, { clock, signal, kinds });
    } catch (error) {
      if (!retry || error instanceof StatusError) throw error;
      await clock.sleep(1_000, signal);
    }
  }
}

async function ensureOnce(
  client: Client,
  { clock, signal, kinds }: Required<Omit<EnsureOptions, "retry">>,
): Promise<void> {
  for (const definition of definitions()) {
    try {
      const name = { name: definition.metadata?.name ?? "" };
      const found = await client.get(resources.CustomResourceDefinition, name).catch((error: unknown) => {
        if (isStatus(error, "NotFound")) return undefined;
        throw error;
      });
      if (!found) await client.create(resources.CustomResourceDefinition, definition as CustomResourceDefinition);
      else if (!isSame(found, definition)) {
        const spec = definition.spec ?? found.spec;
        await client.update(resources.CustomResourceDefinition, { ...found, spec });
      }
    } catch (error) {
      if (!isStatus(error, "Forbidden", "AlreadyExists", "Conflict")) throw error;
    }
  }
  for (const resource of kinds) {
    for (;;) {
      signal.throwIfAborted();
      try {
        await client.list<KubeObject>(resource, { limit: 1 });
        break;
      } catch (error) {
        if (!isStatus(error, "NotFound", "ServiceUnavailable")) throw error;
        await clock.sleep(50, signal);
      }
    }
  }
}

/** Whether the definition that is there has our schema; what the server has defaulted does not count. */
function isSame(found: CustomResourceDefinition, wanted: Partial<CustomResourceDefinition>): boolean {
  const of = (one: Partial<CustomResourceDefinition>) =>
    one.spec?.versions.map(({ name, schema, additionalPrinterColumns }) => [name, schema, additionalPrinterColumns]);
  return JSON.stringify(sorted(of(found))) === JSON.stringify(sorted(of(wanted)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}

/** `fairlead.dev/v1alpha1`. */
export const apiVersion: string = apiVersionOf(addressPools);
