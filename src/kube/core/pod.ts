import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { admitPod, defaultPod } from "./pod-defaults.ts";
import { validatePodUpdate } from "./pod-update.ts";
import { validatePodCreate } from "./pod-validation.ts";
import { firstPodStatus, qosClassOf } from "./pod-status.ts";

export const podStrategy = createStrategy(resources.Pod, {
  hasGeneration: true,
  allowCreateOnUpdate: false,
  defaults: defaultPod,
  prepareForCreate(pod) {
    admitPod(pod.spec);
    pod.status = firstPodStatus(pod.spec);
  },
  prepareStatus(pod) {
    pod.status = { ...pod.status, qosClass: pod.status?.qosClass ?? qosClassOf(pod.spec) };
  },
  validate(pod, { subresource }, old) {
    // A binding writes what a client may not: the node.
    if (subresource === "binding") return [];
    return old ? validatePodUpdate(pod, old) : validatePodCreate(pod);
  },
  selectableFields: ({ spec, status }) => ({
    "spec.nodeName": spec?.nodeName ?? "",
    "spec.restartPolicy": spec?.restartPolicy ?? "",
    "spec.schedulerName": spec?.schedulerName ?? "",
    "spec.serviceAccountName": spec?.serviceAccountName ?? "",
    "spec.hostNetwork": String(spec?.hostNetwork ?? false),
    "status.phase": status?.phase ?? "",
    "status.podIP": status?.podIP ?? "",
    "status.nominatedNodeName": status?.nominatedNodeName ?? "",
  }),
  gracePeriodSeconds({ spec, status }) {
    const over = !spec.nodeName || status?.phase === "Failed" || status?.phase === "Succeeded";
    return over ? 0 : (spec.terminationGracePeriodSeconds ?? 30);
  },
});
