import { randomUUID } from "node:crypto";
import {
  isObject,
  statusError,
  type CustomResourceDefinition,
  type KubeObject,
  type StatusError,
} from "../../kube/index.ts";
import { EgressError, readAnswer, webhookTarget, type Egress } from "../egress/index.ts";
import type { Convert } from "./conversion.ts";

/** Objects that are sent at once. */
const batch = 500;
const timeout = 30_000;
const mostBytes = 256 << 20;
const reviewVersions = ["v1", "v1beta1"];

/** Asks the conversion webhook of a definition (`ConversionReview` of apiextensions.k8s.io/v1). Undefined: it has none. */
export function webhookOf({ spec }: CustomResourceDefinition, egress: Egress): Convert | undefined {
  const { conversion } = spec;
  if (conversion?.strategy !== "Webhook") return undefined;
  const client = conversion.webhook?.clientConfig;
  const version = conversion.webhook?.conversionReviewVersions.find((one) => reviewVersions.includes(one));
  if (!client || version === undefined) {
    return () => Promise.reject(failed(spec.names.kind, "no supported conversion review versions"));
  }
  const { target, path: plain } = webhookTarget(client);
  const path = `${plain}?timeout=30s`;

  const ask = async (objects: readonly KubeObject[], apiVersion: string): Promise<KubeObject[]> => {
    const [first] = objects;
    const kind = first ? `${first.apiVersion}, Kind=${first.kind}` : spec.names.kind;
    const uid = randomUUID();
    const review = {
      kind: "ConversionReview",
      apiVersion: `apiextensions.k8s.io/${version}`,
      request: { uid, desiredAPIVersion: apiVersion, objects },
    };
    try {
      const answer = await egress.open(target, {
        method: "POST",
        path,
        headers: { "content-type": "application/json", accept: "application/json" },
        body: Buffer.from(JSON.stringify(review)),
        timeout,
      });
      const bytes = await readAnswer(answer, mostBytes);
      if (answer.status !== 200) throw failed(kind, `the server answered with status ${answer.status}`);
      return convertedObjects(JSON.parse(bytes.toString()) as unknown, { kind, uid, objects, apiVersion });
    } catch (error) {
      if (error instanceof EgressError || error instanceof SyntaxError) throw failed(kind, error.message);
      throw error;
    }
  };
  return async (objects, apiVersion) => {
    const converted: KubeObject[] = [];
    for (let i = 0; i < objects.length; i += batch)
      converted.push(...(await ask(objects.slice(i, i + batch), apiVersion)));
    return converted;
  };
}

interface Asked {
  readonly kind: string;
  readonly uid: string;
  readonly objects: readonly KubeObject[];
  readonly apiVersion: string;
}

/** The objects in an answer, each held against the one it was made of. */
function convertedObjects(review: unknown, { kind, uid, objects, apiVersion }: Asked): KubeObject[] {
  const response = isObject(review) ? review["response"] : undefined;
  if (!isObject(response)) throw failed(kind, "no response provided");
  if (response["uid"] !== uid)
    throw failed(kind, `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response["uid"] ?? "")}`);
  const { result } = response;
  const status = isObject(result) ? textOf(result["status"]) : "";
  if (status !== "Success") {
    const message = isObject(result) ? textOf(result["message"]) : "";
    throw failed(kind, message || `response.result.status was '${status}', not 'Success'`);
  }
  const converted = response["convertedObjects"];
  const list: readonly unknown[] = Array.isArray(converted) ? converted : [];
  if (list.length !== objects.length)
    throw internal(`conversion webhook for ${kind} returned ${list.length} objects, expected ${objects.length}`);
  return objects.map((old, i) => {
    const refuse = (what: string): never => {
      throw internal(`conversion webhook for ${kind} returned invalid converted object at index ${i}: ${what}`);
    };
    const object = list[i];
    if (!isObject(object) || !isObject(object["metadata"])) return refuse("missing metadata in converted object");
    if (object["apiVersion"] !== apiVersion)
      refuse(`invalid groupVersion (expected ${apiVersion}, received ${textOf(object["apiVersion"])})`);
    if (object["kind"] !== old.kind) refuse(`invalid kind (expected ${old.kind}, received ${textOf(object["kind"])})`);
    const { labels, annotations, ...given } = object["metadata"] as unknown as KubeObject["metadata"];
    for (const field of ["name", "namespace", "uid"] as const)
      if ((given[field] ?? "") !== (old.metadata[field] ?? ""))
        refuse(
          `must have the same ${field === "uid" ? "UID" : field}: ${old.metadata[field] ?? ""} != ${given[field] ?? ""}`,
        );
    // Of the metadata a webhook changes labels and annotations alone.
    const { labels: _labels, annotations: _annotations, ...kept } = old.metadata;
    return {
      ...(object as unknown as KubeObject),
      metadata: { ...kept, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
    };
  });
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

function internal(message: string): StatusError {
  return statusError("InternalError", message, { causes: [{ message }] });
}

function failed(kind: string, why: string): StatusError {
  return internal(`conversion webhook for ${kind} failed: ${why}`);
}
