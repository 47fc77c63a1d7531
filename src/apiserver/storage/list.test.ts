import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTestApi, type TestApi } from "../test-api.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
let api: TestApi;

beforeEach(async () => {
  api = await startTestApi();
  for (const name of ["a", "b", "c", "d", "e"])
    await api.call("POST", configMaps, { metadata: { name, labels: { odd: String("ace".includes(name)) } } });
});
afterEach(() => api.stop());

const names = (body: { items: { metadata: { name: string } }[] }): string =>
  body.items.map(({ metadata }) => metadata.name).join("");

describe("list", () => {
  it("shows the newest state and its version", async () => {
    const { body } = await api.call("GET", configMaps);
    expect(body).toMatchObject({
      kind: "ConfigMapList",
      apiVersion: "v1",
      metadata: { resourceVersion: String(await api.store.revision()) },
    });
    expect(names(body)).toBe("abcde");
  });

  it("goes on in chunks, all of one version", async () => {
    const first = await api.call("GET", `${configMaps}?limit=2`);
    expect(names(first.body)).toBe("ab");
    expect(first.body.metadata.remainingItemCount).toBe(3);
    await api.call("DELETE", `${configMaps}/d`);
    await api.call("POST", configMaps, { metadata: { name: "bb" } });
    const second = await api.call("GET", `${configMaps}?limit=2&continue=${first.body.metadata.continue}`);
    expect(names(second.body)).toBe("cd");
    expect(second.body.metadata).toMatchObject({
      resourceVersion: first.body.metadata.resourceVersion,
      remainingItemCount: 1,
    });
    const third = await api.call("GET", `${configMaps}?limit=2&continue=${second.body.metadata.continue}`);
    expect(names(third.body)).toBe("e");
    expect(third.body.metadata.continue).toBeUndefined();
  });

  it("goes on inconsistently when the version of the first chunk is forgotten", async () => {
    const first = await api.call("GET", `${configMaps}?limit=2`);
    await api.call("POST", configMaps, { metadata: { name: "f" } });
    await api.store.compact(await api.store.revision());
    const late = await api.call("GET", `${configMaps}?limit=2&continue=${first.body.metadata.continue}`);
    expect(late.body).toMatchObject({ code: 410, reason: "Expired" });
    const rest = await api.call("GET", `${configMaps}?continue=${late.body.metadata.continue}`);
    expect(names(rest.body)).toBe("cdef");
  });

  it("selects", async () => {
    const odd = await api.call("GET", `${configMaps}?labelSelector=odd%3Dtrue&limit=2`);
    expect(names(odd.body)).toBe("ac");
    // How many more are selected is not known without looking.
    expect(odd.body.metadata.remainingItemCount).toBeUndefined();
    const rest = await api.call(
      "GET",
      `${configMaps}?labelSelector=odd%3Dtrue&limit=2&continue=${odd.body.metadata.continue}`,
    );
    expect(names(rest.body)).toBe("e");
    expect(names((await api.call("GET", `${configMaps}?fieldSelector=metadata.name%3Db`)).body)).toBe("b");
    expect(names((await api.call("GET", `${configMaps}?fieldSelector=metadata.name!%3Db`)).body)).toBe("acde");
  });

  it("shows an old version exactly, while the store has it", async () => {
    const { body } = await api.call("GET", configMaps);
    const old = body.metadata.resourceVersion;
    await api.call("DELETE", `${configMaps}/a`);
    const exact = await api.call("GET", `${configMaps}?resourceVersion=${old}&resourceVersionMatch=Exact`);
    expect(names(exact.body)).toBe("abcde");
    expect(exact.body.metadata.resourceVersion).toBe(old);
    const atLeast = await api.call("GET", `${configMaps}?resourceVersion=${old}&resourceVersionMatch=NotOlderThan`);
    expect(names(atLeast.body)).toBe("bcde");
    await api.store.compact(await api.store.revision());
    const gone = await api.call("GET", `${configMaps}?resourceVersion=${old}&resourceVersionMatch=Exact`);
    expect(gone.body).toMatchObject({ code: 410, reason: "Expired" });
  });

  it("does not wait for ever for a version that is not there yet", async () => {
    const asked = api.call("GET", `${configMaps}?resourceVersion=999999`);
    await new Promise((resolve) => setImmediate(resolve));
    await api.clock.advance(3000);
    expect((await asked).body).toMatchObject({
      code: 504,
      reason: "Timeout",
      details: { causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }] },
    });
  });

  it.each([
    ["labelSelector=a%20b%20c", 400],
    ["fieldSelector=spec.nothing%3D1", 400],
    ["continue=nonsense", 400],
    ["limit=x", 400],
  ])("refuses %s", async (query, status) => {
    expect((await api.call("GET", `${configMaps}?${query}`)).status).toBe(status);
  });

  it("comes as a table or as metadata", async () => {
    const table = await api.call("GET", configMaps, undefined, {
      headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
    });
    expect(table.body).toMatchObject({ kind: "Table", apiVersion: "meta.k8s.io/v1" });
    expect(table.body.rows).toHaveLength(5);
    expect(table.body.rows[0]).toMatchObject({
      cells: expect.arrayContaining(["a"]),
      object: { kind: "PartialObjectMetadata", metadata: { name: "a" } },
    });
    const partial = await api.call("GET", configMaps, undefined, {
      headers: { accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io" },
    });
    expect(partial.body).toMatchObject({
      kind: "PartialObjectMetadataList",
      items: [{ kind: "PartialObjectMetadata", metadata: { name: "a" } }, {}, {}, {}, {}],
    });
  });

  it("is not acceptable as what nobody can make", async () => {
    const { body } = await api.call("GET", configMaps, undefined, { headers: { accept: "text/html" } });
    expect(body).toMatchObject({ code: 406, reason: "NotAcceptable" });
  });
});
