import { describe, expect, it } from "vitest";
import type { Deployment, ReplicaSet } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { create, update } from "../testing.ts";

const labels = { app: "web" };
const template = { metadata: { labels }, spec: { containers: [{ name: "web", image: "nginx:1" }] } };
const workload = { selector: { matchLabels: labels }, template };
const deployment = (spec: object) => create(resources.Deployment, { spec: { ...workload, ...spec } });

const defaultedTemplate = {
  metadata: { labels },
  spec: {
    containers: [
      {
        name: "web",
        image: "nginx:1",
        imagePullPolicy: "IfNotPresent",
        resources: {},
        terminationMessagePath: "/dev/termination-log",
        terminationMessagePolicy: "File",
      },
    ],
    dnsPolicy: "ClusterFirst",
    restartPolicy: "Always",
    schedulerName: "default-scheduler",
    securityContext: {},
    terminationGracePeriodSeconds: 30,
  },
};

it("says what is missing without a template, and no more", () => {
  const { faults } = create(resources.Deployment, { spec: { selector: workload.selector } });
  expect(faults).toEqual([
    "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
    "spec.template.spec.containers: Required value",
  ]);
});

it("fills in a Deployment", () => {
  const { object, faults } = deployment({});
  expect(faults).toEqual([]);
  expect(object).toEqual({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "x", namespace: "default", generation: 1 },
    spec: {
      progressDeadlineSeconds: 600,
      replicas: 1,
      revisionHistoryLimit: 10,
      selector: { matchLabels: labels },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      template: defaultedTemplate,
    },
    status: {},
  });
});

it("fills in a ReplicaSet", () => {
  const { object, faults } = create(resources.ReplicaSet, { spec: workload });
  expect(faults).toEqual([]);
  expect((object as ReplicaSet).spec).toEqual({
    replicas: 1,
    selector: { matchLabels: labels },
    template: defaultedTemplate,
  });
  expect((object as ReplicaSet).status).toEqual({ replicas: 0 });
});

describe("validation of a Deployment", () => {
  const mismatch =
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`';
  it.each<[object, ...string[]]>([
    [{ replicas: -1 }, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    [{ selector: null }, "spec.selector: Required value", mismatch],
    [{ selector: {} }, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    [{ selector: { matchLabels: { app: "db" } } }, mismatch],
    [
      { selector: { matchExpressions: [{ key: "a", operator: "Near" }] } },
      'spec.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator',
      'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Near"}]}: invalid label selector',
    ],
    [
      { template: { ...template, spec: { ...template.spec, restartPolicy: "Never" } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      { strategy: { type: "Recreate", rollingUpdate: {} } },
      "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ],
    [
      { strategy: { type: "Slow" } },
      'spec.strategy: Unsupported value: {"type":"Slow"}: supported values: "Recreate", "RollingUpdate"',
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
      "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
    ],
    [
      { strategy: { rollingUpdate: { maxUnavailable: "101%" } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: "many" } } },
      "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"many\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    ],
    [
      { progressDeadlineSeconds: 5, minReadySeconds: 10 },
      "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
    ],
    [{ template: { metadata: { labels }, spec: {} } }, "spec.template.spec.containers: Required value"],
  ])("%j", (spec, ...expected) => {
    expect(deployment(spec).faults).toEqual(expected);
  });
});

describe("update", () => {
  const old = deployment({}).object as Deployment;

  it("raises the generation when the spec changes, and only then", () => {
    const scaled = update(resources.Deployment, old, (draft: Deployment) => {
      draft.spec.replicas = 3;
    });
    const labelled = update(resources.Deployment, old, (draft: Deployment) => {
      draft.metadata.labels = labels;
    });
    const annotated = update(resources.Deployment, old, (draft: Deployment) => {
      draft.metadata.annotations = { a: "b" };
    });
    expect(scaled.object.metadata.generation).toBe(2);
    expect(annotated.object.metadata.generation).toBe(2);
    expect(labelled.object.metadata.generation).toBe(1);
  });

  it("keeps the status", () => {
    const { object } = update(
      resources.Deployment,
      { ...old, status: { replicas: 2 } } as Deployment,
      (draft: Deployment) => {
        draft.status = { replicas: 9 };
      },
    );
    expect((object as Deployment).status).toEqual({ replicas: 2 });
  });

  it("does not change the selector", () => {
    const { faults } = update(resources.Deployment, old, (draft: Deployment) => {
      draft.spec.selector = { matchLabels: { app: "db" } };
      draft.spec.template.metadata = { labels: { app: "db" } };
    });
    expect(faults).toEqual(['spec.selector: Invalid value: {"matchLabels":{"app":"db"}}: field is immutable']);
  });

  it("writes the status and nothing else", () => {
    const { object, faults } = update(
      resources.Deployment,
      old,
      (draft: Deployment) => {
        draft.spec.replicas = 7;
        draft.metadata.annotations = { a: "b" };
        draft.status = { replicas: 1, readyReplicas: 2 };
      },
      { subresource: "status" },
    );
    expect((object as Deployment).spec).toEqual(old.spec);
    expect(object.metadata.generation).toBe(1);
    expect(faults).toEqual(["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]);
  });
});
