import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { defaultPod } from "./pod-defaults.ts";
import { preparePodPart, validateEphemeralUpdate, validateResize } from "./pod-parts.ts";
import { podWarnings } from "./pod-warnings.ts";
import { validatePodUpdate } from "./pod-update.ts";
import { validatePodCreate } from "./pod-validation.ts";
import { alignPodIps, firstPodStatus, preparePodStatus, validatePodStatus } from "./pod-status.ts";

export const podStrategy = createStrategy(resources.Pod, {
  generationOf: (pod) => pod.spec,
  allowCreateOnUpdate: false,
  defaults(pod) {
    defaultPod(pod);
    alignPodIps(pod.status);
  },
  prepareForCreate(pod) {
    pod.status = firstPodStatus(pod.spec);
  },
  prepareForUpdate(pod, old, { subresource }) {
    if (subresource === "ephemeralcontainers" || subresource === "resize") preparePodPart(pod, old, subresource);
  },
  prepareStatus: preparePodStatus,
  validateStatus: validatePodStatus,
  validate(pod, { subresource }, old) {
    // A binding writes what a client may not: the node.
    if (subresource === "binding") return [];
    if (old && subresource === "ephemeralcontainers") return validateEphemeralUpdate(pod, old);
    if (old && subresource === "resize") return validateResize(pod, old);
    return old ? validatePodUpdate(pod, old) : validatePodCreate(pod);
  },
  warnings: (pod) => podWarnings(pod, ""),
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
    // A negative time means one second, as upstream.
    const seconds = spec.terminationGracePeriodSeconds ?? 30;
    return over ? 0 : seconds < 0 ? 1 : seconds;
  },
});
