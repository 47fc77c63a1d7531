export { createKubeletClient, type KubeletClientOptions } from "./kubelet-client.ts";
export { serveHttps, ServeError, type Served, type ServeOptions } from "./serve.ts";
