import type { Deployment, ReplicaSet, Scale } from "../../kube/index.ts";
import {
  ageColumn,
  ageOf,
  formatSelector,
  integer,
  nameColumn,
  templateCells,
  templateColumns,
  text,
  wide,
  type Printer,
} from "./columns.ts";

export const deploymentPrinter: Printer<Deployment> = {
  columns: [
    nameColumn,
    text("Ready", "How many of the wanted pods are ready."),
    text("Up-to-date", "How many pods are of the newest template."),
    text("Available", "How many pods have been ready for long enough."),
    ageColumn,
    ...templateColumns,
    wide("Selector", "Labels of the pods of this Deployment."),
  ],
  cells: (deployment, now) => [
    deployment.metadata.name,
    `${deployment.status?.readyReplicas ?? 0}/${deployment.spec?.replicas ?? 0}`,
    deployment.status?.updatedReplicas ?? 0,
    deployment.status?.availableReplicas ?? 0,
    ageOf(deployment, now),
    ...templateCells(deployment.spec?.template.spec),
    formatSelector(deployment.spec?.selector, ""),
  ],
};

export const scalePrinter: Printer<Scale> = {
  columns: [
    // Here a name is any text.
    { ...nameColumn, format: "" },
    integer("Desired", "How many pods are wanted."),
    integer("Available", "How many pods exist."),
    ageColumn,
  ],
  cells: (scale, now) => [
    scale.metadata.name,
    scale.spec?.replicas ?? 0,
    scale.status?.replicas ?? 0,
    ageOf(scale, now),
  ],
};

/** Of a custom resource: upstream makes it with other types. */
export const customScalePrinter: Printer<Scale> = {
  ...scalePrinter,
  columns: [nameColumn, ...scalePrinter.columns.slice(1, -1), { ...ageColumn, type: "date" }],
};

export const replicaSetPrinter: Printer<ReplicaSet> = {
  columns: [
    nameColumn,
    integer("Desired", "How many pods are wanted."),
    integer("Current", "How many pods exist."),
    integer("Ready", "How many pods are ready."),
    ageColumn,
    ...templateColumns,
    wide("Selector", "Labels of the pods of this ReplicaSet."),
  ],
  cells: (set, now) => [
    set.metadata.name,
    set.spec?.replicas ?? 0,
    set.status?.replicas ?? 0,
    set.status?.readyReplicas ?? 0,
    ageOf(set, now),
    ...templateCells(set.spec?.template?.spec),
    formatSelector(set.spec?.selector),
  ],
};
