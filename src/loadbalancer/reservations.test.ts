import { expect, test } from "vitest";
import type { AddressClaim, AddressClaimSpec } from "./definitions.ts";
import { reservationsCsv, reservationsOf } from "./reservations.ts";

const claim = (spec: AddressClaimSpec, name: string = spec.address): AddressClaim => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "AddressClaim",
  metadata: { name, creationTimestamp: "2030-01-01T00:00:00Z" },
  spec,
});
const owner = (name: string, ...ports: string[]) => ({ kind: "Service", namespace: "shop", name, uid: "1", ports });

test("what a firewall has to know is a line an address and port, in the order of addresses", () => {
  const lines = reservationsOf([
    claim({ address: "10.97.0.10", pool: "a", owners: [owner("dns", "53/UDP")] }),
    claim({ address: "10.97.0.9", pool: "a", owners: [owner("web", "443/TCP", "80/TCP"), owner("mail", "25/TCP")] }),
    claim({ address: "10.97.0.11", pool: "a", reservedFor: { kind: "Service", namespace: "shop", name: "old" } }),
  ]);
  expect(reservationsCsv(lines)).toBe(
    [
      "address,port,protocol,state,pool,ownerKind,namespace,name,since",
      "10.97.0.9,25,TCP,assigned,a,Service,shop,mail,2030-01-01T00:00:00Z",
      "10.97.0.9,80,TCP,assigned,a,Service,shop,web,2030-01-01T00:00:00Z",
      "10.97.0.9,443,TCP,assigned,a,Service,shop,web,2030-01-01T00:00:00Z",
      "10.97.0.10,53,UDP,assigned,a,Service,shop,dns,2030-01-01T00:00:00Z",
      "10.97.0.11,,,reserved,a,Service,shop,old,2030-01-01T00:00:00Z",
      "",
    ].join("\r\n"),
  );
});

test("a value cannot become a formula or another column", () => {
  const lines = reservationsOf([claim({ address: "10.97.0.9", pool: '=1+1,"x"', owners: [owner("web", "80/TCP")] })]);
  expect(reservationsCsv(lines)).toContain(`assigned,"'=1+1,""x""",Service`);
});
