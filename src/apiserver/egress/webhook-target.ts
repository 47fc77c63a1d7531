import { posix } from "node:path";
import type { WebhookClientConfig } from "../../kube/index.ts";
import type { EgressTarget } from "./egress.ts";

/** Where the webhook of a configuration or of a definition is: the URL it was given, or a Service. */
export function webhookTarget(config: WebhookClientConfig): { readonly target: EgressTarget; readonly path: string } {
  const { url, service, caBundle } = config;
  const trusted = caBundle ? { ca: Buffer.from(caBundle, "base64").toString() } : {};
  if (url !== undefined) {
    const to = new URL(url);
    return { target: { to, ...trusted }, path: joined(to.pathname) };
  }
  const { namespace = "", name = "", port = 443, path = "/" } = service ?? {};
  return { target: { to: { namespace, name, port }, ...trusted }, path: joined(path) };
}

/** As Go's `path.Join`, through which client-go makes its paths: `//a/` is asked for as `/a`. */
function joined(path: string): string {
  const clean = posix.join("/", path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}
