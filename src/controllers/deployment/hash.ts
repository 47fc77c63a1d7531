import type { PodTemplateSpec } from "../../kube/index.ts";

/** Label by which the pods of one template are told from those of another. */
export const hashLabel = "pod-template-hash";

/** Letters and digits that make no words. */
const alphabet = "bcdfghjklmnpqrstvwxz2456789";

/** Name of a template: equal templates have equal names. `collisions` gives another name when one is taken. */
export function hashOf(template: PodTemplateSpec, collisions: number | undefined): string {
  const text = canonical(template) + (collisions ? `#${collisions}` : "");
  return String(fnv1a(text)).replace(/\d/g, (digit) => alphabet[digit.charCodeAt(0) % alphabet.length] ?? "");
}

/** The template with the hash among its labels. */
export function withHash(template: PodTemplateSpec, hash: string): PodTemplateSpec {
  const labels = { ...template.metadata?.labels, [hashLabel]: hash };
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** The template as the user wrote it. */
export function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const { [hashLabel]: _, ...labels } = template?.metadata?.labels ?? {};
  return { ...template, metadata: { ...template?.metadata, labels } };
}

/** JSON with sorted keys and without what is empty. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value)
    .filter(([, inner]) => inner !== undefined && inner !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`);
  return `{${fields.join(",")}}`;
}

/** FNV-1a, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
