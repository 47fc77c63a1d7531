export type { ClientSubject, KeyPair, ServerSubject } from "./authority.ts";
export { kubeconfigText, writeKubeconfig, type KubeconfigOptions } from "./kubeconfig.ts";
export { openPki, PkiError, type Pki } from "./pki.ts";
