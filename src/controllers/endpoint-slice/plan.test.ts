import { describe, expect, test } from "vitest";
import type { Endpoint, EndpointSlice } from "../../kube/index.ts";
import { type EndpointGroup, planSlices } from "./plan.ts";

const frame = { labels: { app: "x" }, annotations: {} };
const limit = 10;

const endpoint = (id: number, ready = true): Endpoint => ({
  addresses: [`10.0.${id >> 8}.${id & 255}`],
  conditions: { ready },
  targetRef: { uid: String(id) },
});
const group = (port: number, endpoints: Endpoint[]): EndpointGroup => ({
  ports: [{ name: "", port, protocol: "TCP" }],
  endpoints,
});

let serial = 0;
const slice = ({ ports, endpoints }: EndpointGroup): EndpointSlice => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `s${++serial}`, ...frame },
  addressType: "IPv4",
  ports: [...ports],
  endpoints: [...endpoints],
});

/** The slices after a plan is carried out, and how many writes that took. */
function carryOut(slices: readonly EndpointSlice[], groups: readonly EndpointGroup[]) {
  const plan = planSlices(slices, groups, frame, limit);
  const updated = new Map(plan.update.map((next) => [next.metadata.name, next]));
  const removed = new Set(plan.remove.map(({ metadata }) => metadata.name));
  const kept = slices
    .filter(({ metadata }) => !removed.has(metadata.name))
    .map((old) => updated.get(old.metadata.name) ?? old);
  const writes = plan.update.length + plan.remove.length + plan.create.length;
  return { slices: [...kept, ...plan.create.map(slice)], writes };
}

const many = (count: number, from = 0) => Array.from({ length: count }, (_, i) => endpoint(from + i));

describe("plans", () => {
  test("nothing to do is nothing", () => {
    const { slices } = carryOut([], [group(80, many(25))]);
    expect(slices.map(({ endpoints }) => endpoints?.length)).toEqual([10, 10, 5]);
    expect(carryOut(slices, [group(80, many(25))]).writes).toBe(0);
  });
  test("one that changes is one write, one that comes is one, one that goes is one", () => {
    const { slices } = carryOut([], [group(80, many(25))]);
    expect(carryOut(slices, [group(80, [endpoint(0, false), ...many(24, 1)])]).writes).toBe(1);
    expect(carryOut(slices, [group(80, many(26))]).writes).toBe(1);
    expect(carryOut(slices, [group(80, many(24))]).writes).toBe(1);
  });
  test("a gap in a slice that changes anyway is filled first", () => {
    const { slices } = carryOut([], [group(80, many(20))]);
    const after = carryOut(slices, [group(80, [...many(19, 1), endpoint(99)])]);
    expect(after.writes).toBe(1);
    expect(after.slices).toHaveLength(2);
  });
  test("other ports take over the slice of those that went", () => {
    const { slices } = carryOut([], [group(80, many(5))]);
    const after = carryOut(slices, [group(8080, many(5))]);
    expect(after.writes).toBe(1);
    expect(after.slices[0]?.ports?.[0]?.port).toBe(8080);
  });
  test("there is always one slice, and the empty one stays as it is", () => {
    const { slices } = carryOut([], []);
    expect(slices).toHaveLength(1);
    expect(carryOut(slices, []).writes).toBe(0);
  });
  test("labels are put right", () => {
    const [only] = carryOut([], [group(80, many(1))]).slices;
    const changed = { ...only!, metadata: { ...only!.metadata, labels: { other: "y" } } };
    const after = carryOut([changed], [group(80, many(1))]);
    expect(after.slices[0]?.metadata.labels).toEqual(frame.labels);
  });
});

test("after any sequence of changes the slices hold exactly what is wanted", () => {
  let seed = 7;
  const random = (below: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  let slices: EndpointSlice[] = [];
  for (let round = 0; round < 300; round++) {
    const ports = [80, 81, 82].slice(0, random(4));
    const groups = ports
      .map((port) =>
        group(
          port,
          Array.from(new Set(Array.from({ length: random(35) }, () => random(60))), (id) =>
            endpoint(port * 100 + id, random(2) === 0),
          ),
        ),
      )
      .filter(({ endpoints }) => endpoints.length > 0);
    ({ slices } = carryOut(slices, groups));
    const flat = (items: readonly { ports?: readonly { port?: number }[]; endpoints?: readonly Endpoint[] }[]) =>
      items
        .flatMap(({ ports, endpoints }) =>
          (endpoints ?? []).map((each) => `${ports?.[0]?.port} ${JSON.stringify(each)}`),
        )
        .sort();
    expect(flat(slices)).toEqual(flat(groups));
    expect(slices.every(({ endpoints }) => (endpoints?.length ?? 0) <= limit)).toBe(true);
    expect(slices.length).toBeGreaterThan(0);
  }
});
