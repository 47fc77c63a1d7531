import { formatTime, isStatus, keyOf, parseIp, resources, type ObjectMeta } from "../kube/index.ts";
import type { Client, Informer } from "../client/index.ts";
import { createClaimBook, type ClaimBook } from "./claim-book.ts";
import { addressClaims, type AddressClaim, type AddressClaimSpec } from "./definitions.ts";

/**
 * The durable record of who holds which address: an AddressClaim an address, named after it. It is written before an address appears in a
 * status; that two writers cannot give an address twice is the API's doing, as a name exists once and a version is replaced once.
 */
export interface ClaimRecord {
  /** What is recorded; complete once `load` has settled. */
  readonly book: ClaimBook;
  /** Reads what is recorded, and takes over what earlier versions recorded in the ConfigMap `kube-system/fairlead-addresses`. */
  load(): Promise<void>;
  /** Records a claim. Throws StatusError; what the record then has is read again by the next call. */
  write(claim: AddressClaimSpec): Promise<void>;
  erase(address: string): Promise<void>;
  /** Called for what others change. */
  onForeignChange(listener: (address: string, before: AddressClaimSpec | undefined) => void): void;
}

export function createClaimRecord(client: Client, informer: () => Informer<AddressClaim>): ClaimRecord {
  const book = createClaimBook();
  const objects = new Map<string, AddressClaim>();
  /** Erased by us; the watch may still tell of their lives. */
  const erased = new Set<string>();
  /** Addresses of which it is not known how the last write ended. */
  const unsure = new Set<string>();
  const listeners: ((address: string, before: AddressClaimSpec | undefined) => void)[] = [];

  const keep = (object: AddressClaim): void => {
    objects.set(object.spec.address, object);
    book.set(object.spec);
  };
  const drop = (address: string): void => {
    objects.delete(address);
    book.delete(address);
  };

  async function settle(): Promise<void> {
    for (const address of unsure) {
      const found = await read(address);
      if (found) keep(found);
      else drop(address);
      unsure.delete(address);
    }
  }

  async function read(address: string): Promise<AddressClaim | undefined> {
    try {
      return await client.get(addressClaims, { name: claimName(address) });
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  }

  /** Does a write; whether one that failed has been done after all, only the API can tell. */
  async function attempt<T>(address: string, work: () => Promise<T>): Promise<T> {
    await settle();
    unsure.add(address);
    const result = await work();
    unsure.delete(address);
    return result;
  }

  function follow(): void {
    informer().onChange(({ before, after }) => {
      const object = after ?? before;
      if (!object) return;
      const { address } = object.spec;
      const known = objects.get(address);
      if (claimName(address) !== object.metadata.name) return;
      if (!after) {
        erased.delete(object.metadata.uid ?? "");
        if (known?.metadata.uid !== object.metadata.uid) return;
        const old = known?.spec;
        drop(address);
        for (const listener of listeners) listener(address, old);
      } else if (!erased.has(after.metadata.uid ?? "") && isNewer(after, known)) {
        const old = known?.spec;
        keep(after);
        if (JSON.stringify(old) !== JSON.stringify(after.spec))
          for (const listener of listeners) listener(address, old);
      }
    });
  }

  async function takeOver(): Promise<void> {
    const where = { namespace: "kube-system", name: "fairlead-addresses" };
    const old = await client.get(resources.ConfigMap, where).catch((error: unknown) => {
      if (isStatus(error, "NotFound", "Forbidden")) return undefined;
      throw error;
    });
    if (!old) return;
    for (const [key, value] of Object.entries(old.data ?? {})) {
      const address = key.replaceAll("_", ":");
      const [service = "", uid = ""] = value.trim().split(/\s+/);
      const [namespace = "", name = ""] = service.split("/");
      if (!parseIp(address) || !name || book.has(address)) continue;
      await record.write({ address, owners: [{ kind: "Service", namespace, name, uid, ports: [] }] });
    }
    await client.delete(resources.ConfigMap, where);
  }

  const record: ClaimRecord = {
    book,
    async load() {
      const mirror = informer();
      await mirror.synced;
      for (const object of mirror.list()) {
        if (
          claimName(object.spec.address) === object.metadata.name &&
          isNewer(object, objects.get(object.spec.address))
        )
          keep(object);
      }
      follow();
      await takeOver();
    },
    async write(spec) {
      const { address } = spec;
      await attempt(address, async () => {
        const known = objects.get(address);
        const metadata: ObjectMeta = { name: claimName(address) };
        keep(
          known
            ? await client.update(addressClaims, { ...known, spec })
            : await client.create(addressClaims, { metadata, spec }),
        );
      });
    },
    async erase(address) {
      await attempt(address, async () => {
        const known = objects.get(address);
        if (!known) return;
        const { uid = "", resourceVersion = "" } = known.metadata;
        try {
          await client.delete(addressClaims, { name: claimName(address) }, { preconditions: { uid, resourceVersion } });
        } catch (error) {
          if (!isStatus(error, "NotFound")) throw error;
        }
        erased.add(uid);
        drop(address);
      });
    },
    onForeignChange: (listener) => void listeners.push(listener),
  };
  return record;
}

function isNewer(object: AddressClaim, known: AddressClaim | undefined): boolean {
  if (!known || known.metadata.uid !== object.metadata.uid) return true;
  const [a, b] = [object.metadata.resourceVersion, known.metadata.resourceVersion].map((one) => BigInt(one || "0"));
  return (a ?? 0n) >= (b ?? 0n);
}

/** The name of an address's claim: the address, or for IPv6 all its digits, as a name may have no colon. */
export function claimName(address: string): string {
  const ip = parseIp(address);
  if (!ip || ip.family === "IPv4") return address;
  return (ip.value.toString(16).padStart(32, "0").match(/.{4}/g) ?? []).join("-");
}

/** The claim without one of its holders; undefined when nothing is left of it. */
export function withoutOwner(
  claim: AddressClaimSpec,
  { service, uid }: { service: string; uid: string },
  now: number,
): AddressClaimSpec {
  const isIt = (one: { namespace: string; name: string; uid: string }) =>
    keyOf({ metadata: one }) === service && one.uid === uid;
  const owners = claim.owners ?? [];
  const gone = owners.find(isIt);
  const { reservedFor: _reservedFor, releasedAt: _releasedAt, owners: _owners, ...rest } = claim;
  const left = owners.filter((one) => !isIt(one));
  if (left.length > 0) return { ...rest, owners: left };
  if (!gone) return claim;
  const { kind, namespace, name } = gone;
  return { ...rest, reservedFor: { kind, namespace, name }, releasedAt: formatTime(now) };
}
