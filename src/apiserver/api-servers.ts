import type { Store } from "../store/index.ts";
import type { Advertised } from "./own-service.ts";
import { root } from "./storage/index.ts";

/** Which API servers there are on one store: each keeps a note of itself that ends when it is no longer renewed. */
export interface ApiServers {
  /** Renews the own note and tells who is there, this server included, in order. */
  renew(): Promise<readonly Advertised[]>;
  /** Takes the own note back: the others then lead nobody here any more. */
  leave(): Promise<void>;
}

const prefix = `${root}fairlead.dev/apiservers/`;
/** Seconds that a note lives: as kube-apiserver's. */
const life = 15;

/** Where the store is this process's alone, there is no other server and no note. */
export function createApiServers(store: Store, self: Advertised): ApiServers {
  const own = `${prefix}${self.address}/${self.port}`;
  const present = async (): Promise<readonly Advertised[]> => {
    const { items } = await store.list(prefix);
    const servers = items.flatMap(({ key }) => {
      const [address = "", port] = key.slice(prefix.length).split("/");
      return address && Number(port) > 0 ? [{ address, port: Number(port) }] : [];
    });
    return servers.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port));
  };
  if (!store.shared) return { renew: async () => [self], leave: async () => {} };
  return {
    async renew() {
      await store.write([], [{ type: "put", key: own, value: Buffer.from("{}"), lifetime: life }]);
      return present();
    },
    async leave() {
      await store.write([], [{ type: "delete", key: own }]);
    },
  };
}
