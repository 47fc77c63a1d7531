import type { JsonSchema } from "../../kube/index.ts";
import type { TestAnswer, TestApi } from "../test-api.ts";

/** For tests: a CustomResourceDefinition of Widgets in acme.io, with one version unless it says otherwise. */
export function widgets(schema: JsonSchema, version: object = {}, spec: object = {}): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.acme.io" },
    spec: {
      group: "acme.io",
      scope: "Namespaced",
      names: { plural: "widgets", kind: "Widget", shortNames: ["wd"], categories: ["all"] },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema }, ...version }],
      ...spec,
    },
  };
}

export const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
export const collection = "/apis/acme.io/v1/namespaces/default/widgets";

/** Creates a definition and waits until what it defines is served. */
export async function install(api: TestApi, definition: object): Promise<void> {
  const answer = await api.call("POST", definitions, definition);
  if (answer.status !== 201) throw new Error(answer.text);
  const { name } = answer.body.metadata as { name: string };
  await eventually(api, `${definitions}/${name}`, ({ body }) =>
    (body?.status?.conditions as { type: string; status: string }[] | undefined)?.some(
      ({ type, status }) => type === "Established" && status === "True",
    ),
  );
}

/** Asks until the answer is as wanted. */
export async function eventually(
  api: TestApi,
  url: string,
  holds: (answer: TestAnswer) => boolean | undefined,
): Promise<TestAnswer> {
  for (let i = 0; i < 2000; i++) {
    const answer = await api.call("GET", url);
    if (holds(answer)) return answer;
    await new Promise((resolve) => (i < 100 ? setImmediate(resolve) : setTimeout(resolve, 5)));
  }
  throw new Error(`${url} did not become what was expected: ${(await api.call("GET", url)).text}`);
}
