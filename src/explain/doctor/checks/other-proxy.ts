import type { Check } from "../check.ts";

/** A label makes every proxy but the one it names leave the Service alone. */
export const otherProxy: Check = {
  code: "left-to-another-proxy",
  about: "a Service that a label takes away from this proxy",
  reads: "Services",
  *run({ services, cluster }) {
    const node = cluster.objects.nodes[0]?.metadata.name ?? "";
    for (const { service, key, object } of services) {
      const ignored = cluster.modelOf(node).plan(key)?.ignored;
      if (!ignored?.field.startsWith("metadata.labels")) continue;
      yield {
        severity: "warning",
        object,
        field: ignored.field,
        problem: `this proxy leaves its address ${service.spec.clusterIP ?? ""} alone: ${ignored.reason}`,
        evidence: Object.entries(service.metadata.labels ?? {})
          .filter(([name]) => name.startsWith("service.kubernetes.io/"))
          .map(([name, value]) => `label ${name}=${value}`),
        remedy: "remove the label, unless another proxy is meant to serve it",
      };
    }
  },
};
