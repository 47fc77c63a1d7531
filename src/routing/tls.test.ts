import { describe, expect, test } from "vitest";
import type { Secret } from "../kube/index.ts";
import { translateIngresses, type Translation } from "./ingress.ts";
import { certificateFor } from "./match.ts";
import { controllerName, ingressClass, ingress, to, type PathRule, rule, translate, reached } from "./testing.ts";

describe("TLS", () => {
  const secret = (name: string, key = "key", more: object = {}): Secret => ({
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { name, namespace: "ns", uid: name, resourceVersion: "1" },
    data: {
      "tls.crt": Buffer.from("cert").toString("base64"),
      "tls.key": Buffer.from(key).toString("base64"),
      ...more,
    },
  });
  const rules = [rule("foo.com", ["Prefix", "/", "a"] as PathRule)];

  function secretFor(translation: Translation, serverName: string): string | undefined {
    const listener = translation.model.listeners.find((each) => each.protocol === "HTTPS");
    return listener && certificateFor(listener, serverName)?.secret.name;
  }

  test("by server name: exact, then wildcard of one label, then any", () => {
    const translation = translate(
      [
        ingress("i", {
          rules,
          tls: [
            { hosts: ["foo.com"], secretName: "one" },
            { hosts: ["*.foo.com"], secretName: "two" },
          ],
        }),
        ingress("j", { defaultBackend: to("a"), tls: [{ secretName: "three" }] }),
      ],
      { secrets: [secret("one"), secret("two"), secret("three")] },
    );
    expect(translation.problems).toEqual([]);
    expect(secretFor(translation, "foo.com")).toBe("one");
    expect(secretFor(translation, "FOO.com")).toBe("one");
    expect(secretFor(translation, "x.foo.com")).toBe("two");
    expect(secretFor(translation, "x.y.foo.com")).toBe("three");
    expect(secretFor(translation, "")).toBe("three");
  });

  test("without hosts it covers the hosts of the rules", () => {
    const translation = translate([ingress("i", { rules, tls: [{ secretName: "one" }] })], {
      secrets: [secret("one")],
    });
    expect(secretFor(translation, "foo.com")).toBe("one");
    expect(secretFor(translation, "bar.com")).toBeUndefined();
  });

  test.each([
    ["missing", [], "SecretNotFound"],
    ["a bad key", [secret("one", "bad")], "InvalidCertificate"],
    ["no tls.key", [secret("one", "key", { "tls.key": "" })], "InvalidCertificate"],
    ["no tls.crt", [secret("one", "key", { "tls.crt": "" })], "InvalidCertificate"],
  ])("%s: a problem, and the host is still routed", (_what, secrets, reason) => {
    const translation = translate([ingress("i", { rules, tls: [{ hosts: ["foo.com"], secretName: "one" }] })], {
      secrets,
    });
    expect(translation.problems).toMatchObject([{ reason, field: "spec.tls[0].secretName" }]);
    expect(JSON.stringify(translation.problems)).not.toContain(Buffer.from("bad").toString("base64"));
    expect(secretFor(translation, "foo.com")).toBeUndefined();
    expect(reached(translation, "foo.com", "/")).toBe("a");
  });

  test("of two Secrets for one host the older Ingress's is served, and the other is told", () => {
    const tls = (name: string) => ({ rules, tls: [{ hosts: ["foo.com"], secretName: name }] });
    const translation = translate(
      [ingress("young", tls("one"), { created: "2031-01-01T00:00:00Z" }), ingress("old", tls("two"))],
      { secrets: [secret("one"), secret("two")] },
    );
    expect(secretFor(translation, "foo.com")).toBe("two");
    expect(translation.problems).toMatchObject([
      { reason: "Conflict", object: { name: "young" }, field: "spec.tls[0].hosts[0]" },
    ]);
  });

  test("a changed Secret is a new version; an unused one is never looked at", () => {
    const asked: string[] = [];
    const base = {
      classes: [ingressClass("ours")],
      slices: () => [],
      service: () => undefined,
      controllerName,
      ports: { http: 80, https: 443 },
    };
    const version = (resourceVersion: string) => {
      const changed = secret("one");
      changed.metadata.resourceVersion = resourceVersion;
      const translation = translateIngresses({
        ...base,
        ingresses: [ingress("i", { rules, tls: [{ hosts: ["foo.com"], secretName: "one" }] })],
        secret: (name) => {
          asked.push(name);
          return changed;
        },
        inspect: () => undefined,
      });
      const secure = translation.model.listeners[1];
      return secure && certificateFor(secure, "foo.com")?.version;
    };
    expect(version("1")).not.toBe(version("2"));
    expect(new Set(asked)).toEqual(new Set(["ns/one"]));
  });
});
