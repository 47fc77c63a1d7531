import { describe, expect, it } from "vitest";
import type { KubeObject } from "../object.ts";
import { resources, type Resource } from "../resource.ts";
import { create, update } from "../testing.ts";

const long = "x".repeat(64);
const subdomain = expect.stringContaining("a lowercase RFC 1123 subdomain") as string;
const qualified = expect.stringContaining("name part must consist of alphanumeric characters") as string;

/** The faults of a change to what was good. */
function changed(resource: Resource, value: object, change: (object: never) => void, subresource?: string) {
  const made = create(resource, value);
  expect(made.faults).toEqual([]);
  return update(resource, made.object, change, subresource ? { subresource } : {});
}

describe("CSIDriver", () => {
  const kind = resources.CSIDriver;
  const driver = (spec: object = {}, name = "disk.example.test") => ({ metadata: { name }, spec });

  it("is filled in", () => {
    expect(create(kind, driver()).object).toMatchObject({
      spec: {
        attachRequired: true,
        podInfoOnMount: false,
        storageCapacity: false,
        fsGroupPolicy: "ReadWriteOnceWithFSType",
        volumeLifecycleModes: ["Persistent"],
        requiresRepublish: false,
        seLinuxMount: false,
      },
    });
  });

  it.each<[object, ...string[]]>([
    [driver({}, "Disk"), subdomain],
    [driver({}, `${"x".repeat(60)}.test`), "metadata.name: Too long: may not be more than 63 bytes"],
    [
      driver({ fsGroupPolicy: "Some" }),
      'spec.fsGroupPolicy: Unsupported value: "Some": supported values: "File", "None", "ReadWriteOnceWithFSType"',
    ],
    [
      driver({ volumeLifecycleModes: ["Ephemeral", "Some"] }),
      'spec.volumeLifecycleModes: Unsupported value: "Some": supported values: "Persistent", "Ephemeral"',
    ],
    [
      driver({ tokenRequests: [{ audience: "a" }, { audience: "a", expirationSeconds: 1 }] }),
      'spec.tokenRequests[1].audience: Duplicate value: "a"',
    ],
    [
      driver({ tokenRequests: [{ audience: "a", expirationSeconds: 599 }] }),
      "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
    ],
    [
      driver({ tokenRequests: [{ audience: "a", expirationSeconds: 2 ** 32 + 1 }] }),
      "spec.tokenRequests[0].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
    ],
    [driver({ tokenRequests: [{ audience: "", expirationSeconds: 600 }] })],
    [
      driver({ nodeAllocatableUpdatePeriodSeconds: 9 }),
      "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
    ],
    [
      driver({ serviceAccountTokenInSecrets: true }),
      "spec.serviceAccountTokenInSecrets: Forbidden: must not be set when spec.tokenRequests is empty",
    ],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("keeps whether volumes are attached and their lifecycles; the rest may change", () => {
    expect(
      changed(kind, driver(), ({ spec }: { spec: Record<string, unknown> }) => {
        spec["attachRequired"] = false;
        spec["volumeLifecycleModes"] = ["Ephemeral"];
      }).faults,
    ).toEqual([
      "spec.attachedRequired: Invalid value: false: field is immutable",
      'spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: field is immutable',
    ]);
    expect(
      changed(kind, driver(), ({ spec }: { spec: Record<string, unknown> }) => {
        spec["podInfoOnMount"] = true;
        spec["fsGroupPolicy"] = "File";
        spec["storageCapacity"] = true;
        spec["requiresRepublish"] = true;
        spec["tokenRequests"] = [{ audience: "a" }];
      }).faults,
    ).toEqual([]);
  });
});

describe("CSINode", () => {
  const kind = resources.CSINode;
  const node = (...drivers: object[]) => ({ spec: { drivers } });
  const driver = { name: "disk.example.test", nodeID: "n" };

  it.each<[object, ...string[]]>([
    [node()],
    [node(driver, { ...driver, name: "Other.example.test" })],
    [node({ name: "", nodeID: "" }), "spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value"],
    [node(driver, driver), 'spec.drivers[1].name: Duplicate value: "disk.example.test"'],
    [node({ ...driver, name: `${long}.test` }), "spec.drivers[0].name: Too long: may not be more than 63 bytes"],
    [
      node({ ...driver, nodeID: "x".repeat(193) }),
      `spec.drivers[0].nodeID: Invalid value: "${"x".repeat(193)}": must be 192 characters or less`,
    ],
    [
      node({ ...driver, allocatable: { count: -1 } }),
      "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
    ],
    [node({ ...driver, topologyKeys: ["a", "a"] }), 'spec.drivers[0]: Duplicate value: "a"'],
    [node({ ...driver, topologyKeys: ["a b"] }), qualified],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("keeps the drivers that it has, but for how many volumes each takes", () => {
    const change = (fields: object) =>
      changed(kind, node(driver), ({ spec }: { spec: { drivers: object[] } }) => {
        spec.drivers = [{ ...driver, ...fields }];
      }).faults;
    expect(change({ allocatable: { count: 5 } })).toEqual([]);
    expect(change({ nodeID: "m" })).toEqual([
      'CSINodeDriver: Invalid value: {"Name":"disk.example.test","NodeID":"m","TopologyKeys":null,"Allocatable":null}: field is immutable',
    ]);
    expect(change({ name: "other.example.test" })).toEqual([]);
  });
});

describe("CSIStorageCapacity", () => {
  const kind = resources.CSIStorageCapacity;
  it.each<[object, ...string[]]>([
    [{ storageClassName: "fast", capacity: "0", maximumVolumeSize: "1Gi", nodeTopology: {} }],
    [{ storageClassName: "Fast" }, subdomain],
    [
      { storageClassName: "fast", capacity: "-1Gi", maximumVolumeSize: "-1" },
      'capacity: Invalid value: "-1Gi": must be greater than or equal to 0',
      'maximumVolumeSize: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [
      { storageClassName: "fast", nodeTopology: { matchExpressions: [{ key: "a", operator: "In" }] } },
      "nodeTopology.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("keeps its class and its nodes", () => {
    const { faults } = changed(kind, { storageClassName: "fast" }, (object: Record<string, unknown>) => {
      object["storageClassName"] = "slow";
      object["nodeTopology"] = { matchLabels: { a: "b" } };
      object["capacity"] = "5Gi";
    });
    expect(faults).toEqual([
      'nodeTopology: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable',
      'storageClassName: Invalid value: "slow": field is immutable',
    ]);
  });
});

describe("VolumeAttachment", () => {
  const kind = resources.VolumeAttachment;
  const attachment = (spec: object = {}) => ({
    metadata: { name: "x", labels: { a: "b" } },
    spec: { attacher: "disk.example.test", nodeName: "n", source: { persistentVolumeName: "v" }, ...spec },
  });
  const exactly = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

  it.each<[object, ...string[]]>([
    [attachment()],
    [attachment({ source: {} }), `spec.source: Required value: ${exactly}`],
    [
      attachment({ source: { persistentVolumeName: "v", inlineVolumeSpec: { accessModes: ["ReadWriteOnce"] } } }),
      `spec.source: Forbidden: ${exactly}`,
    ],
    [
      attachment({ source: { persistentVolumeName: "" } }),
      "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName",
    ],
    [attachment({ source: { inlineVolumeSpec: { accessModes: ["ReadWriteOnce"] } } })],
    [
      attachment({ source: { inlineVolumeSpec: { accessModes: ["ReadWriteOnce"], storageClassName: "fast" } } }),
      "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
    ],
    [attachment({ attacher: "a b" }), subdomain],
    [attachment({ nodeName: "A" }), subdomain],
  ])("create %#", (value, ...expected) => {
    expect(create(kind, value).faults).toEqual(expected);
  });

  it("a status has bounds, and leaves labels as they are", () => {
    const { object, faults } = changed(
      kind,
      attachment(),
      (draft: KubeObject & { status: object }) => {
        draft.metadata.labels = { c: "d" };
        draft.status = {
          attached: false,
          attachmentMetadata: { a: "x".repeat(256 * 1024) },
          attachError: { message: "x".repeat(1025), errorCode: -1 },
        };
      },
      "status",
    );
    expect(object.metadata.labels).toEqual({ a: "b" });
    expect(faults).toEqual([
      "status.attachmentMetadata: Too long: may not be more than 262144 bytes",
      "status.attachError.message: Too long: may not be more than 1024 bytes",
      "status.attachError.errorCode: Invalid value: -1: must be greater than or equal to 0",
    ]);
  });
});
