import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WatchFrame } from "../handler.ts";
import { mergePatch, startTestApi, type TestApi, type TestWatch } from "../test-api.ts";

const configMaps = "/api/v1/namespaces/default/configmaps";
let api: TestApi;

beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const make = (name: string, labels: Record<string, string> = {}) =>
  api.call("POST", configMaps, { metadata: { name, labels } });

function shown(frame: WatchFrame | undefined): string {
  if (!frame) return "end";
  const line = Buffer.from(frame.bytes()).toString();
  expect(line.endsWith("}\n")).toBe(true);
  const { type, object } = JSON.parse(line);
  expect({ type, object }).toEqual({ type: frame.type, object: frame.object });
  return `${type} ${object.metadata?.name ?? object.reason ?? ""}`.trim();
}

async function take(watch: TestWatch, count: number): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i++) seen.push(shown(await watch.next()));
  return seen;
}

describe("watch", () => {
  it("begins with the state when no version is named, then shows changes", async () => {
    await make("a");
    const watch = await api.watch(`${configMaps}?watch=1`);
    await make("b");
    await api.call("DELETE", `${configMaps}/a`);
    expect(await take(watch, 3)).toEqual(["ADDED a", "ADDED b", "DELETED a"]);
  });

  it("goes on after the version of a list, missing nothing", async () => {
    const { body } = await api.call("GET", configMaps);
    await make("a");
    await make("b");
    const watch = await api.watch(`${configMaps}?watch=1&resourceVersion=${body.metadata.resourceVersion}`);
    await make("c");
    expect(await take(watch, 3)).toEqual(["ADDED a", "ADDED b", "ADDED c"]);
  });

  it("says where the state ends to who asks for it", async () => {
    await make("a");
    const watch = await api.watch(
      `${configMaps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    expect(await take(watch, 1)).toEqual(["ADDED a"]);
    const mark = await watch.next();
    expect(mark?.object).toMatchObject({
      kind: "ConfigMap",
      metadata: {
        resourceVersion: String(await api.store.revision()),
        annotations: { "k8s.io/initial-events-end": "true" },
      },
    });
    await make("b");
    expect(await take(watch, 1)).toEqual(["ADDED b"]);
  });

  it("shows what enters and leaves a selector", async () => {
    const watch = await api.watch(`${configMaps}?watch=1&labelSelector=app%3Dweb`);
    await make("a");
    await api.call("PATCH", `${configMaps}/a`, { metadata: { labels: { app: "web" } } }, mergePatch);
    await api.call("PATCH", `${configMaps}/a`, { metadata: { labels: { app: "db" } } }, mergePatch);
    expect(await take(watch, 2)).toEqual(["ADDED a", "DELETED a"]);
  });

  it("follows one object", async () => {
    const watch = await api.watch(`${configMaps}?watch=1&fieldSelector=metadata.name%3Dab`);
    await make("a");
    await make("abc");
    await make("ab");
    expect(await take(watch, 1)).toEqual(["ADDED ab"]);
  });

  it("sees only its namespace", async () => {
    const watch = await api.watch("/api/v1/namespaces/kube-system/configmaps?watch=1");
    await make("a");
    await api.call("POST", "/api/v1/namespaces/kube-system/configmaps", { metadata: { name: "b" } });
    expect(await take(watch, 1)).toEqual(["ADDED b"]);
  });

  it("gives all watchers the same frame", async () => {
    const [one, two] = await Promise.all([api.watch(`${configMaps}?watch=1`), api.watch("/api/v1/configmaps?watch=1")]);
    await make("a");
    expect((await one.next())?.bytes()).toBe((await two.next())?.bytes());
  });

  it("tells by an ERROR that a version is forgotten", async () => {
    await make("a");
    for (let i = 0; i < 220; i++) {
      const data = { i: String(i).padEnd(40_000, "x") };
      await api.call("PATCH", `${configMaps}/a`, { data }, mergePatch);
    }
    const watch = await api.watch(`${configMaps}?watch=1&resourceVersion=5`);
    const frame = await watch.next();
    expect(frame).toMatchObject({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } });
    expect(await watch.next()).toBeUndefined();
  });

  it("sends a bookmark each minute and before it ends", async () => {
    const watch = await api.watch(`${configMaps}?watch=1&allowWatchBookmarks=true&timeoutSeconds=90`);
    expect((await watch.next())?.object).toMatchObject({
      metadata: { annotations: { "k8s.io/initial-events-end": "true" } },
    });
    const first = watch.next();
    await api.clock.advance(60_000);
    expect((await first)?.type).toBe("BOOKMARK");
    const second = watch.next();
    await api.clock.advance(28_000);
    expect((await second)?.type).toBe("BOOKMARK");
    const last = watch.next();
    await api.clock.advance(2_000);
    expect(await last).toBeUndefined();
  });

  it("moves a bookmark on with changes of other kinds", async () => {
    const watch = await api.watch(`${configMaps}?watch=1&allowWatchBookmarks=true`);
    await watch.next();
    await api.call("POST", "/api/v1/namespaces/default/secrets", { metadata: { name: "s" } });
    const next = watch.next();
    await api.clock.advance(60_000);
    expect((await next)?.object).toMatchObject({ metadata: { resourceVersion: String(await api.store.revision()) } });
  });

  it("ends when its client goes", async () => {
    const watch = await api.watch(`${configMaps}?watch=1`);
    const next = watch.next();
    watch.stop();
    expect(await next).toBeUndefined();
  });

  it("comes as a table", async () => {
    await make("a");
    const watch = await api.watch(`${configMaps}?watch=1`, {
      headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
    });
    expect((await watch.next())?.object).toMatchObject({
      kind: "Table",
      rows: [{ object: { metadata: { name: "a" } } }],
    });
  });
});
