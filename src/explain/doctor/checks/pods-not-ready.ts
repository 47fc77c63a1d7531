import { keyOf } from "../../../kube/index.ts";
import { whyNotReady } from "../../pods.ts";
import type { Check } from "../check.ts";

/** Pods that are selected and get no requests, with what each says of itself: the probe that fails, the image that is not there. */
export const podsNotReady: Check = {
  code: "pods-not-ready",
  about: "pods behind a Service that are not ready",
  reads: "Services, Pods, Events",
  *run({ services, cluster }) {
    for (const { service, object, pods } of services) {
      if (service.spec.publishNotReadyAddresses || pods.length === 0) continue;
      const reasons = pods.flatMap((pod) => {
        const why = whyNotReady(pod, cluster.objects.events);
        return why === undefined ? [] : [{ pod, why }];
      });
      const [first] = reasons;
      if (!first) continue;
      const none = reasons.length === pods.length;
      yield {
        severity: none ? "error" : "warning",
        object,
        field: "spec.selector",
        problem: `${reasons.length} of ${pods.length} pods ${reasons.length === 1 ? "is" : "are"} not ready: ${first.pod.metadata.name} ${first.why}`,
        evidence: reasons.slice(0, 4).map(({ pod, why }) => `pod ${keyOf(pod)} ${why}`),
        remedy: remedyOf(first.why, keyOf(first.pod)),
      };
    }
  },
};

function remedyOf(why: string, key: string): string {
  const [namespace = "", name = ""] = key.split("/");
  if (why.includes("probe")) return "correct the probe, or what it asks";
  if (/ImagePull|ErrImage|InvalidImage/.test(why)) return "correct the image, or map it";
  if (why.includes("CrashLoopBackOff")) return `kubectl logs -n ${namespace} ${name} --previous`;
  if (why.includes("not scheduled")) return "give the pod a node that it fits on";
  return `kubectl describe pod -n ${namespace} ${name}`;
}
