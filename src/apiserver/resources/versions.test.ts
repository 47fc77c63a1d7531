import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergePatch, startTestApi, type TestApi } from "../test-api.ts";

// The tables of "Kubernetes API Concepts", section "Resource versions", and what is refused beside them.

let api: TestApi;
/** Versions of the ConfigMap `a`: as it was made, and as it is; a version between them. */
let first: string;
let second: string;
/** The newest version of all. */
let newest: string;

const maps = "/api/v1/namespaces/default/configmaps";
const list = (query: string) => api.call("GET", `${maps}?labelSelector=own=yes&${query}`);
const labels = { own: "yes" };
const versionOf = (body: { metadata: { resourceVersion: string } }): string => body.metadata.resourceVersion;

beforeEach(async () => {
  api = await startTestApi();
  first = versionOf((await api.call("POST", maps, { metadata: { name: "a", labels } })).body);
  for (const name of ["b", "c"]) await api.call("POST", maps, { metadata: { name, labels } });
  second = versionOf((await api.call("PATCH", `${maps}/a`, { data: { now: "yes" } }, mergePatch)).body);
  newest = versionOf((await api.call("POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "s" } })).body);
});
afterEach(() => api.stop());

/** What a list shows: how many objects, whether `a` is as it is now, its version against those that are known. */
async function shown(query: string) {
  const { status, body } = await list(query);
  const now =
    body.items?.find((item: { metadata: { name: string } }) => item.metadata.name === "a")?.data?.now === "yes";
  return { status, items: body.items?.length, now, version: body.metadata.resourceVersion };
}

describe("list", () => {
  it.each([
    ["", { items: 3, now: true, version: "newest" }],
    ["resourceVersion=0", { items: 3, now: true, version: "newest" }],
    ["resourceVersion=FIRST", { items: 3, now: true, version: "newest" }],
    ["resourceVersion=0&resourceVersionMatch=NotOlderThan", { items: 3, now: true, version: "newest" }],
    ["resourceVersion=FIRST&resourceVersionMatch=NotOlderThan", { items: 3, now: true, version: "newest" }],
    ["resourceVersion=FIRST&resourceVersionMatch=Exact", { items: 1, now: false, version: "first" }],
    ["resourceVersion=SECOND&resourceVersionMatch=Exact", { items: 3, now: true, version: "second" }],
    ["limit=2", { items: 2, now: true, version: "newest" }],
    ["limit=2&resourceVersion=FIRST", { items: 1, now: false, version: "first" }],
    ["limit=2&resourceVersion=FIRST&resourceVersionMatch=Exact", { items: 1, now: false, version: "first" }],
    ["limit=2&resourceVersion=FIRST&resourceVersionMatch=NotOlderThan", { items: 2, now: true, version: "newest" }],
    ["limit=2&resourceVersion=0&resourceVersionMatch=NotOlderThan", { items: 2, now: true, version: "newest" }],
  ] as const)("%s", async (query, { items, now, version }) => {
    const known = { first, second, newest };
    expect(await shown(query.replace("FIRST", first).replace("SECOND", second))).toEqual({
      status: 200,
      items,
      now,
      version: known[version],
    });
  });

  it.each([
    ["resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"],
    ["resourceVersionMatch=NotOlderThan", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"],
    ["resourceVersion=0&resourceVersionMatch=Exact", 422, '"exact" is forbidden for resourceVersion "0"'],
    [
      "resourceVersion=1&resourceVersionMatch=Nearly",
      422,
      'Unsupported value: "Nearly": supported values: "Exact", "NotOlderThan", ""',
    ],
    ["continue=x&resourceVersion=1&resourceVersionMatch=Exact", 422, "is forbidden when continue is provided"],
    ["sendInitialEvents=false", 422, "sendInitialEvents is forbidden for list"],
    ["resourceVersion=x", 400, 'invalid resource version: resourceVersion: Invalid value: "x"'],
    ["continue=x", 400, "invalid continue token: continue key is not valid"],
    ["limit=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
  ])("refuses %s: %i", async (query, status, message) => {
    const { body } = await list(query);
    expect([body.code, body.message]).toEqual([status, expect.stringContaining(message)]);
    expect(body.reason).toBe(status === 422 ? "Invalid" : "BadRequest");
  });

  it("waits for a version that is to come, and says when it did not", async () => {
    const ahead = String(Number(newest) + 1);
    const asked = list(`resourceVersion=${ahead}`);
    await api.call("POST", maps, { metadata: { name: "d", labels } });
    expect((await asked).body).toMatchObject({ metadata: { resourceVersion: ahead } });

    for (const path of [`${maps}?resourceVersion=999999999999999999`, `${maps}/a?resourceVersion=9000`]) {
      const late = api.call("GET", path);
      await new Promise((resolve) => setImmediate(resolve));
      await api.clock.advance(3_000);
      const { status, headers, body } = await late;
      expect(status).toBe(504);
      expect(headers["retry-after"]).toBe("1");
      const wanted = new URL(path, "http://api").searchParams.get("resourceVersion");
      expect(body).toMatchObject({
        reason: "Timeout",
        message: `Timeout: Too large resource version: ${wanted}, current: ${ahead}`,
        details: {
          causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
          retryAfterSeconds: 1,
        },
      });
    }
  });

  it("says that a version is compacted, and lets a chunked list go on without one", async () => {
    const plain = (query: string) => api.call("GET", `${maps}?${query}`);
    const begun = (await plain("limit=2")).body;
    expect(begun.metadata.remainingItemCount).toBeGreaterThan(0);
    await api.call("DELETE", `${maps}/c`);
    await api.store.compact(await api.store.revision());
    const exact = await plain(`resourceVersion=${first}&resourceVersionMatch=Exact`);
    expect(exact.body).toMatchObject({
      code: 410,
      reason: "Expired",
      message: "The resourceVersion for the provided list is too old.",
    });
    const { body } = await plain(`limit=2&continue=${begun.metadata.continue}`);
    expect(body).toMatchObject({ code: 410, reason: "Expired", metadata: { continue: expect.any(String) } });
    const rest = await plain(`continue=${body.metadata.continue}`);
    expect(rest.status).toBe(200);
    const names = rest.body.items.map((item: { metadata: { name: string } }) => item.metadata.name);
    expect(names).not.toContain("a");
    expect(names).not.toContain("c");
    expect(versionOf(rest.body)).toBe(String(await api.store.revision()));
  });

  it("tells how much remains only without selectors", async () => {
    expect((await list("limit=1")).body.metadata).not.toHaveProperty("remainingItemCount");
    expect((await list("limit=1")).body.metadata.continue).toEqual(expect.any(String));
    const fields = await api.call("GET", `${maps}?limit=1&fieldSelector=metadata.namespace=default`);
    expect(fields.body.metadata).not.toHaveProperty("remainingItemCount");
    const all = (await api.call("GET", maps)).body.items.length;
    expect((await api.call("GET", `${maps}?limit=1`)).body.metadata.remainingItemCount).toBe(all - 1);
    expect((await api.call("GET", `${maps}?limit=${all}`)).body.metadata).toEqual({ resourceVersion: newest });
  });
});

describe("get", () => {
  it.each(["", "resourceVersion=0", "resourceVersion=FIRST"])("of %s is never older", async (query) => {
    const { body } = await api.call("GET", `${maps}/a?${query.replace("FIRST", first)}`);
    expect(versionOf(body)).toBe(second);
  });

  it("is no watch, whatever its query says, and refuses a version that is none", async () => {
    expect((await api.call("GET", `${maps}/a?watch=true`)).body.kind).toBe("ConfigMap");
    expect((await api.call("GET", `${maps}/a?resourceVersion=x`)).status).toBe(400);
  });
});

describe("watch", () => {
  /** Types and names of the events up to the first change after it began. */
  async function events(query: string): Promise<string[]> {
    const watch = await api.watch(`${maps}?watch=true&labelSelector=own=yes&${query}`);
    await api.call("POST", maps, { metadata: { name: "later", labels } });
    const seen: string[] = [];
    for (;;) {
      const frame = await watch.next();
      const object = (frame?.object ?? { metadata: {} }) as { metadata: { name?: string; annotations?: object } };
      const { name, annotations } = object.metadata;
      seen.push(
        frame?.type === "BOOKMARK" ? `BOOKMARK ${Object.keys(annotations ?? {}).join()}` : `${frame?.type} ${name}`,
      );
      if (name === "later" || !frame) break;
    }
    watch.stop();
    return seen;
  }
  const state = ["ADDED a", "ADDED b", "ADDED c"];
  const end = "BOOKMARK k8s.io/initial-events-end";
  const later = "ADDED later";

  it.each<[string, string[]]>([
    ["", [...state, later]],
    ["resourceVersion=0", [...state, later]],
    ["allowWatchBookmarks=true", [...state, end, later]],
    ["resourceVersion=0&allowWatchBookmarks=true", [...state, end, later]],
    ["resourceVersion=FIRST", ["ADDED b", "ADDED c", "MODIFIED a", later]],
    ["resourceVersion=SECOND", [later]],
    ["sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", [...state, end, later]],
    ["sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=FIRST", [...state, later]],
    ["sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0", [...state, later]],
    ["sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=SECOND", [later]],
    ["fieldSelector=metadata.name=later", [later]],
  ])("%s", async (query, expected) => {
    expect(await events(query.replace("FIRST", first).replace("SECOND", second))).toEqual(expected);
  });

  it.each([
    ["sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"],
    ["resourceVersionMatch=NotOlderThan", 422, "is forbidden for watch unless sendInitialEvents is provided"],
    [
      "sendInitialEvents=true&resourceVersionMatch=Exact",
      422,
      'Unsupported value: "Exact": supported values: "NotOlderThan"',
    ],
    ["sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x", 422, "forbidden when continue is provided"],
    ["resourceVersion=x", 400, "invalid resource version"],
    ["timeoutSeconds=x", 400, "strconv.ParseInt"],
  ])("refuses %s: %i", async (query, status, message) => {
    const { body } = await api.call("GET", `${maps}?watch=true&${query}`);
    expect([body.code, body.message]).toEqual([status, expect.stringContaining(message)]);
  });

  it("ends when its time is over", async () => {
    const watch = await api.watch(`${maps}?watch=true&resourceVersion=${second}&timeoutSeconds=5`);
    const next = watch.next();
    await api.clock.advance(5_000);
    expect(await next).toBeUndefined();
  });
});

describe("delete", () => {
  const remove = (name: string, options: object, query = "") => api.call("DELETE", `${maps}/${name}${query}`, options);

  it.each<[object, number, string]>([
    [{ preconditions: { uid: "other" } }, 409, "the UID in the precondition (other) does not match the UID in record"],
    [{ preconditions: { resourceVersion: "1" } }, 409, "the ResourceVersion in the precondition (1) does not match"],
    [{ propagationPolicy: "Sideways" }, 422, 'supported values: "Foreground", "Background", "Orphan", "nil"'],
    [
      { propagationPolicy: "Orphan", orphanDependents: true },
      422,
      "orphanDependents and deletionPropagation cannot be both set",
    ],
    [{ dryRun: ["Some"] }, 422, 'dryRun: Unsupported value: ["Some"]: supported values: "All"'],
  ])("%j: %i", async (options, status, message) => {
    const { body } = await remove("a", options);
    expect([body.code, body.message]).toEqual([status, expect.stringContaining(message)]);
    expect((await api.call("GET", `${maps}/a`)).status).toBe(200);
  });

  it("waits for dependents, or lets them go, as its options say", async () => {
    await remove("a", { propagationPolicy: "Foreground" });
    await remove("b", { orphanDependents: true });
    const finalizers = async (name: string) => (await api.call("GET", `${maps}/${name}`)).body.metadata.finalizers;
    expect(await finalizers("a")).toEqual(["foregroundDeletion"]);
    expect(await finalizers("b")).toEqual(["orphan"]);
  });

  it("takes those of a collection that its selectors name, if it may", async () => {
    const some = await api.call("DELETE", `${maps}?labelSelector=own=yes&fieldSelector=metadata.name!=b&dryRun=All`);
    expect(some.status).toBe(200);
    expect((await list("")).body.items).toHaveLength(3);
    await api.call("DELETE", `${maps}?labelSelector=own=yes&fieldSelector=metadata.name!=b`);
    expect((await list("")).body.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual([
      "b",
    ]);
    const refused = await api.call("DELETE", `${maps}?labelSelector=own=yes`, { propagationPolicy: "Sideways" });
    expect(refused.status).toBe(422);
  });
});

describe("a dry run", () => {
  it("of any verb changes nothing", async () => {
    // The account that pods run under where no controller makes it.
    await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
    const before = await api.store.revision();
    const apply = { headers: { "content-type": "application/apply-patch+yaml" } };
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "new" } };
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } };
    const current = (await api.call("GET", `${maps}/a`)).body;
    const answers = [
      await api.call("POST", `${maps}?dryRun=All`, object),
      await api.call("PUT", `${maps}/a?dryRun=All`, { ...current, data: { x: "1" } }),
      await api.call("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/new?dryRun=All", {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name: "new" },
      }),
      await api.call("PATCH", `${maps}/a?dryRun=All`, { data: { x: "1" } }, mergePatch),
      await api.call("PATCH", `${maps}/new?dryRun=All&fieldManager=m`, object, apply),
      await api.call("DELETE", `${maps}/a?dryRun=All`),
      await api.call("DELETE", `${maps}/b`, { dryRun: ["All"] }),
      await api.call("DELETE", `${maps}?labelSelector=own=yes&dryRun=All`),
      await api.call("POST", "/api/v1/namespaces/default/pods?dryRun=All", pod),
      await api.call("POST", "/api/v1/namespaces/default/serviceaccounts?dryRun=All", { metadata: { name: "s" } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 201, 200, 201, 200, 200, 200, 201, 201]);
    expect(answers[0]?.body.metadata.uid).toEqual(expect.any(String));
    expect(await api.store.revision()).toBe(before);
  });

  it("of a part changes nothing", async () => {
    const apps = "/apis/apps/v1/namespaces/default/deployments";
    const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } };
    const spec = { replicas: 1, selector: { matchLabels: labels }, template };
    await api.call("POST", apps, { metadata: { name: "d" }, spec });
    await api.call("POST", "/api/v1/namespaces/default/pods", { metadata: { name: "p", labels }, spec: template.spec });
    const before = await api.store.revision();
    const part = async (method: "PUT" | "PATCH" | "POST", path: string, body: object) =>
      (await api.call(method, `${path}?dryRun=All`, body, method === "PATCH" ? mergePatch : {})).status;
    const scale = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d" }, spec: { replicas: 7 } };
    expect([
      await part("PATCH", `${apps}/d/scale`, { spec: { replicas: 5 } }),
      await part("PUT", `${apps}/d/scale`, scale),
      await part("PATCH", `${apps}/d/status`, { status: { replicas: 3 } }),
      await part("POST", "/api/v1/namespaces/default/pods/p/eviction", {
        apiVersion: "policy/v1",
        kind: "Eviction",
        metadata: { name: "p" },
      }),
      await part("POST", "/api/v1/namespaces/default/pods/p/binding", {
        apiVersion: "v1",
        kind: "Binding",
        metadata: { name: "p" },
        target: { kind: "Node", name: "n" },
      }),
    ]).toEqual([200, 200, 200, 201, 201]);
    expect(await api.store.revision()).toBe(before);
  });
});
