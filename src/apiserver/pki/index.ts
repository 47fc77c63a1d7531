export type { ClientSubject, KeyPair, ServerSubject } from "./authority.ts";
export type { AccountKeyTexts } from "./account-keys.ts";
export { kubeconfigText, writeKubeconfig, type KubeconfigOptions } from "./kubeconfig.ts";
export type { CertificateRequest, CertificateSigner, SigningOptions } from "./request.ts";
export { openPki, type FrontProxyPki, type Pki } from "./pki.ts";
export { PkiError } from "./pki-error.ts";
