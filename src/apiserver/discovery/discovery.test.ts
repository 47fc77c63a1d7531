import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createReader } from "../protobuf/reader.ts";
import { startTestApi, type TestApi } from "../test-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

const aggregated = {
  headers: { accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json" },
};

describe("discovery", () => {
  it("names groups and versions", async () => {
    expect((await api.call("GET", "/api")).body).toMatchObject({ kind: "APIVersions", versions: ["v1"] });
    const { body } = await api.call("GET", "/apis");
    expect(body.groups).toContainEqual({
      name: "apps",
      versions: [{ groupVersion: "apps/v1", version: "v1" }],
      preferredVersion: { groupVersion: "apps/v1", version: "v1" },
    });
    expect((await api.call("GET", "/apis/apps")).body).toMatchObject({ kind: "APIGroup", name: "apps" });
    expect((await api.call("GET", "/apis/nothing")).status).toBe(404);
  });

  it("names resources and their parts", async () => {
    const { body } = await api.call("GET", "/apis/apps/v1");
    expect(body).toMatchObject({ kind: "APIResourceList", groupVersion: "apps/v1" });
    expect(body.resources).toContainEqual({
      name: "deployments",
      singularName: "deployment",
      namespaced: true,
      kind: "Deployment",
      verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
      shortNames: ["deploy"],
      categories: ["all"],
      storageVersionHash: "8aSe+NMegvE=",
    });
    expect(body.resources).toContainEqual({
      name: "deployments/scale",
      singularName: "",
      namespaced: true,
      group: "autoscaling",
      version: "v1",
      kind: "Scale",
      verbs: ["get", "patch", "update"],
    });
  });

  it("says the same in one document", async () => {
    const { body, headers } = await api.call("GET", "/apis", undefined, aggregated);
    expect(headers["content-type"]).toBe("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    const classic: string[] = [];
    for (const { metadata, versions } of body.items) {
      for (const { version, resources } of versions) {
        const list = await api.call("GET", `/apis/${metadata.name}/${version}`);
        classic.push(...list.body.resources.map(({ name }: { name: string }) => name).sort());
        const shown = resources.flatMap(
          ({ resource, subresources = [] }: { resource: string; subresources?: { subresource: string }[] }) => [
            resource,
            ...subresources.map(({ subresource }) => `${resource}/${subresource}`),
          ],
        );
        expect(shown.sort()).toEqual(list.body.resources.map(({ name }: { name: string }) => name).sort());
      }
    }
    expect(classic).toContain("ingresses");
  });

  it("is not sent again to who has it", async () => {
    const first = await api.call("GET", "/api", undefined, aggregated);
    const again = await api.call("GET", "/api", undefined, {
      headers: { ...aggregated.headers, "if-none-match": first.headers["etag"] ?? "" },
    });
    expect(again.status).toBe(304);
    expect(again.text).toBe("");
  });

  it("serves every verb that it names", async () => {
    const { body } = await api.call("GET", "/api/v1");
    for (const { name, namespaced, verbs } of body.resources as {
      name: string;
      namespaced: boolean;
      verbs: string[];
    }[]) {
      if (name.includes("/") || !verbs.includes("list")) continue;
      expect((await api.call("GET", `/api/v1/${name}`)).status).toBe(200);
      if (namespaced) expect((await api.call("GET", `/api/v1/namespaces/default/${name}`)).status).toBe(200);
    }
  });
});

describe("OpenAPI v3", () => {
  it("points to a document of each group and version", async () => {
    const { body } = await api.call("GET", "/openapi/v3");
    expect(Object.keys(body.paths)).toContain("apis/networking.k8s.io/v1");
    for (const { serverRelativeURL } of Object.values<{ serverRelativeURL: string }>(body.paths)) {
      const document = await api.call("GET", serverRelativeURL);
      expect(document.status).toBe(200);
      expect(document.body.openapi).toBe("3.0.0");
      // Every reference leads somewhere.
      for (const [, name = ""] of document.text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
        expect(document.body.components.schemas).toHaveProperty([name]);
    }
  });

  it("has what kubectl looks for", async () => {
    const { body } = await api.call("GET", "/openapi/v3/apis/apps/v1");
    const { patch, get } = body.paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    expect(patch.parameters.map(({ name }: { name: string }) => name)).toContain("fieldValidation");
    expect(get["x-kubernetes-group-version-kind"]).toEqual({ group: "apps", version: "v1", kind: "Deployment" });
    const schemas = body.components.schemas;
    expect(schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]).toEqual([
      { group: "apps", version: "v1", kind: "Deployment" },
    ]);
    expect(schemas["io.k8s.api.core.v1.PodSpec"].properties.containers).toMatchObject({
      type: "array",
      "x-kubernetes-patch-merge-key": "name",
      "x-kubernetes-patch-strategy": "merge",
      items: { $ref: "#/components/schemas/io.k8s.api.core.v1.Container" },
    });
  });
});

describe("OpenAPI v2", () => {
  it("holds the types, as JSON", async () => {
    const { body } = await api.call("GET", "/openapi/v2");
    expect(body).toMatchObject({ swagger: "2.0", info: { title: "Kubernetes" } });
    expect(body.definitions["io.k8s.api.core.v1.Service"].properties).toHaveProperty("spec");
  });

  it("holds them as protobuf, as client-go asks for it", async () => {
    const { headers, bytes } = await api.call("GET", "/openapi/v2", undefined, {
      headers: { accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf" },
    });
    expect(headers["content-type"]).toContain("protobuf");
    const document = fields(bytes);
    expect(document.get(1)?.[0]?.toString()).toBe("2.0");
    const schemas = new Map(
      (fields(document.get(9)?.[0]).get(1) ?? []).map((named) => {
        const [name, value] = [1, 2].map((field) => fields(named).get(field)?.[0]);
        return [String(name), fields(value)];
      }),
    );
    const port = schemas.get("io.k8s.api.core.v1.ServicePort");
    expect(port?.get(19)?.map(String)).toEqual(["port"]);
    const extensions = schemas.get("io.k8s.api.core.v1.Service")?.get(31)?.map(String).join() ?? "";
    expect(extensions).toContain('[{"group":"","kind":"Service","version":"v1"}]');
  });

  it.each([
    ["/openapi/v2", undefined],
    ["/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"],
    ["/openapi/v3", undefined],
    ["/openapi/v3/apis/apps/v1", undefined],
  ])("%s for %s is not sent again to a client that has it", async (path, accept) => {
    const headers = accept ? { accept } : {};
    const first = await api.call("GET", path, undefined, { headers });
    const tag = first.headers["etag"] ?? "";
    expect([first.status, tag, first.headers["vary"]]).toEqual([
      200,
      expect.stringMatching(/^"[0-9A-F]{64}"$/),
      "Accept",
    ]);
    for (const known of [tag, `"other", W/${tag}`, "*"]) {
      const again = await api.call("GET", path, undefined, { headers: { ...headers, "if-none-match": known } });
      expect([again.status, again.bytes.length, again.headers["etag"]]).toEqual([304, 0, tag]);
    }
    const other = await api.call("GET", path, undefined, { headers: { ...headers, "if-none-match": '"other"' } });
    expect(other.status).toBe(200);
  });

  /** The fields of a protobuf message that hold bytes. */
  function fields(bytes: Uint8Array = new Uint8Array()): Map<number, Buffer[]> {
    const reader = createReader(bytes);
    const found = new Map<number, Buffer[]>();
    for (let tag = reader.tag(); tag; tag = reader.tag()) {
      expect(tag.wire).toBe(2);
      found.set(tag.field, [...(found.get(tag.field) ?? []), Buffer.from(reader.bytes())]);
    }
    return found;
  }
});

describe("health and version", () => {
  it("says that all is well, and in detail", async () => {
    await vi.waitFor(async () => expect((await api.call("GET", "/readyz")).text).toBe("ok"));
    const hooks = [
      // Kubernetes' end-to-end tests look for these.
      "generic-apiserver-start-informers",
      "start-kube-apiserver-admission-initializer",
      "start-apiextensions-informers",
      "start-apiextensions-controllers",
      "crd-informer-synced",
      "bootstrap-controller",
      "rbac/bootstrap-roles",
      "scheduling/bootstrap-system-priority-classes",
      "start-system-namespaces-controller",
      "start-service-ip-repair-controllers",
      "start-cluster-authentication-info-controller",
      "start-kube-aggregator-informers",
      "apiservice-registration-controller",
      "apiservice-status-available-controller",
      "apiservice-openapi-controller",
      "kube-apiserver-autoregistration",
    ].map((name) => `[+]poststarthook/${name} ok\n`);
    const common = `[+]ping ok\n[+]log ok\n[+]etcd ok\n${hooks.join("")}[+]autoregister-completion ok\n`;
    expect((await api.call("GET", "/livez?verbose")).text).toBe(`${common}livez check passed\n`);
    expect((await api.call("GET", "/readyz?verbose")).text).toBe(
      `${common}[+]informer-sync ok\n[+]etcd-readiness ok\n[+]shutdown ok\nreadyz check passed\n`,
    );
    expect((await api.call("GET", "/healthz?verbose&exclude=etcd&exclude=b&exclude=a")).text).toBe(
      `${common.replace("etcd ok", "etcd excluded: ok")}warn: some health checks cannot be excluded: no matches for "a","b"\nhealthz check passed\n`,
    );
    expect((await api.call("GET", "/readyz/poststarthook/rbac/bootstrap-roles")).text).toBe("ok");
    expect((await api.call("GET", "/livez/shutdown")).status).toBe(404);
  });

  it("stops being ready before it ends, and keeps to itself why", async () => {
    const ending = await startTestApi();
    await vi.waitFor(async () => expect((await ending.call("GET", "/readyz")).text).toBe("ok"));
    ending.server.leave();
    const readyz = await ending.call("GET", "/readyz");
    expect(readyz.status).toBe(500);
    expect(readyz.text).toContain("[-]shutdown failed: reason withheld\nreadyz check failed\n");
    expect((await ending.call("GET", "/readyz/shutdown")).text).toBe(
      "internal server error: process is shutting down\n",
    );
    expect((await ending.call("GET", "/livez")).text).toBe("ok");
    await ending.stop();
  });

  it("says which Kubernetes this is", async () => {
    expect((await api.call("GET", "/version")).body).toMatchObject({
      major: "1",
      minor: "35",
      gitVersion: expect.stringMatching(/^v1\.35\.\d+\+fairlead/),
    });
  });
});
