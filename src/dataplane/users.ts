/** The users of a Secret's `auth` file, or of its keys. */
export function usersOf(data: Readonly<Record<string, string>>, layout: "file" | "map"): ReadonlyMap<string, string> {
  const text = (base64: string): string => Buffer.from(base64, "base64").toString("utf8");
  if (layout === "map") return new Map(Object.entries(data).map(([name, entry]) => [name, text(entry).trim()]));
  const users = new Map<string, string>();
  for (const line of text(data["auth"] ?? "").split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) users.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return users;
}
