export { type Acme, type AcmeOptions, startAcme } from "./acme.ts";
