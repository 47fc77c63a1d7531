import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decodeProtobuf } from "../protobuf/decode.ts";
import { startTestApi, type TestApi } from "../test-api.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.stop());

const protobuf = "application/vnd.kubernetes.protobuf";
const asked = { headers: { accept: `${protobuf},application/json` } };
const maps = "/api/v1/namespaces/default/configmaps";
const metadataAsked = { headers: { accept: `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1` } };

const make = (name: string, data = {}) => api.call("POST", maps, { metadata: { name }, data });
/** What stands in the frame of a watch: the type, and the object in its envelope. */
function readEvent(frame: Uint8Array): { type: string; object: Record<string, unknown> } {
  const bytes = Buffer.from(frame);
  expect(bytes.readUInt32BE(0)).toBe(bytes.length - 4);
  const type = bytes.subarray(6, 6 + (bytes[5] ?? 0)).toString();
  return { type, object: decodeProtobuf(bytes.subarray(bytes.indexOf("k8s\0"))) };
}

describe("answers in protobuf", () => {
  it("are the same objects as in JSON", async () => {
    const made = await api.call("POST", maps, { metadata: { name: "a" }, data: { b: "ü" } }, asked);
    expect([made.status, made.headers["content-type"]]).toEqual([201, protobuf]);
    const got = await api.call("GET", `${maps}/a`, undefined, asked);
    const plain = await api.call("GET", `${maps}/a`);
    expect(decodeProtobuf(got.bytes)).toEqual(plain.body);
    expect(decodeProtobuf(made.bytes)).toEqual(plain.body);
  });

  it("are lists, with what a chunk needs", async () => {
    for (const name of ["a", "b", "c"]) await make(name);
    const list = await api.call("GET", `${maps}?limit=2`, undefined, asked);
    const plain = await api.call("GET", `${maps}?limit=2`);
    expect(list.headers["content-type"]).toBe(protobuf);
    const bytes = Buffer.from(list.bytes);
    expect(bytes.includes(plain.body.metadata.continue)).toBe(true);
    expect(bytes.includes("ConfigMapList")).toBe(true);
    // The same list again is made of the same bytes.
    expect(Buffer.from((await api.call("GET", `${maps}?limit=2`, undefined, asked)).bytes)).toEqual(bytes);
  });

  it("are errors too", async () => {
    const missing = await api.call("GET", `${maps}/none`, undefined, asked);
    expect([missing.status, missing.headers["content-type"]]).toEqual([404, protobuf]);
    expect(decodeProtobuf(missing.bytes)).toMatchObject({
      kind: "Status",
      status: "Failure",
      reason: "NotFound",
      code: 404,
      details: { name: "none", kind: "configmaps" },
    });
    await make("a");
    const deleted = await api.call("DELETE", `${maps}/a`, undefined, asked);
    expect(decodeProtobuf(deleted.bytes)).toMatchObject({ kind: "Status", status: "Success" });
  });

  it("are reviews, scales and discovery", async () => {
    const review = { spec: { resourceAttributes: { verb: "get", resource: "pods" } } };
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const answered = await api.call("POST", path, review, asked);
    expect(decodeProtobuf(answered.bytes)).toMatchObject({
      kind: "SelfSubjectAccessReview",
      status: { allowed: true },
    });
    const groups = await api.call("GET", "/apis", undefined, asked);
    expect(decodeProtobuf(groups.bytes)).toMatchObject({ kind: "APIGroupList" });
    const version = await api.call("GET", "/version", undefined, asked);
    expect(version.headers["content-type"]).toBe("application/json");
  });

  it("are watches, whose frames are made once for all", async () => {
    await make("a");
    const url = `${maps}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`;
    const [first, second] = [await api.watch(url, asked), await api.watch(url, asked)];
    for (const watch of [first, second]) {
      for (let frame = await watch.next(); ; frame = await watch.next()) {
        const event = readEvent(frame?.bytes() ?? new Uint8Array());
        if (event.type !== "BOOKMARK") continue;
        expect(event.object).toMatchObject({
          kind: "ConfigMap",
          metadata: { annotations: { "k8s.io/initial-events-end": "true" } },
        });
        break;
      }
    }
    await make("b", { x: "1" });
    const frames = [await first.next(), await second.next()];
    expect(frames[0]).toBe(frames[1]);
    expect(readEvent(frames[0]?.bytes() ?? new Uint8Array())).toMatchObject({
      type: "ADDED",
      object: { kind: "ConfigMap", data: { x: "1" }, metadata: { name: "b" } },
    });
    await api.call("DELETE", `${maps}/b`);
    const gone = readEvent((await first.next())?.bytes() ?? new Uint8Array());
    expect(gone).toMatchObject({ type: "DELETED", object: { data: { x: "1" } } });
    first.stop();
    second.stop();
  });

  it("are metadata alone, of custom resources too; their objects are JSON", async () => {
    await make("a", { x: "1" });
    const partial = decodeProtobuf((await api.call("GET", `${maps}/a`, undefined, metadataAsked)).bytes);
    expect(partial).toMatchObject({ kind: "PartialObjectMetadata", metadata: { name: "a" } });
    expect(partial).not.toHaveProperty("data");
    const names = { kind: "Widget", plural: "widgets" };
    const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
      metadata: { name: "widgets.a.io" },
      spec: {
        group: "a.io",
        scope: "Namespaced",
        names,
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    });
    const widgets = "/apis/a.io/v1/namespaces/default/widgets";
    await expect.poll(async () => (await api.call("GET", widgets)).status).toBe(200);
    const made = await api.call(
      "POST",
      widgets,
      { apiVersion: "a.io/v1", kind: "Widget", metadata: { name: "w" } },
      asked,
    );
    expect([made.status, made.headers["content-type"]]).toEqual([201, "application/json"]);
    const metadata = await api.call("GET", `${widgets}/w`, undefined, metadataAsked);
    expect(decodeProtobuf(metadata.bytes)).toMatchObject({ kind: "PartialObjectMetadata", metadata: { name: "w" } });
    const only = await api.call("GET", widgets, undefined, { headers: { accept: protobuf } });
    expect(only.status).toBe(406);
  });

  it("show events of both groups under their own names", async () => {
    await api.call("POST", "/api/v1/namespaces/default/events", {
      metadata: { name: "e" },
      involvedObject: { kind: "Pod", name: "p", namespace: "default" },
      message: "text",
      reason: "Why",
      type: "Normal",
    });
    const url = "/apis/events.k8s.io/v1/namespaces/default/events/e";
    const event = decodeProtobuf((await api.call("GET", url, undefined, asked)).bytes);
    expect(event).toMatchObject({ apiVersion: "events.k8s.io/v1", note: "text", regarding: { name: "p" } });
  });
});
