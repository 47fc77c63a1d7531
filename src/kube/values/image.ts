const host =
  "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\]";
const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const reference = new RegExp(
  `^(?:(?:${host})(?::\\d+)?/)?${part}(?:/${part})*(:[\\w][\\w.-]{0,127})?(@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`,
);

/** True when `image` is a reference as the OCI distribution grammar has it. */
export function isImageReference(image: string): boolean {
  return image.length <= 4096 && reference.test(image);
}

/** The tag or digest of an image: `latest` when it names neither. */
export function imageVersion(image: string): string {
  const match = reference.exec(image);
  return match?.[2]?.slice(1) ?? match?.[1]?.slice(1) ?? "latest";
}
