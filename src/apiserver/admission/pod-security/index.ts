export { podSecurity, type PodSecurityExemptions } from "./pod-security.ts";
