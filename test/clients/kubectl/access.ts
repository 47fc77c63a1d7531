import { fails, k, type KubectlCase } from "./case.ts";

/** A request of `CN=x`, in PEM. */
const request =
  "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISE1HNENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCSjFKL0V4OFVGYU1qUzYzK3dpbFJnZkJ6bXpLM3B0U1hRNFRoWmthNXhrMGs3cFhFUWVaWUV2MUZ3NlE5eHk5CmpUNk9obGsxaGZUMXFsbHJJcWdTaGxHZ0FEQUtCZ2dxaGtqT1BRUURBZ05KQURCR0FpRUF2Q1picEZtUjFTaDYKRWZQcFk3UU9TL1NmL09teHJtZWVJRWFXZ0F4ZDlwOENJUURWeVZzOWR4TktsbWpsZFgzSXoxcGdWemwxQlFEVwptUm1aSXFxRy9rMEh6Zz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
const csr = (name: string) => `apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: { name: ${name} }
spec: { request: ${request}, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth] }
`;
const rbac = (verbs: string) => `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: kr, namespace: kz }
rules: [{ apiGroups: [""], resources: [pods], verbs: [${verbs}] }]
`;

const other = { KUBECONFIG: "$LAB/other-config" };

/** Who may do what, certificates, and the commands that stay on this side. */
export const access: Readonly<Record<string, readonly KubectlCase[]>> = {
  auth: [
    k("create ns kz"),
    k("auth can-i get pods", [/^yes$/m]),
    k("auth can-i get pods --subresource=log --as=eva", [/^no$/m], { code: 1 }),
    k("auth can-i get /healthz --as=eva --as-group=system:authenticated", [/^yes$/m]),
    k("auth can-i --list -n kz", [/^\*\.\* +\[\] +\[\] +\[\*\]$/m]),
    k("auth can-i --list -n kz --as=eva", [/selfsubjectreviews\.authentication\.k8s\.io/]),
    k("auth can-i use nothing", [/./], { err: [/the server doesn't have a resource type 'nothing'/] }),
    k("auth whoami -o jsonpath={.status.userInfo.username}", [/^\S+$/]),
    k("auth whoami --as=eva --as-group=ops", [/^Username +eva$/m, /^Groups +\[ops system:authenticated\]$/m]),
    k("auth whoami --as=eva --as-uid=17 --as-user-extra=scope=x", [/^UID +17$/m, /^Extra: scope +\[x\]$/m]),
    k("auth reconcile -f -", [/^role\.rbac\.authorization\.k8s\.io\/kr reconciled$/m], { input: rbac("get") }),
    k("auth reconcile -f - --remove-extra-permissions", [/reconciled$/m], { input: rbac("list") }),
    k("get role kr -n kz -o jsonpath={.rules[*].verbs}", [/^\["list"\]/]),
    fails("get secrets -n kz --as=eva", [
      /^Error from server \(Forbidden\): secrets is forbidden: User "eva" cannot list resource "secrets" in API group "" in the namespace "kz"$/m,
    ]),
    fails("delete node nope --as=eva", [/nodes "nope" is forbidden: User "eva" cannot delete resource "nodes"/]),
    fails("create clusterrolebinding kz-up --clusterrole=cluster-admin --user=eva --as=eva", [/forbidden/]),
  ],

  certificates: [
    k("create -f -", [/created$/m], { input: csr("kz-yes") }),
    k("create -f -", [/created$/m], { input: csr("kz-no") }),
    k("get csr kz-yes", [/^NAME +AGE +SIGNERNAME +REQUESTOR +REQUESTEDDURATION +CONDITION$/m, / Pending$/m]),
    k("certificate approve kz-yes", [/^certificatesigningrequest\.certificates\.k8s\.io\/kz-yes approved$/m]),
    k("certificate deny kz-no", [/kz-no denied$/m]),
    k("wait --for=jsonpath={.status.certificate} csr/kz-yes --timeout=20s", [/condition met$/m]),
    k("get csr", [/^kz-yes .* Approved,Issued$/m, /^kz-no .* Denied$/m]),
    k("describe csr kz-yes", [/^Status: +Approved,Issued$/m, /Common Name: +x/]),
    fails("certificate approve kz-none", [/not found/]),
    k("delete csr kz-yes kz-no", [/deleted/]),
  ],

  "on this side": [
    k("version --client", [/^Client Version: v1\.35\./m]),
    k("completion bash", [/__start_kubectl/]),
    k("completion zsh", [/compdef/]),
    k("__complete get po", [/^pods$/m]),
    k("plugin list", [], { code: 1, err: [/unable to find any kubectl plugins/] }),
    k("options", [/--as-group/]),
    k("config view", [/certificate-authority-data: DATA\+OMITTED/]),
    k("config view --raw --minify -o jsonpath={.clusters[0].cluster.server}", [/^https:\/\//]),
    k("config current-context", [/./]),
    k("config get-contexts -o name", [/./]),
    k("config get-clusters", [/^NAME$/m]),
    k("config get-users", [/^NAME$/m]),
    k("config set-cluster c --server=https://127.0.0.1:1", [/^Cluster "c" set\.$/m], { env: other }),
    k("config set-credentials u --token=t", [/^User "u" set\.$/m], { env: other }),
    k("config set-context x --cluster=c --user=u", [/^Context "x" created\.$/m], { env: other }),
    k("config use-context x", [/^Switched to context "x"\.$/m], { env: other }),
    k("config rename-context x y", [/renamed to "y"/], { env: other }),
    k("config set clusters.c.server https://127.0.0.1:2", [/set\.$/m], { env: other }),
    k("config unset users.u", [/unset\.$/m], { env: other }),
    fails("get pods", [/EOF/], { env: other }),
    k("config delete-context y", [/deleted context y/], { env: other }),
    k("config delete-cluster c", [/deleted cluster c/], { env: other }),
    k("cluster-info dump --namespaces kz", [/"kind": "PodList"/]),
    k("cluster-info dump --namespaces kz --output-directory=$LAB/dump", [/Cluster info dumped to/]),
    k("events -A --types=Normal", [/^NAMESPACE +LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$/m]),
    k("events -n kp --for=pod/two", [/Scheduled/]),
    k("get pods -n kz -v=6", [], { err: [/GET|verb="GET"/] }),
    k("get ns kz --request-timeout=5s --cache-dir=$LAB/cache", [/^kz +Active/m]),
    k("convert -f -", [], { input: "", code: 1 }),
  ],
};
