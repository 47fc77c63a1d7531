import { afterAll, describe } from "vitest";
import { storeContract } from "../../src/store/contract/contract.ts";
import { openEtcdStore } from "../../src/store/etcd/etcd.ts";
import { noEtcd, startEtcd, type Etcd } from "../support/etcd.ts";

describe.skipIf(noEtcd)(`a real etcd${noEtcd ? ` (${noEtcd})` : ""}`, () => {
  let etcd: Etcd | undefined;
  afterAll(async () => etcd?.stop());

  storeContract(
    "etcd",
    async () => {
      await etcd?.stop();
      etcd = await startEtcd();
      return openEtcdStore({ endpoints: etcd.endpoints });
    },
    // etcd counts its own words of a request to the 1.5 MiB. Its requests run beside each other.
    { largest: 1.5 * 1024 * 1024 - 4096, ordered: false, steps: 200 },
  );
});
