import { fails, k, type KubectlCase } from "./case.ts";

const map = (name: string, data: string, more = "") =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name}, namespace: ka${more} }\ndata: { ${data} }\n`;
const both = `${map("p1", "a: '1'", ", labels: { set: x }")}---\n${map("p2", "a: '1'", ", labels: { set: x }")}`;
const onlyFirst = map("p1", "a: '1'", ", labels: { set: x }");

/** What changes objects: apply in all its ways, patch, replace, diff. */
export const applying: Readonly<Record<string, readonly KubectlCase[]>> = {
  "apply in all its ways": [
    k("create ns ka"),
    k("apply -f test/clients/manifests/folder -n ka", [/^configmap\/folder-a created$/m]),
    fails("get cm folder-b -n ka", [/NotFound/]),
    k("apply -R -f test/clients/manifests/folder -n ka", [/^configmap\/folder-b created$/m]),
    k("apply -k test/clients/manifests/kustomize -n ka", [/^configmap\/over-made-\w+ created$/m]),
    k("get cm over-base -n ka -o jsonpath={.data.k}/{.metadata.labels.layer}", [/^patched\/top$/]),
    k("kustomize test/clients/manifests/kustomize", [/^ {2}name: over-base$/m]),
    k("diff -k test/clients/manifests/kustomize -n ka"),
    k("delete -k test/clients/manifests/kustomize -n ka", [/^configmap "over-base" deleted/m]),
    k("apply -f - --prune -l set=x -n ka", [/p1 created/, /p2 created/], { input: both }),
    k("apply -f - --prune -l set=x -n ka --prune-allowlist=core/v1/ConfigMap", [/^configmap\/p2 pruned$/m], {
      input: onlyFirst,
    }),
    k("apply -f - --prune --applyset=fleet -n ka", [/^configmap\/s1 created$/m, /^configmap\/s2 created$/m], {
      input: `${map("s1", "a: '1'")}---\n${map("s2", "a: '1'")}`,
      env: { KUBECTL_APPLYSET: "true" },
    }),
    k("apply -f - --prune --applyset=fleet -n ka", [/^configmap\/s2 pruned$/m], {
      input: map("s1", "a: '1'"),
      env: { KUBECTL_APPLYSET: "true" },
    }),
    k("apply view-last-applied cm/s1 -n ka -o json", [/"name": "s1"/]),
    k("create cm bare -n ka --from-literal=a=1"),
    k("apply view-last-applied cm/bare -n ka", [/^$/]),
    k("apply set-last-applied -f - --create-annotation", [/^configmap\/bare configured$/m], {
      input: map("bare", "a: red"),
    }),
    k("apply edit-last-applied cm/bare -n ka", [/edited$/m], { env: { KUBE_EDITOR: "sed -i s/red/blue/" } }),
    k("apply -f - --dry-run=client", [/^configmap\/bare configured \(dry run\)$/m], { input: map("bare", "a: '3'") }),
    k("apply -f - --dry-run=server -o jsonpath={.data.a}", [/^3$/], { input: map("bare", "a: '3'") }),
    k("diff --server-side --force-conflicts -f -", [/^\+ {2}a: "3"$/m], { input: map("bare", "a: '3'"), code: 1 }),
    k("apply --server-side -f - --field-manager=me", [/serverside-applied$/m], { input: map("ssa", "a: '1'") }),
    fails(
      "apply --server-side -f - --field-manager=you",
      [/Apply failed with 1 conflict: conflict with "me": \.data\.a/],
      {
        input: map("ssa", "a: '2'"),
      },
    ),
    k("apply --server-side -f - --field-manager=you --force-conflicts", [/serverside-applied$/m], {
      input: map("ssa", "a: '2'"),
    }),
    fails("apply -f - --overwrite=false", [/conflict/], { input: map("bare", "a: '4'") }),
    k("apply -f - --force", [/configured$/m], { input: map("bare", "a: '5'") }),
    k("apply -f - --wait", [/unchanged$/m], { input: map("bare", "a: '5'") }),
    k("wait --for=create cm/bare -n ka --timeout=5s", [/condition met$/m]),
    fails("wait --for=jsonpath={.data.a}=no cm/bare -n ka --timeout=1s", [/timed out waiting for the condition/]),
  ],

  "patch, replace and delete": [
    k(`patch cm bare -n ka --type=json -p '[{"op":"add","path":"/data/z","value":"1"}]' -o jsonpath={.data.z}`, [
      /^1$/,
    ]),
    fails(`patch cm bare -n ka --type=json -p '[{"op":"test","path":"/data/z","value":"2"}]'`, [
      /^The request is invalid: the server rejected our request due to an error in our request$/m,
    ]),
    k(`patch cm bare -n ka --type=strategic -p '{"data":{"z":null}}'`, [/patched$/m]),
    k(`patch cm bare -n ka --type=merge -p '{"metadata":{"labels":{"p":"q"}}}' --dry-run=server -o yaml`, [/p: q/]),
    k(`patch node -l kubernetes.io/hostname --type=merge -p '{"metadata":{"annotations":{"seen":"yes"}}}'`, [], {
      code: 1,
    }),
    k(`patch ns ka --subresource=status --type=merge -p '{"status":{"conditions":[]}}'`, [/patched/]),
    k("create deployment d -n ka --image=busybox"),
    k(`patch deployment d -n ka --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'`, [
      /^scale\.autoscaling\/d patched$/m,
    ]),
    k("get deployment d -n ka --subresource=status -o jsonpath={.spec.replicas}", [/^2$/]),
    fails(`patch deployment d -n ka -p '{"spec":{"selector":{"matchLabels":{"app":"x"}}}}'`, [/field is immutable/]),
    fails(`patch cm bare -n ka -p '{bad'`, [/BadRequest/]),
    k("replace -f -", [/^configmap\/bare replaced$/m], { input: map("bare", "r: '1'") }),
    k("replace --force -f -", [/^configmap "bare" deleted/m, /^configmap\/bare replaced$/m], {
      input: map("bare", "r: '2'"),
    }),
    fails("replace -f -", [/configmaps "ghost" not found/], { input: map("ghost", "r: '2'") }),
    k("delete cm -n ka -l from=folder", [/"folder-a" deleted/, /"folder-b" deleted/]),
    k("delete cm/s1 -n ka", [/^configmap "s1" deleted/m]),
    k("delete cm -n ka --field-selector metadata.name=ssa", [/"ssa" deleted/]),
    k("delete deployment d -n ka --cascade=foreground --timeout=60s", [/"d" deleted/]),
    k("delete cm bare -n ka -o name", [/^configmap\/bare$/m]),
    k("delete --raw /api/v1/namespaces/ka/configmaps/p1", [/"status":"Success"/]),
    k("delete cm --all -n ka --wait=false", [/deleted/]),
    k("delete ns ka --wait=false", [/"ka" deleted/]),
    k("wait --for=delete ns/ka --timeout=60s"),
  ],
};
