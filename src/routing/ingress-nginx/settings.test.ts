import { expect, test } from "vitest";
import type { Ingress } from "../../kube/index.ts";
import { prefix } from "./annotations.ts";
import { readSettings } from "./settings.ts";

function settingsOf(annotations: Readonly<Record<string, string>>, options: Readonly<Record<string, string>> = {}) {
  const ingress: Ingress = {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: {
      name: "web",
      namespace: "shop",
      annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [prefix + name, value])),
    },
    spec: {},
  };
  return readSettings(ingress, options);
}

test.each([
  ["5", 100],
  ["100", 100],
  ["1000", 1000],
])("a canary-weight-total of %s counts as %i", (said, total) => {
  expect(settingsOf({ canary: "true", "canary-weight-total": said }).canary?.total).toBe(total);
});

test.each([
  ["http://copy.shop.svc", true],
  ["http://copy.shop.svc:8080/", true],
  ["http://copy.shop.svc$request_uri", true],
  ["http://copy.shop.svc/$request_uri", true],
  ["http://copy.shop.svc/prefix$request_uri", false],
  ["http://copy.shop.svc/?all=1", false],
])("mirror-target %s is served as it stands, or told: %s", (target, served) => {
  const { mirror, problems } = settingsOf({ "mirror-target": target });
  expect([mirror !== undefined, problems.length]).toEqual([served, served ? 0 : 1]);
});

test("an Ingress closes where block-cidrs cannot be read", () => {
  expect(settingsOf({}, { "block-cidrs": "192.0.2.0/24" }).closed).toBeUndefined();
  expect(settingsOf({}, { "block-cidrs": "everybody" }).closed).toBe("block-cidrs of the ConfigMap");
});

test("limits that nobody has said hold as in ingress-nginx, and are known as such", () => {
  const { bodyBytes, connect, unsaid } = settingsOf({});
  expect([bodyBytes, connect, unsaid]).toEqual([1 << 20, 5_000, ["BodyLimit", "ConnectTimeout"]]);
  expect(settingsOf({ "proxy-body-size": "1m" }, { "proxy-connect-timeout": "5" }).unsaid).toEqual([]);
});
